use std::collections::BTreeMap;
use std::collections::btree_map::{IntoIter, Iter, Keys};
use std::fmt;

/// librdkafka's keys and their values, passwords among them: `Debug` prints the keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// A key's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&String> {
        self.0.get(key)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Sets a value; the one that was there comes back.
    pub fn insert(&mut self, key: String, value: String) -> Option<String> {
        self.0.insert(key, value)
    }

    /// Takes a key out, with its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// The keys, in order.
    pub fn keys(&self) -> Keys<'_, String, String> {
        self.0.keys()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> Iter<'_, String, String> {
        self.0.iter()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

impl Extend<(String, String)> for Properties {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl<const N: usize> From<[(String, String); N]> for Properties {
    fn from(all: [(String, String); N]) -> Self {
        Self(all.into())
    }
}

impl IntoIterator for Properties {
    type Item = (String, String);
    type IntoIter = IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = (&'a String, &'a String);
    type IntoIter = Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_printed() {
        let properties = Properties::from([("sasl.password".to_owned(), "hunter2".to_owned())]);
        assert_eq!(format!("{properties:?}"), r#"["sasl.password"]"#);
    }
}
