use std::time::Duration;

use jiff::Timestamp;

/// The longest `Retry-After` that is obeyed. Graph's are seconds to minutes; a broken one must not stop a feed for a year.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads `Retry-After`: seconds, a fraction allowed, or an HTTP date, which is set against the answer's own `Date` so that a skewed
/// clock here does no harm (RFC 9110, section 10.2.3).
pub(crate) fn parse(value: &str, date: Option<Timestamp>) -> Option<Duration> {
    let value = value.trim();
    let after = match value.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST),
        Ok(_) => return None,
        Err(_) => Duration::try_from(http_date(value)?.duration_since(date?)).unwrap_or(Duration::ZERO),
    };
    Some(after.min(LONGEST))
}

/// An HTTP date in any of its three forms.
pub(super) fn http_date(value: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_above_a_day_is_obeyed() {
        let date = http_date("Wed, 24 Dec 2025 03:00:00 GMT");
        assert_eq!(date, "2025-12-24T03:00:00Z".parse().ok());
        let check = |value: &str, want: Option<f64>| {
            assert_eq!(parse(value, date), want.map(Duration::from_secs_f64), "{value}");
        };
        check("30", Some(30.0));
        check(" 1.5 ", Some(1.5));
        check("0", Some(0.0));
        check("-0", Some(0.0));
        check("-1", None);
        check("NaN", None);
        check("inf", Some(86400.0));
        check("1e300", Some(86400.0));
        check("99999999", Some(86400.0));
        check("Wed, 24 Dec 2025 03:02:00 GMT", Some(120.0));
        check("Wednesday, 24-Dec-25 03:02:00 GMT", Some(120.0));
        check("Wed, 24 Dec 2025 02:00:00 GMT", Some(0.0));
        check("Thu, 24 Dec 2026 02:00:00 GMT", Some(86400.0));
        check("soon", None);
        check("", None);
        assert_eq!(parse("Wed, 24 Dec 2025 03:02:00 GMT", None), None);
    }
}
