use std::fmt;

/// Graph's own name for a request: what Microsoft's support asks for. It names a request, not a person, and opens nothing.
///
/// It comes from a server, or from whatever answered in its place, and is printed where a person reads it. So it is a word of at most
/// [`MAX`](Self::MAX) letters, digits, `-`, `_` and `.` (Graph's are GUIDs, <https://learn.microsoft.com/en-us/graph/best-practices-concept>);
/// anything else is no id.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// The longest that is taken for one, in bytes.
    pub const MAX: usize = 64;

    /// `None` where the text is no id: a piece of one would find nothing.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (word && (1..=Self::MAX).contains(&text.len())).then(|| Self(text.into()))
    }

    /// As Graph wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_word_is_an_id() {
        let check = |text: &str, legal: bool| {
            let id = RequestId::new(text);
            assert_eq!(id.as_ref().map(RequestId::as_str), legal.then_some(text), "{text:?}");
        };
        check("f267729a-ba8c-4b44-b7f4-4a3c64b5d6f2", true);
        check("F267729A.1_2", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check(&"a".repeat(10_000), false);
        check("", false);
        check("two words", false);
        check("a\u{1b}[2Jb", false);
        check("a\nWARN all is well", false);
        check("a\0", false);
        check("a\u{202e}b", false);
        check("grün", false);
        check("x)", false);
        check("https://a.svc.ms/?token=t", false);
    }
}
