use jiff::Timestamp;
use serde_json::json;

/// A notification in its websocket frame, to be copied and numbered.
///
/// Its text is one that was captured (abraunegg/onedrive#3718), 388 bytes of JSON with a number behind its `siteUrl`. The ends of its
/// ids are made from the number, so that no two bodies are the same: what compresses them sees what it would see outside of a benchmark.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    number: usize,
    ids: [usize; 3],
}

/// The bytes of one frame.
pub(crate) const FRAME: u64 = 4 + 454;

/// What stands before the number, in JSON and in JSON within a string.
const NUMBER: &str = "/5a0b9e159b3310ad-";
/// What stands before the time at which it was sent, where it says that.
const STAMP: &str = "284c-4452-8e7d-";
/// The digits of a number, of a time and of what varies in an id.
const DIGITS: usize = 12;

impl Frame {
    pub(crate) fn new() -> Self {
        let text = format!("42/notifications,{}", json!(["notification", body()]));
        assert_eq!(u64::try_from(text.len() + HEAD).unwrap(), FRAME);
        Self::of(framed(&text))
    }

    /// Its JSON alone.
    pub(crate) fn body() -> Self {
        Self::of(body().into())
    }

    fn of(bytes: Vec<u8>) -> Self {
        let place = |what: &str| memchr::memmem::find(&bytes, what.as_bytes()).unwrap();
        let (number, ids) = (place("NNNNNNNNNNNN"), ["SSSSSSSSSSSS", "RRRRRRRRRRRR", "WWWWWWWWWWWW"].map(place));
        Self { bytes, number, ids }
    }

    /// Appends number `n`. With a stamp, it says when that was.
    pub(crate) fn append(&self, n: u64, stamp: Option<u64>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        write(n, 10, &mut frame[self.number..][..DIGITS]);
        let mut random = n;
        for place in self.ids {
            // SplitMix64's step.
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            write(mixed ^ (mixed >> 27), 16, &mut frame[place..][..DIGITS]);
        }
        if let Some(stamp) = stamp {
            write(stamp, 10, &mut frame[self.ids[2]..][..DIGITS]);
        }
    }
}

/// The JSON, with letters where numbers go.
pub(crate) fn body() -> String {
    let entry = json!({
        "subscriptionId": "5554a2f6-1959-4b95-96f4-SSSSSSSSSSSS",
        "clientState": "system-managed:8082D436-D8DA-458D-96AD-34C902B73F37",
        "expirationDateTime": "2026-05-11T21:52:27.5200000Z",
        "resource": "b8a61df7-e8b3-4e48-9cc2-RRRRRRRRRRRR",
        "tenantId": "9188040d-6c67-4c5b-b112-36a304b66dad",
        "siteUrl": format!("/personal{NUMBER}NNNNNNNNNNNN"),
        "webId": format!("be8f18aa-{STAMP}WWWWWWWWWWWW"),
    });
    let body = json!({ "value": [entry] }).to_string();
    assert_eq!(body.len(), 388);
    body
}

/// FIN and text, and a length of 16 bits.
const HEAD: usize = 4;

fn framed(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    assert!(length >= 126, "its length takes 16 bits");
    [&[0x81, 126], &length.to_be_bytes()[..], text.as_bytes()].concat()
}

fn write(mut n: u64, base: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::try_from(n % base).unwrap()];
        n /= base;
    }
}

/// The number of the notification in `text`, whatever a contender wrapped it in.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    digits_behind(text, NUMBER)
}

/// Microseconds since the notification in `text` was sent.
pub(crate) fn stamped(text: &[u8]) -> Option<u64> {
    digits_behind(text, STAMP)
}

fn digits_behind(text: &[u8], mark: &str) -> Option<u64> {
    let at = memchr::memmem::find(text, mark.as_bytes())? + mark.len();
    str::from_utf8(text.get(at..at + DIGITS)?).ok()?.parse().ok()
}

/// Now, in the microseconds that a stamp has room for: eleven days of them.
pub(crate) fn stamp_now() -> u64 {
    u64::try_from(Timestamp::now().as_microsecond()).unwrap() % 1_000_000_000_000
}
