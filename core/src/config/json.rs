//! Parses JSON and keeps the position of each value in the text. `serde_json` reports positions for syntax
//! errors only.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A value and its position.
#[derive(Debug)]
pub(super) struct Node {
    /// The path of the value, such as `files.user_group.columns[2]`; empty for the whole file.
    pub(super) path: String,
    /// The key of the value, if it is in an object.
    pub(super) key: Option<Key>,
    /// The range of the value's bytes in the text.
    pub(super) place: Range<usize>,
    pub(super) data: Data,
}

/// A key of an object and its position.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Data {
    /// The values in the order of the text, each key once.
    Object(Vec<Node>),
    List(Vec<Node>),
    Scalar(Value),
}

/// A parsed text.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
    /// Keys given more than once, with path and position, from their second occurrence on. `serde_json` would
    /// silently keep the last.
    pub(super) repeated: Vec<(String, Range<usize>)>,
}

/// Parses `text`.
///
/// # Errors
///
/// A syntax error, with line and column.
pub(super) fn parse(text: &str) -> Result<Document, serde_json::Error> {
    // This finds every syntax error, including nesting that is too deep.
    serde_json::from_str::<Value>(text)?;
    let mut builder = Builder { text, repeated: Vec::new() };
    let root = builder.node(serde_json::from_str(text)?, String::new(), None)?;
    Ok(Document { root, repeated: builder.repeated })
}

struct Builder<'a> {
    text: &'a str,
    repeated: Vec<(String, Range<usize>)>,
}

impl<'a> Builder<'a> {
    fn node(&mut self, raw: &'a RawValue, path: String, key: Option<Key>) -> serde_json::Result<Node> {
        let place = self.place(raw);
        let text = raw.get();
        let data = match text.as_bytes().first() {
            Some(b'{') => Data::Object(self.members(text, &path)?),
            Some(b'[') => {
                let list = serde_json::from_str::<Vec<&RawValue>>(text)?.into_iter().enumerate();
                let list = list.map(|(n, raw)| self.node(raw, format!("{path}[{n}]"), None));
                Data::List(list.collect::<Result<_, _>>()?)
            }
            _ => Data::Scalar(serde_json::from_str(text)?),
        };
        Ok(Node { path, key, place, data })
    }

    fn members(&mut self, object: &'a str, path: &str) -> serde_json::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        let mut seen = BTreeSet::new();
        for (raw_key, raw) in serde_json::from_str::<Entries<'a>>(object)?.0 {
            let name: String = serde_json::from_str(raw_key.get())?;
            let (path, place) = (join(path, &name), self.place(raw_key));
            if seen.insert(name.clone()) {
                nodes.push(self.node(raw, path, Some(Key { name, place }))?);
            } else {
                self.repeated.push((path, place));
            }
        }
        Ok(nodes)
    }

    /// Returns the position of a part of the text.
    fn place(&self, part: &RawValue) -> Range<usize> {
        let start = part.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        start..start + part.get().len()
    }
}

/// An object's keys and values as they are written.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

impl Node {
    /// Returns the value of an object's key.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|node| node.key.as_ref().is_some_and(|key| key.name == name))
    }

    /// Returns an object's values, each with its key; nothing for any other value.
    pub(super) fn members(&self) -> &[Self] {
        if let Data::Object(members) = &self.data { members } else { &[] }
    }

    /// Returns a list's values; nothing for any other value.
    pub(super) fn items(&self) -> &[Self] {
        if let Data::List(items) = &self.data { items } else { &[] }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        self.scalar()?.as_str()
    }

    pub(super) fn as_truth(&self) -> Option<bool> {
        self.scalar()?.as_bool()
    }

    /// Returns the value as a whole number, if it is 0 or more and written without a fraction.
    pub(super) fn as_number(&self) -> Option<u64> {
        self.scalar()?.as_u64()
    }

    fn scalar(&self) -> Option<&Value> {
        if let Data::Scalar(value) = &self.data { Some(value) } else { None }
    }

    /// Returns the kind of the value, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Object(_) => "an object",
            Data::List(_) => "a list",
            Data::Scalar(Value::Null) => "null",
            Data::Scalar(Value::Bool(_)) => "true or false",
            Data::Scalar(Value::Number(_)) => "a number",
            Data::Scalar(_) => "a text",
        }
    }
}

/// Returns the path of an object's key.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'t>(node: &Node, text: &'t str, found: &mut Vec<(String, &'t str, &'t str)>) {
        let key = node.key.as_ref().map_or("", |key| &text[key.place.clone()]);
        found.push((node.path.clone(), key, &text[node.place.clone()]));
        for below in node.members().iter().chain(node.items()) {
            texts(below, text, found);
        }
    }

    #[test]
    fn every_value_and_key_knows_its_place() {
        let text = " {\"a\" : [1, \"é\" ,{}],\n \"\\u0062\":\ttrue, \"a\": 2}\n";
        let document = parse(text).unwrap();
        let mut found = Vec::new();
        texts(&document.root, text, &mut found);
        let found: Vec<(&str, &str, &str)> =
            found.iter().map(|(path, key, at)| (&**path, *key, *at)).collect();
        assert_eq!(
            found,
            [
                ("", "", text.trim()),
                ("a", "\"a\"", "[1, \"é\" ,{}]"),
                ("a[0]", "", "1"),
                ("a[1]", "", "\"é\""),
                ("a[2]", "", "{}"),
                ("b", "\"\\u0062\"", "true"),
            ]
        );
        let (path, place) = &document.repeated[0];
        assert_eq!((&**path, place.start), ("a", text.rfind("\"a\"").unwrap()));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(200_000);
        for text in ["", "{", "{a: 1}", "[1,]", "\"\\ud800\"", "1e999", "{} {}", "// x\n1", &deep] {
            assert!(parse(text).is_err(), "{text:.20}");
        }
    }
}
