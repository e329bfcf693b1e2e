use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::native::Malformed;

/// The data of an `open` packet, as far as a client over websocket needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The time between two of the server's pings.
    pub ping_interval: Duration,
    /// How long after a ping was due its absence means that the server is gone.
    pub ping_timeout: Duration,
}

impl Handshake {
    /// Reads it from JSON. `upgrades` and `maxPayload` (which limits what a client sends) are passed over, unknown keys too.
    ///
    /// # Errors
    /// When it is no object, or without `sid`, `pingInterval` or `pingTimeout`, or one of these is of another type.
    pub fn decode(json: &str) -> Result<Self, Malformed> {
        let Open { ping_interval, ping_timeout, .. } = serde_json::from_str(json).map_err(|_| Malformed::Handshake)?;
        Ok(Self { ping_interval: Duration::from_millis(ping_interval), ping_timeout: Duration::from_millis(ping_timeout) })
    }

    /// The time from one ping after which the server is gone when there was no other.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.ping_interval.saturating_add(self.ping_timeout)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    /// Nobody asks for it again; without it this is no handshake.
    #[serde(borrow, rename = "sid")]
    _sid: Cow<'a, str>,
    ping_interval: u64,
    ping_timeout: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ping_values_are_milliseconds() {
        let published = r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000,"maxPayload":1000000}"#;
        let handshake = Handshake::decode(published).unwrap();
        assert_eq!(handshake.patience(), Duration::from_secs(30));
        let endless = format!(r#"{{"sid":"\u0061","pingInterval":{0},"pingTimeout":{0}}}"#, u64::MAX);
        assert_eq!(Handshake::decode(&endless).unwrap().patience(), Duration::from_millis(u64::MAX) * 2);
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        let cases = [
            "",
            "{}",
            "[]",
            "null",
            r#"{"sid":"a"}"#,
            r#"{"sid":7,"pingInterval":1,"pingTimeout":1}"#,
            r#"{"sid":"a","pingInterval":-1,"pingTimeout":1}"#,
            r#"{"sid":"a","pingInterval":1,"pingTimeout":"1"}"#,
            r#"{"sid":"a","pingInterval":1e400,"pingTimeout":1}"#,
            r#"{"sid":"a","pingInterval":1,"pingTimeout":1}x"#,
        ];
        for json in cases {
            assert_eq!(Handshake::decode(json), Err(Malformed::Handshake), "{json}");
        }
    }
}
