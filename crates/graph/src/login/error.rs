use std::time::Duration;

/// Why there is no token, by what a person does about it. No variant holds a token, a code or a body.
///
/// Sources: the error tables of <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-device-code> and
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>, and the numbers of
/// <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LoginError {
    /// Nobody has signed in under this name on this machine.
    #[error("nobody has signed in")]
    NotSignedIn,
    /// There is a login, for another Graph: a token is not shown to a server that it was not made for.
    #[error("the sign-in is for {signed_in}, and base_url is {asked}: sign in there, under another name")]
    OtherGraph {
        /// Where it was made for.
        signed_in: String,
        /// Where it was to be used.
        asked: String,
    },
    /// The token is over, and `offline_access` was not asked for.
    #[error("the sign-in is over and cannot be renewed, because offline_access was not asked for: sign in again with it")]
    NoRefreshToken,
    /// The person said no (`authorization_declined`, `access_denied`).
    #[error("the sign-in was declined")]
    Declined,
    /// The code's time was over (`expired_token`).
    #[error("the code expired before anybody signed in with it: begin again")]
    Expired,
    /// The server does not know the code (`bad_verification_code`), or has seen it before.
    #[error("the code is not good, or was used before: begin again")]
    BadCode,
    /// `invalid_grant`: revoked, expired after 90 days without use, or the password changed.
    #[error("the sign-in is no longer good (invalid_grant: revoked, expired, or the password changed): sign in again")]
    Over,
    /// `interaction_required`: a second factor, new terms of use, a password to change.
    #[error("the identity platform wants to see the person (interaction_required{}): sign in again", aadsts_words(*number))]
    InteractionRequired {
        /// The number behind `AADSTS`.
        number: Option<u32>,
    },
    /// `consent_required`, `invalid_scope`.
    #[error("the application has no consent for what it asks: sign in again and consent, or have an administrator do so")]
    ConsentRequired,
    /// `insufficient_claims`: a policy wants the sign-in looked at again.
    #[error("a policy wants the sign-in looked at again (insufficient_claims): sign in again")]
    InsufficientClaims,
    /// AADSTS53003 and its relatives.
    #[error("Conditional Access blocks this sign-in{}: ask the administrator; if it is the device code that is blocked, use --browser", aadsts_words(*number))]
    ConditionalAccess {
        /// The number behind `AADSTS`.
        number: Option<u32>,
    },
    /// AADSTS7000218, AADSTS70002: the registration is a confidential client's.
    #[error(
        "the application's registration does not allow public client flows: Authentication > Allow public client flows > Yes"
    )]
    NotAPublicClient,
    /// AADSTS700016, AADSTS90002: no such application, or no such tenant.
    #[error("the identity platform does not know the application or the tenant{}: look at --client-id, --tenant and --cloud", aadsts_words(*number))]
    Unknown {
        /// The number behind `AADSTS`.
        number: Option<u32>,
    },
    /// Any other refusal, by its `error`, which is a word.
    #[error("the identity platform refuses ({error}{})", aadsts_words(*number))]
    Refused {
        /// OAuth's `error`.
        error: String,
        /// The number behind `AADSTS`.
        number: Option<u32>,
    },
    /// `temporarily_unavailable`, 429, 5xx. Passes.
    #[error("the identity platform is busy")]
    Busy {
        /// Its `Retry-After`.
        after: Option<Duration>,
    },
    /// The network. Passes.
    #[error("the identity platform cannot be reached: {0}")]
    Network(String),
    /// An answer that means nothing: a captive portal, a proxy's page.
    #[error("the identity platform's answer is not what is documented: something between here and there may have answered")]
    Answer,
    /// The browser came back with another `state` than it was sent with.
    #[error("the browser brought back another sign-in's answer (wrong state)")]
    WrongState,
    /// There is no client with this configuration.
    #[error("{0}")]
    Config(String),
    /// The login could not be read or saved.
    #[error("{0}")]
    Store(String),
}

