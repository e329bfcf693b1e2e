//! JSON on its way through: read once, written once, with nothing kept that is not written.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// A value as it was read: texts are borrowed where they can be, fields stand in a list.
///
/// `serde_json::Value` is what this is in the small. A page of delta has thousands of objects whose every name would be a `String` in a
/// tree of its own, made to be written down and thrown away.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Fields<'a>),
}

/// Sorted by name, each name once.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Node<'a> {
    /// How many values one item may hold. Graph's have some dozens; small ones by the million would take many times the page's bytes.
    const MOST: u32 = 65_536;

    /// How many levels a value may have. What is published of it stands up to two levels deep in an event, and 127 are what serde_json
    /// reads: an event has to be readable by this program itself.
    const DEEPEST: u32 = 125;

    /// Reads one value.
    pub(crate) fn read<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read_within(deserializer, Self::MOST)
    }

    /// Reads one value that holds no more than `most` others.
    pub(crate) fn read_within<D: Deserializer<'a>>(deserializer: D, most: u32) -> Result<Self, D::Error> {
        Reader { left: &Cell::new(most), deeper: Self::DEEPEST }.deserialize(deserializer)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Appends it as JSON: the same bytes for the same content.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => write_number(number, out),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push('[');
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => fields.write(out),
        }
    }
}

impl From<Value> for Node<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(bool),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text.into()),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(fields) => {
                Self::Object(Fields::new(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
            }
        }
    }
}

impl<'a> Fields<'a> {
    // Sorted here and not by a map of serde_json's: another crate in the build can switch that to insertion order, and ids must not
    // depend on it. Of a name that is there twice, the last one counts, as with serde_json.
    fn new(mut fields: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        fields.reverse();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        fields.dedup_by(|(b, _), (a, _)| a == b);
        Self(fields)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        let at = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Keeps the fields whose name is to stay, at every depth.
    pub(crate) fn retain(&mut self, stays: fn(&str) -> bool) {
        fn within(value: &mut Node<'_>, stays: fn(&str) -> bool) {
            match value {
                Node::Object(fields) => fields.retain(stays),
                Node::List(values) => values.iter_mut().for_each(|value| within(value, stays)),
                _ => {}
            }
        }
        self.0.retain(|(name, _)| stays(name));
        self.0.iter_mut().for_each(|(_, value)| within(value, stays));
    }

    pub(crate) fn write(&self, out: &mut String) {
        out.push('{');
        for (n, (name, value)) in self.0.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

/// Appends a text as a JSON string.
pub(crate) fn write_text(text: &str, out: &mut String) {
    // All of it is looked at, without a branch: most texts are short, and need nothing.
    let plain = text.bytes().fold(true, |plain, b| plain & (b >= 0x20) & (b != b'"') & (b != b'\\'));
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

// By value and not by text: another crate in the build can switch serde_json to arbitrary precision.
fn write_number(number: &Number, out: &mut String) {
    use std::fmt::Write as _;

    // Writing to a String does not fail.
    let _ = match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(n), ..) => write!(out, "{n}"),
        (_, Some(n), _) => write!(out, "{n}"),
        (_, _, Some(n)) => write!(out, "{n:?}"),
        (None, None, None) => write!(out, "{number}"),
    };
}

/// Reads a value while there are values `left`, and no more than so many levels `deeper`.
#[derive(Clone, Copy)]
struct Reader<'c> {
    left: &'c Cell<u32>,
    deeper: u32,
}

impl Reader<'_> {
    /// For what is in a list or an object.
    fn within<E: Error>(self) -> Result<Self, E> {
        let deeper = self.deeper.checked_sub(1).ok_or_else(|| E::custom("too many levels"))?;
        Ok(Self { deeper, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node<'de>, E> {
        Ok(Number::from_f64(v).map_or(Node::Null, Node::Number))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(v.to_owned())))
    }

    fn visit_string<E>(self, v: String) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let within = self.within()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(within)? {
            values.push(value);
        }
        Ok(Node::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let within = self.within()?;
        let mut fields = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            // What serde_json makes of a number where another crate in the build switched it to arbitrary precision.
            if name == "$serde_json::private::Number" && fields.is_empty() {
                let text: String = map.next_value()?;
                return text.parse().map(Node::Number).map_err(A::Error::custom);
            }
            fields.push((name, map.next_value_seed(within)?));
        }
        Ok(Node::Object(Fields::new(fields)))
    }
}

/// Reads the name of a field.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let mut out = String::new();
        Node::read(&mut deserializer).ok()?.write(&mut out);
        Some(out)
    }

    #[test]
    fn the_same_content_is_the_same_bytes() {
        for (text, want) in [
            (r#" { "b" : [ 1 , -2, 2.50, 1e3 , true , null ] , "a" : "x" } "#, r#"{"a":"x","b":[1,-2,2.5,1000.0,true,null]}"#),
            (r#"{"a":1,"a":2,"b":0,"a":3}"#, r#"{"a":3,"b":0}"#),
            (r#"{"é":"\u00e9","\u0065":"e"}"#, r#"{"e":"e","é":"é"}"#),
            (r#"{"a":"q\"b\\s\/n\nt\tu\u0001\ud83d\ude00"}"#, "{\"a\":\"q\\\"b\\\\s/n\\nt\\tu\\u0001😀\"}"),
            (r#"{"":{"":[]},"A":{},"a":[[]]}"#, r#"{"":{"":[]},"A":{},"a":[[]]}"#),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(want), "{text}");
            // Through a tree of serde_json's it is the same.
            let value: Value = serde_json::from_str(text).unwrap();
            let mut out = String::new();
            Node::from(value).write(&mut out);
            assert_eq!(out, want, "{text}");
        }
    }

    #[test]
    fn neither_depth_nor_number_of_values_is_without_a_limit() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(canonical(&deep(125)).is_some());
        assert_eq!(canonical(&deep(126)), None);
        let list = |n: usize| format!("[{}]", vec!["0"; n].join(","));
        assert!(canonical(&list(65_535)).is_some());
        assert_eq!(canonical(&list(65_536)), None);
    }
}
