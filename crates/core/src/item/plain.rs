//! An item as Graph writes it, read without a tree: what needs a second look in any place is left to the tree.
//!
//! Of a text that is already written as it is published, only where it stands is kept; so of an item nothing is copied until it is written
//! in order. Left to the tree are numbers that are no plain integers, escapes that are written otherwise here (`\/`, `\u00e9`), names with
//! an escape, names that are there twice, and what is deep or large.

use memchr::memchr2;

use super::{Item, is_credential, readable_time};

/// The item in `json`, which is known to be JSON; exactly the one that the tree would give.
pub(super) fn item(json: &str) -> Option<Item> {
    let mut reader = Reader { json, at: 0, open: Vec::with_capacity(32), done: Vec::with_capacity(64) };
    let Value::Object(fields) = reader.value(0)? else {
        return None;
    };
    let fields = reader.done.get(fields)?;
    let get = |name: &str| {
        let at = fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        fields.get(at).map(|field| &field.value)
    };
    let id = get("id")?.plain_text().filter(|id| (1..=Item::MAX_ID).contains(&id.len()))?;
    let last_modified = match get("lastModifiedDateTime") {
        Some(Value::Written(written)) if written.starts_with('"') => readable_time(Value::Written(written).plain_text()?),
        _ => None,
    };
    let deleted = get("deleted").is_some_and(|facet| !matches!(facet, Value::Written("null")));
    let mut out = String::with_capacity(json.len());
    reader.write_object(fields, &mut out);
    Some(Item { id: id.into(), json: out.into(), deleted, last_modified })
}

struct Reader<'a> {
    json: &'a str,
    at: usize,
    /// Of what was begun and has not ended.
    open: Vec<Field<'a>>,
    /// Of what has ended, one after the other.
    done: Vec<Field<'a>>,
}

/// An element of a list has no name.
#[derive(Clone)]
struct Field<'a> {
    name: &'a str,
    value: Value<'a>,
}

#[derive(Clone)]
enum Value<'a> {
    /// It is published as it stands there.
    Written(&'a str),
    /// Where its fields are, in order.
    Object(std::ops::Range<usize>),
    /// Where its elements are.
    List(std::ops::Range<usize>),
}

impl<'a> Value<'a> {
    /// What it says, if it is a text without an escape.
    fn plain_text(&self) -> Option<&'a str> {
        match self {
            Self::Written(written) => written.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\')),
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    /// Graph's items have four levels and some dozens of values.
    const DEEPEST: usize = 16;
    const MOST: usize = 1_024;

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > Self::DEEPEST || self.open.len() + self.done.len() > Self::MOST {
            return None;
        }
        match self.next()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.text().map(Value::Written),
            b't' | b'n' => self.written(4),
            b'f' => self.written(5),
            _ => self.integer(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        let first = self.open.len();
        self.at += 1;
        while self.next()? != b'}' {
            let written = self.text()?;
            let name = written.get(1..written.len() - 1).filter(|name| !name.contains('\\'))?;
            self.skip(b':')?;
            let value = self.value(depth + 1)?;
            if !is_credential(name) {
                self.open.push(Field { name, value });
            }
            if self.next()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        let fields = self.open.get_mut(first..)?;
        fields.sort_unstable_by_key(|field| field.name);
        // Of two fields with one name the tree knows which counts.
        if fields.iter().zip(fields.iter().skip(1)).any(|(a, b)| a.name == b.name) {
            return None;
        }
        self.close(first).map(Value::Object)
    }

    fn list(&mut self, depth: usize) -> Option<Value<'a>> {
        let first = self.open.len();
        self.at += 1;
        while self.next()? != b']' {
            let value = self.value(depth + 1)?;
            self.open.push(Field { name: "", value });
            if self.next()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        self.close(first).map(Value::List)
    }

    fn close(&mut self, first: usize) -> Option<std::ops::Range<usize>> {
        let start = self.done.len();
        self.done.extend(self.open.drain(first..));
        Some(start..self.done.len())
    }

    /// A string with its quotes, where it is written as this crate writes it.
    fn text(&mut self) -> Option<&'a str> {
        let start = self.at;
        let bytes = self.json.as_bytes();
        if self.next()? != b'"' {
            return None;
        }
        let mut at = start + 1;
        loop {
            at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if *bytes.get(at)? == b'"' {
                break;
            }
            // With anything else behind it, it is written otherwise, or not by everybody.
            if !matches!(bytes.get(at + 1)?, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') {
                return None;
            }
            at += 2;
        }
        self.at = at + 1;
        self.json.get(start..self.at)
    }

    fn written(&mut self, length: usize) -> Option<Value<'a>> {
        let written = self.json.get(self.at..self.at + length)?;
        self.at += length;
        Some(Value::Written(written))
    }

    /// Digits alone, few enough for 64 bits, and a sign in front of another digit than 0.
    fn integer(&mut self) -> Option<Value<'a>> {
        let rest = self.json.as_bytes().get(self.at..)?;
        let length = rest.iter().take_while(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')).count();
        let digits = rest.get(..length)?;
        let digits = digits.strip_prefix(b"-").filter(|digits| !digits.starts_with(b"0")).unwrap_or(digits);
        let plain = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        if plain { self.written(length) } else { None }
    }

    fn skip(&mut self, token: u8) -> Option<()> {
        let there = self.next()? == token;
        self.at += 1;
        there.then_some(())
    }

    /// The first byte that is no space.
    fn next(&mut self) -> Option<u8> {
        loop {
            match *self.json.as_bytes().get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn write(&self, value: &Value<'a>, out: &mut String) {
        match value {
            Value::Written(written) => out.push_str(written),
            Value::Object(fields) => self.write_object(self.done.get(fields.clone()).unwrap_or_default(), out),
            Value::List(elements) => {
                out.push('[');
                for (n, element) in self.done.get(elements.clone()).unwrap_or_default().iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    self.write(&element.value, out);
                }
                out.push(']');
            }
        }
    }

    fn write_object(&self, fields: &[Field<'a>], out: &mut String) {
        out.push('{');
        for (n, Field { name, value }) in fields.iter().enumerate() {
            out.push_str(if n == 0 { "\"" } else { ",\"" });
            out.push_str(name);
            out.push_str("\":");
            self.write(value, out);
        }
        out.push('}');
    }
}