impl LoginError {
    /// Whether the same attempt may succeed later, without a person.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Network(_) | Self::Answer)
    }

    /// From OAuth's `error` and `error_description`. The number decides where there is one: the same `error` stands for many things.
    #[cfg(any(feature = "login", test))]
    pub(super) fn of(error: &str, description: Option<&str>) -> Self {
        let number = description.and_then(aadsts);
        match (error, number) {
            (_, Some(53_000..=53_011)) => Self::ConditionalAccess { number },
            (_, Some(7_000_218 | 70_002)) => Self::NotAPublicClient,
            (_, Some(700_016 | 90_002 | 50_059)) => Self::Unknown { number },
            ("authorization_declined" | "access_denied", _) => Self::Declined,
            ("expired_token" | "code_expired", _) => Self::Expired,
            ("bad_verification_code", _) => Self::BadCode,
            ("interaction_required" | "login_required", _) => Self::InteractionRequired { number },
            ("consent_required" | "invalid_scope", _) => Self::ConsentRequired,
            ("insufficient_claims", _) => Self::InsufficientClaims,
            // 54005: a code that was redeemed before.
            ("invalid_grant", Some(54_005)) => Self::BadCode,
            ("invalid_grant", _) => Self::Over,
            ("temporarily_unavailable" | "server_error", _) => Self::Busy { after: None },
            (error, number) => Self::Refused { error: word(error), number },
        }
    }
}

/// The number in "AADSTS53003: Access has been blocked …".
#[cfg(any(feature = "login", test))]
fn aadsts(description: &str) -> Option<u32> {
    let rest = description.split_once("AADSTS")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// An error is a word. Anything else under that name is not one, and is not printed.
#[cfg(any(feature = "login", test))]
fn word(error: &str) -> String {
    let legal = (1..=60).contains(&error.len()) && error.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if legal { error.to_owned() } else { "an error without a name".to_owned() }
}

fn aadsts_words(number: Option<u32>) -> String {
    number.map(|number| format!(", AADSTS{number}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_a_person_does_and_the_number_decides() {
        let check = |error: &str, number: u32, want: LoginError| {
            let description = format!("AADSTS{number}: Whatever.\r\nTrace ID: x");
            assert_eq!(LoginError::of(error, Some(&description)), want, "{error} {number}");
        };
        let number = Some;
        check("authorization_declined", 65_004, LoginError::Declined);
        check("access_denied", 65_004, LoginError::Declined);
        check("expired_token", 70_020, LoginError::Expired);
        check("bad_verification_code", 70_018, LoginError::BadCode);
        check("invalid_grant", 70_000, LoginError::Over);
        check("invalid_grant", 700_082, LoginError::Over);
        check("invalid_grant", 54_005, LoginError::BadCode);
        check("invalid_grant", 53_003, LoginError::ConditionalAccess { number: number(53_003) });
        check("access_denied", 53_003, LoginError::ConditionalAccess { number: number(53_003) });
        check("interaction_required", 50_076, LoginError::InteractionRequired { number: number(50_076) });
        check("consent_required", 65_001, LoginError::ConsentRequired);
        check("insufficient_claims", 50_158, LoginError::InsufficientClaims);
        check("invalid_client", 7_000_218, LoginError::NotAPublicClient);
        check("unauthorized_client", 700_016, LoginError::Unknown { number: number(700_016) });
        check("temporarily_unavailable", 90_033, LoginError::Busy { after: None });
        check("something_new", 12, LoginError::Refused { error: "something_new".to_owned(), number: number(12) });
        assert_eq!(LoginError::of("invalid_grant", None), LoginError::Over);
        let odd = LoginError::of("a\u{1b}[2J", Some("no number"));
        assert_eq!(odd.to_string(), "the identity platform refuses (an error without a name)");
    }

    #[test]
    fn what_passes_by_itself_is_not_a_persons_affair() {
        assert!(LoginError::Busy { after: None }.passes() && LoginError::Network(String::new()).passes());
        assert!(!LoginError::Over.passes() && !LoginError::NotSignedIn.passes());
    }
}
