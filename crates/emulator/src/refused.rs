use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::text;

/// A refusal of the identity platform, by what it means.
///
/// Bodies are Microsoft's: `error`, and a description that begins with the number. Sources:
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-device-code>,
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>,
/// <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>.
///
/// As JSON, for the control API: `{"route":"token","answer":{"login":"slow_down"}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginError {
    /// Nobody has typed the code in yet.
    AuthorizationPending,
    /// Asked too often (RFC 8628; not in Microsoft's table, and MSAL waits on it).
    SlowDown,
    /// The person said no, as Microsoft spells it.
    AuthorizationDeclined,
    /// The person said no, as RFC 8628 and the authorize page spell it.
    AccessDenied,
    /// The device code's time is over.
    ExpiredToken,
    /// The device code is none.
    BadVerificationCode,
    /// A refresh token or a code that is not good: revoked, expired, used.
    InvalidGrant,
    /// A second factor is wanted.
    InteractionRequired,
    /// The application has no consent for what it asks.
    ConsentRequired,
    /// The token lacks claims that a policy wants. No number is published for it.
    InsufficientClaims,
    /// Blocked by Conditional Access: AADSTS53003, whose `error` is `invalid_grant`.
    ConditionalAccess,
    /// The registration does not allow public client flows: AADSTS7000218.
    NotAPublicClient,
    /// Nobody knows the application: AADSTS700016.
    UnknownApplication,
    /// 503.
    TemporarilyUnavailable,
}

/// A refusal in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    number: u32,
    says: &'static str,
}

impl Refused {
    pub(crate) fn new(error: &'static str, number: u32, says: &'static str) -> Self {
        Self { status: 400, error, number, says }
    }

    /// The body, as Microsoft's identity platform writes it.
    pub(crate) fn body(self, at: Timestamp) -> Value {
        let Self { error, number, .. } = self;
        let (trace, correlation, time) = (Uuid::new_v4(), Uuid::new_v4(), text::spaced(at));
        json!({
            "error": error,
            "error_description": format!("{}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}", self.says()),
            "error_codes": [number],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        })
    }

    /// The number and the sentence.
    pub(crate) fn says(self) -> String {
        format!("AADSTS{}: {}", self.number, self.says)
    }
}

impl From<LoginError> for Refused {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::AuthorizationPending => Self::new(
                "authorization_pending",
                70_016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
            ),
            LoginError::SlowDown => Self::new("slow_down", 70_016, "OAuth 2.0 device flow error. Polling too frequently."),
            LoginError::AuthorizationDeclined => {
                Self::new("authorization_declined", 65_004, "User declined to consent to access the app.")
            }
            LoginError::AccessDenied => Self::new("access_denied", 65_004, "User declined to consent to access the app."),
            LoginError::ExpiredToken => Self::new(
                "expired_token",
                70_020,
                "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
            ),
            LoginError::BadVerificationCode => Self::new("bad_verification_code", 70_018, "The device_code is not valid."),
            LoginError::InvalidGrant => {
                Self::new("invalid_grant", 70_000, "The provided value for the input parameter 'refresh_token' is not valid.")
            }
            LoginError::InteractionRequired => Self::new(
                "interaction_required",
                50_076,
                "Due to a configuration change made by your administrator, or because you moved to a new location, you must use \
                 multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
            ),
            LoginError::ConsentRequired => Self::new(
                "consent_required",
                65_001,
                "The user or administrator has not consented to use the application. Send an interactive authorization request \
                 for this user and resource.",
            ),
            LoginError::InsufficientClaims => {
                Self::new("insufficient_claims", 50_158, "External security challenge was not satisfied.")
            }
            LoginError::ConditionalAccess => Self::new(
                "invalid_grant",
                53_003,
                "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
            ),
            LoginError::NotAPublicClient => Self {
                status: 401,
                ..Self::new(
                    "invalid_client",
                    7_000_218,
                    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                )
            },
            LoginError::UnknownApplication => Self::new(
                "unauthorized_client",
                700_016,
                "Application with identifier was not found in the directory. This can happen if the application has not been \
                 installed by the administrator of the tenant or consented to by any user in the tenant.",
            ),
            LoginError::TemporarilyUnavailable => Self {
                status: 503,
                ..Self::new("temporarily_unavailable", 90_033, "A transient error has occurred. Please try again.")
            },
        }
    }
}
