//! The small texts of the wire: timestamps, percent encoding, MIME types.

use jiff::Timestamp;

/// `2025-12-24T03:32:50.8792357Z`: what the socketIo endpoint and its notifications carry, seven fractional digits.
pub(crate) fn seven_digits(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%7fZ").to_string()
}

/// `2025-12-24T03:32:50Z`: what driveItems carry.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2021-12-09T03:37:08`: what `innerError.date` carries, without a zone.
pub(crate) fn zoneless(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// `2021-05-03 15:01:36Z`: what the token endpoint's errors carry.
pub(crate) fn spaced(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `Wed, 24 Dec 2025 03:32:50 GMT`: the `Date` header.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Undoes percent encoding; `None` where the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Encodes everything but letters, digits and `-._~!,`: a path segment as Graph's own links show it.
pub(crate) fn segment(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'!').remove(b',');
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}

/// A value of a query, with everything encoded that could end it.
pub(crate) fn form_value(text: &str) -> String {
    segment(text)
}

/// The first value of `name` in a query or a form, decoded.
pub(crate) fn field(form: &str, name: &str) -> Option<String> {
    raw_field(form, name).and_then(|value| percent_decode(&value.replace('+', " ")))
}

/// The first value of `name`, byte for byte as it was sent.
pub(crate) fn raw_field<'a>(form: &'a str, name: &str) -> Option<&'a str> {
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| percent_decode(key).as_deref() == Some(name))
        .map(|(_, value)| value)
}

pub(crate) fn mime_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Some("pptx") => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        Some("pdf") => "application/pdf",
        Some("csv") => "text/csv",
        Some("md" | "txt") => "text/plain",
        Some("png") => "image/png",
        Some("jpg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{field, http_date, raw_field, segment, seven_digits, spaced, zoneless};

    #[test]
    fn times_are_spelled_as_the_captured_bodies_spell_them() {
        let at = "2025-12-24T03:32:50.8792357Z".parse().unwrap();
        assert_eq!(seven_digits(at), "2025-12-24T03:32:50.8792357Z");
        assert_eq!(zoneless(at), "2025-12-24T03:32:50");
        assert_eq!(spaced(at), "2025-12-24 03:32:50Z");
        assert_eq!(http_date(at), "Wed, 24 Dec 2025 03:32:50 GMT");
        let round = "2026-05-11T21:52:27.52Z".parse().unwrap();
        assert_eq!(seven_digits(round), "2026-05-11T21:52:27.5200000Z");
    }

    #[test]
    fn ids_of_graph_stay_readable_in_a_path_and_nothing_else_does() {
        assert_eq!(segment("b!-RIj_2"), "b!-RIj_2");
        assert_eq!(segment("contoso.sharepoint.com,a,b"), "contoso.sharepoint.com,a,b");
        assert_eq!(segment("a/b ü"), "a%2Fb%20%C3%BC");
    }

    #[test]
    fn a_form_field_is_found_decoded_and_as_it_was_sent() {
        let form = "a=1&scope=Files.Read+offline_access%2Fx&a=2";
        assert_eq!(field(form, "scope").as_deref(), Some("Files.Read offline_access/x"));
        assert_eq!(raw_field(form, "scope"), Some("Files.Read+offline_access%2Fx"));
        assert_eq!(field(form, "a").as_deref(), Some("1"));
        assert_eq!(field(form, "b"), None);
    }
}
