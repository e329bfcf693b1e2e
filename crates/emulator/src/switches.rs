//! The switches for what nobody outside Microsoft knows, or what differs from day to day.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the emulated service behaves. Every field can be changed while it runs ([`Emulator::switch`](crate::Emulator::switch)
/// or `POST /control/switches`); the defaults are Graph on a good day.
///
/// Durations beyond a century are taken as one.
///
/// As JSON, durations are milliseconds and their keys end in `_ms`: `{"delta_lag_ms":3000,"expiry":"silent"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// From a change to its signal. Graph takes 5 to 40 s; 20 ms by default.
    #[serde(rename = "signal_delay_ms", with = "millis")]
    pub signal_delay: Duration,
    /// Signals for one change. Graph often sends two, and hundreds for a renamed document. 1 by default; 0 sends none.
    pub signals_per_change: u16,
    /// Notifications in one frame: the wild `value` array can hold several. 1 by default, 0 counts as 1.
    pub notifications_per_frame: u16,
    /// How the second argument of a signal is spelled.
    pub payload: Payload,

    /// From the endpoint's answer to its `expirationDateTime`. Not documented by Microsoft; 1 h by default.
    #[serde(rename = "endpoint_lifetime_ms", with = "millis")]
    pub endpoint_lifetime: Duration,
    /// Only `id` and `notificationUrl`, as the documentation shows the endpoint's answer. Off by default.
    pub bare_endpoint: bool,
    /// A second GET of an endpoint by the same account makes the first one's URL expire at once. Off by default.
    pub second_get_invalidates: bool,
    /// What happens to a socket when its endpoint expires.
    pub expiry: Expiry,
    /// The `Date` header and `expirationDateTime` run this many seconds ahead of the client's clock. 0 by default.
    pub clock_ahead_s: i32,
    /// The endpoint answers 400 without `Content-Type: application/json`, which its page calls required. On by default.
    pub strict_content_type: bool,
    /// How a websocket's handshake goes.
    pub handshake: Handshake,
    /// How a `notificationUrl` is refused that is unknown or has expired.
    pub stale_url: StaleUrl,

    /// Items in a page of delta, where `$top` asks for no fewer. 200 by default.
    pub page_size: u16,
    /// Delta shows a change this much later than it happened. 0 by default.
    #[serde(rename = "delta_lag_ms", with = "millis")]
    pub delta_lag: Duration,
    /// Whether the folders above a changed item are reported as well.
    pub ancestors: Ancestors,
    /// Whether deletions are reported.
    pub tombstones: Tombstones,
    /// Every item comes twice in its page, an older state first. Off by default.
    pub repeated_items: bool,
    /// How `nextLink` and `deltaLink` are spelled.
    pub links: Links,
    /// How a personal drive's id is spelled where the service answers with it.
    pub drive_id: DriveIdSpelling,
    /// How an expired or unknown delta token is refused.
    pub gone: Gone,

    /// How long an access token of the token endpoint is good. Microsoft's is about an hour: 3,599 s by default.
    #[serde(rename = "token_lifetime_ms", with = "millis")]
    pub token_lifetime: Duration,
    /// Whether a refresh token stays good once it was used.
    pub refresh_tokens: RefreshTokens,
    /// How long a device code is good: 900 s by default.
    #[serde(rename = "device_code_lifetime_ms", with = "millis")]
    pub device_code_lifetime: Duration,
    /// How long a client is to wait between two questions about a device code, in seconds: 5 by default.
    pub device_interval_s: u16,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            signal_delay: Duration::from_millis(20),
            signals_per_change: 1,
            notifications_per_frame: 1,
            payload: Payload::default(),
            endpoint_lifetime: Duration::from_secs(3_600),
            bare_endpoint: false,
            second_get_invalidates: false,
            expiry: Expiry::default(),
            clock_ahead_s: 0,
            strict_content_type: true,
            handshake: Handshake::default(),
            stale_url: StaleUrl::default(),
            page_size: 200,
            delta_lag: Duration::ZERO,
            ancestors: Ancestors::default(),
            tombstones: Tombstones::default(),
            repeated_items: false,
            links: Links::default(),
            drive_id: DriveIdSpelling::default(),
            gone: Gone::default(),
            token_lifetime: Duration::from_secs(3_599),
            refresh_tokens: RefreshTokens::default(),
            device_code_lifetime: Duration::from_secs(900),
            device_interval_s: 5,
        }
    }
}

