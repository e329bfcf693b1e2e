use std::hash::{BuildHasher, Hash as _, Hasher, RandomState};

use serde_json::{Map, Value};

/// An item's content, reduced to what can be compared: a hash for each part that a person would name.
///
/// Left out is what differs between two answers about an item that nobody changed:
/// - annotations (`@…`; the two download links among them), `cTag` (left out of some answers: driveItem: delta, "Remarks");
/// - what follows from the folders above, which are not reported for it: `webUrl`, `webDavUrl`, and all of `parentReference` but its `id`;
/// - what follows from the items below, of a folder: its `size`, `childCount` and times, and who made the last change;
/// - names and addresses of people, which change in the directory: their ids stay;
/// - `shared`, `thumbnails`, `publication`, `pendingOperations`: said of the item, and not by its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks([u64; PARTS.len()]);

/// The parts, as they are called in a report.
const PARTS: [&str; 6] = ["name", "parent", "content", "eTag", "lastModifiedDateTime", "other fields"];

impl Marks {
    /// The hashes are comparable with those made by the same `hasher`.
    pub(crate) fn of(fields: &Map<String, Value>, hasher: &RandomState) -> Self {
        let is_folder = fields.get("folder").is_some_and(|facet| !facet.is_null());
        // Numbers that are added up, so that the order of the fields does not matter.
        let mut marks = [0_u64; PARTS.len()];
        for (key, value) in fields {
            let Some((part, value)) = part_of(key, value, is_folder) else {
                continue;
            };
            let mut hash = hasher.build_hasher();
            key.hash(&mut hash);
            write(value, &mut hash);
            if let Some(mark) = marks.get_mut(part) {
                *mark = mark.wrapping_add(hash.finish());
            }
        }
        Self(marks)
    }

    /// The names of the parts that differ.
    pub(crate) fn differ_from(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(other.0);
        pairs.zip(PARTS).filter(|((a, b), _)| **a != *b).map(|(_, part)| part).collect()
    }
}

/// Which part a field belongs to, and what of it counts; `None` where nothing does.
fn part_of<'a>(key: &str, value: &'a Value, is_folder: bool) -> Option<(usize, &'a Value)> {
    match key {
        _ if key.contains('@') => None,
        "id" | "cTag" | "webUrl" | "webDavUrl" | "shared" | "thumbnails" | "publication" | "pendingOperations" => None,
        "size" | "lastModifiedDateTime" | "lastModifiedBy" | "fileSystemInfo" if is_folder => None,
        "name" => Some((0, value)),
        "parentReference" => Some((1, value.get("id")?)),
        // That it is one; not how many are in it.
        "folder" => Some((2, &Value::Null)),
        "size" | "file" => Some((2, value)),
        "eTag" => Some((3, value)),
        "lastModifiedDateTime" => Some((4, value)),
        _ => Some((5, value)),
    }
}

/// Equal values write the same, whatever the order of an object's keys and the spelling of a number.
fn write(value: &Value, hash: &mut impl Hasher) {
    match value {
        Value::Null => hash.write_u8(0),
        Value::Bool(truth) => hash.write_u8(1 + u8::from(*truth)),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(n), ..) => n.hash(hash),
            (_, Some(n), _) => n.hash(hash),
            (.., Some(n)) => n.to_bits().hash(hash),
            _ => number.to_string().hash(hash),
        },
        Value::String(text) => text.hash(hash),
        Value::Array(values) => {
            values.len().hash(hash);
            values.iter().for_each(|value| write(value, hash));
        }
        Value::Object(fields) => {
            let mut counted: Vec<_> = fields.iter().filter(|(key, _)| !is_a_persons_word(key)).collect();
            counted.sort_unstable_by_key(|(key, _)| *key);
            counted.len().hash(hash);
            for (key, value) in counted {
                key.hash(hash);
                write(value, hash);
            }
        }
    }
}

fn is_a_persons_word(key: &str) -> bool {
    matches!(key, "displayName" | "email") || key.contains('@')
}
