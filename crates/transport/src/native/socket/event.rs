use std::borrow::Cow;
use std::fmt;

use drivetap_core::escape::only_quotes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::native::Malformed;

/// An event's name and its first argument, borrowed from the packet's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What it is called.
    pub name: Name<'a>,
    /// The first argument as JSON text, which nobody has looked into but to find its end. The others are passed over.
    pub argument: Option<&'a str>,
}

/// What an event is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// A string; owned where it was written with escapes.
    Text(Cow<'a, str>),
    /// A number, which JavaScript's clients allow.
    Number,
}

impl<'a> Event<'a> {
    /// Reads the data of an event packet: a JSON array with a name first. Names that JavaScript's clients keep for themselves
    /// (`connect`, `disconnect`, …) are names like others here.
    ///
    /// ```
    /// use drivetap_transport::native::socket::Event;
    ///
    /// let event = Event::decode(r#"["notification",{"value":[]},7]"#)?;
    /// assert_eq!(event.argument, Some(r#"{"value":[]}"#));
    /// # Ok::<(), drivetap_transport::native::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// When it is not JSON as a whole, or no array with a string or a number in front.
    pub fn decode(data: &'a str) -> Result<Self, Malformed> {
        if let Some(event) = Self::plain(data) {
            return Ok(event);
        }
        let Arguments { name, argument } = serde_json::from_str(data).map_err(|_| Malformed::Json)?;
        let name = match name.as_bytes().first() {
            Some(b'"') => Name::Text(text(name)?),
            Some(b'-' | b'0'..=b'9') => Name::Number,
            _ => return Err(Malformed::Name),
        };
        Ok(Self { name, argument })
    }

    /// `["name","argument"]` with neither space nor escape but that of the argument's quotes, as a notification is written: nothing
    /// else begins and ends like this. It is known by its bytes, without a branch for each.
    fn plain(data: &'a str) -> Option<Self> {
        let inside = data.strip_prefix("[\"")?.strip_suffix(']')?;
        let (name, argument) = inside.split_at_checked(inside.find('"')?)?;
        let argument = argument.strip_prefix("\",")?;
        only_quotes(argument)?;
        let plain = name.bytes().all(|byte| byte >= 0x20 && byte != b'\\');
        plain.then_some(Self { name: Name::Text(Cow::Borrowed(name)), argument: Some(argument) })
    }

    /// Whether this is its name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(&self.name, Name::Text(text) if text == name)
    }
}

/// What a JSON string says. Nothing is copied unless it has an escape.
fn text(json: &str) -> Result<Cow<'_, str>, Malformed> {
    match json.get(1..json.len().saturating_sub(1)) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str(json).map(Cow::Owned).map_err(|_| Malformed::Json),
    }
}

/// The array, each part as it is written. The name is empty where there is none.
struct Arguments<'a> {
    name: &'a str,
    argument: Option<&'a str>,
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Array)
    }
}

struct Array;

impl<'de> Visitor<'de> for Array {
    type Value = Arguments<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let name = array.next_element::<&RawValue>()?.map(RawValue::get).unwrap_or_default();
        let argument = array.next_element::<&RawValue>()?.map(RawValue::get);
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Arguments { name, argument })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_the_first_argument_are_borrowed() {
        for (data, name, argument) in [
            (r#"["a"]"#, "a", None),
            (r#"["a",1,{}]"#, "a", Some("1")),
            (r#"[ "a" , "\"]" ,[[]]]"#, "a", Some(r#""\"]""#)),
            (r#"["\u0061\n",null]"#, "a\n", Some("null")),
            (r#"["a","b"]"#, "a", Some(r#""b""#)),
            (r#"["a",""]"#, "a", Some(r#""""#)),
            (r#"["a","\"b\""]"#, "a", Some(r#""\"b\"""#)),
            (r#"["a","\"b\"","c"]"#, "a", Some(r#""\"b\"""#)),
            (r#"["a","b\\"]"#, "a", Some(r#""b\\""#)),
            (r#"["","b"]"#, "", Some(r#""b""#)),
            (r#"["",{"a":[1,2]}]"#, "", Some(r#"{"a":[1,2]}"#)),
        ] {
            let event = Event::decode(data).unwrap();
            assert!(event.is(name), "{data}: {event:?}");
            assert_eq!(event.argument, argument, "{data}");
            assert_eq!(matches!(event.name, Name::Text(Cow::Borrowed(_))), !data.contains(r"\u"), "{data}");
        }
        assert_eq!(Event::decode(r#"[1,"a",{}]"#), Ok(Event { name: Name::Number, argument: Some(r#""a""#) }));
        let deep = format!(r#"["a",{}{}]"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Event::decode(&deep).unwrap().argument.map(str::len), Some(200_000), "no recursion");
    }

    /// The last four of the official parser's own list of invalid payloads, as far as they are about what is sent.
    #[test]
    fn what_has_no_name_is_no_event() {
        for (data, malformed) in [
            (r#"[{"toString":"foo"}]"#, Malformed::Name),
            (r#"[true,"foo"]"#, Malformed::Name),
            (r#"[null,"bar"]"#, Malformed::Name),
            ("[]", Malformed::Name),
            (r#"[["a"]]"#, Malformed::Name),
            (r#"["a""#, Malformed::Json),
            (r#"["a",]"#, Malformed::Json),
            (r#"["a"]x"#, Malformed::Json),
            (r#"["a",tru]"#, Malformed::Json),
            (r#"["\q"]"#, Malformed::Json),
            (r#"["\q","b"]"#, Malformed::Json),
            (r#"["a","\q"]"#, Malformed::Json),
            (r#"["a","b"c"]"#, Malformed::Json),
            (r#"["a","b\"]"#, Malformed::Json),
            (r#"["a","]"#, Malformed::Json),
            ("[\"a\n\",\"b\"]", Malformed::Json),
            ("[\"a\",\"b\n\"]", Malformed::Json),
            (r#"["\ud800"]"#, Malformed::Json),
            ("{}", Malformed::Json),
            ("", Malformed::Json),
        ] {
            assert_eq!(Event::decode(data), Err(malformed), "{data}");
        }
    }
}
