//! One look at each value of a configuration file: is it there, and is it of its kind?

use serde_json::Value;

use super::mistake::Mistake;

pub(super) type Object = serde_json::Map<String, Value>;

/// Looks at a file's values, and keeps every mistake that it finds.
pub(super) struct Checker<'a> {
    pub(super) file: &'a str,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self { file, mistakes: Vec::new() }
    }
}

impl Checker<'_> {
    pub(super) fn report(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), key: key.into(), reason: reason.into() });
    }

    pub(super) fn entries<'v>(&mut self, list: &'v Value, key: &str) -> Vec<(String, &'v Value)> {
        if let Some(list) = list.as_array() {
            list.iter().enumerate().map(|(n, entry)| (format!("{key}[{n}]"), entry)).collect()
        } else {
            self.report(key, "expected a list");
            Vec::new()
        }
    }

    pub(super) fn text(&mut self, object: &Object, key: &str, path: &str) -> Option<String> {
        match self.required(object, key, path)?.as_str() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            Some(_) => {
                self.report(join(path, key), "is empty");
                None
            }
            None => {
                self.report(join(path, key), "expected a text");
                None
            }
        }
    }

    pub(super) fn required<'v>(&mut self, object: &'v Object, key: &str, path: &str) -> Option<&'v Value> {
        let value = object.get(key);
        if value.is_none() {
            let hint = if key == "dateformat" { "; write [] if no column holds dates" } else { "" };
            self.report(join(path, key), format!("missing{hint}"));
        }
        value
    }

    pub(super) fn object<'v>(&mut self, value: &'v Value, key: &str) -> Option<&'v Object> {
        let object = value.as_object();
        if object.is_none() {
            self.report(key, "expected an object {...}");
        }
        object
    }

    pub(super) fn unknown_keys(&mut self, object: &Object, path: &str, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            self.report(join(path, key), format!("unknown key; known are {}", known.join(", ")));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