/// A duration that can be added to any moment of the clock.
pub(crate) fn within_a_century(duration: Duration) -> Duration {
    duration.min(Duration::from_secs(100 * 365 * 24 * 3_600))
}

/// How the second argument of the `notification` event is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// A JSON string that holds `{"value":[…]}`, as captured in 2026.
    #[default]
    Wild,
    /// A JSON string that holds one flat object with `subscriptionExpirationDateTime` and `userId`: consumers, 2024.
    Flat,
    /// An object instead of a string. Never seen, and cheap to accept.
    Object,
}

/// What happens to a socket when its endpoint expires. Nobody has said what Graph does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// socket.io's `41/notifications,`.
    #[default]
    Disconnect,
    /// The websocket's close frame.
    CloseWebsocket,
    /// It stays open, answers pings, and no signal ever comes again.
    Silent,
}

/// How a websocket's handshake goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// As it should.
    #[default]
    Normal,
    /// The upgrade is answered with this HTTP status.
    Refused(u16),
    /// The namespace is answered with `44/notifications,{"message":…}`.
    ConnectError(String),
    /// The upgrade succeeds, then nothing: no `0{…}`, no ping.
    SilentUpgrade,
    /// `40/notifications` is not answered for ten minutes; pings go on.
    SilentNamespace,
}

/// How a `notificationUrl` is refused that is unknown or has expired. Nobody has said what Graph does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleUrl {
    /// The upgrade is answered with this HTTP status.
    Refused(u16),
    /// The upgrade succeeds and the namespace is answered with `44/notifications,{"message":"Unauthorized"}`.
    ConnectError,
}

impl Default for StaleUrl {
    fn default() -> Self {
        Self::Refused(401)
    }
}

/// Whether delta reports the folders above a changed item, the root included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ancestors {
    /// Unless the request carries `deltaExcludeParent`.
    #[default]
    UnlessExcluded,
    /// In every page that is not empty, whatever the request says.
    Always,
}

/// Whether delta reports deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// All of them.
    #[default]
    Kept,
    /// None of them (reported for consumers' drives).
    Missing,
    /// Those that happened before an empty answer are never reported to who goes on from its link: advancing on an
    /// empty answer loses them. Shows with a `delta_lag`.
    LostByEmptyAnswer,
}

/// How `nextLink` and `deltaLink` are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// `…/root/delta?token=…`
    #[default]
    Query,
    /// `…/root/delta(token='…')`
    Call,
}

/// How a personal drive's id is spelled where the service answers with it. Every spelling is accepted in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriveIdSpelling {
    /// As the drive was made.
    #[default]
    AsMade,
    /// In upper case.
    Upper,
    /// Without leading zeros, in upper case.
    NoLeadingZeros,
}

/// Whether a refresh token stays good once it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokens {
    /// It does: each use returns a replacement, and the old one is not revoked
    /// (<https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens>).
    #[default]
    Kept,
    /// It does not, as with Microsoft's single-page applications' and other platforms': two that refresh with one token are one too many.
    UsedOnce,
}

/// A `410 Gone` of delta.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gone {
    /// `error.code`: `resyncRequired` by default.
    pub code: String,
    /// `error.innerError.code`: `resyncChangesApplyDifferences` by default; also seen are
    /// `resyncChangesUploadDifferences`, `resyncApplyDifferences`, `resyncUploadDifferences`, and none.
    pub inner_code: Option<String>,
    /// The `Location` header.
    pub location: Location,
}

impl Default for Gone {
    fn default() -> Self {
        Self {
            code: "resyncRequired".to_owned(),
            inner_code: Some("resyncChangesApplyDifferences".to_owned()),
            location: Location::default(),
        }
    }
}

/// The `Location` header of a `410 Gone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// A link that starts a fresh enumeration.
    #[default]
    Fresh,
    /// A link that answers 500, as has happened.
    Broken,
    /// No such header.
    Absent,
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(value.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
