//! Checks whether a file has the keys and values that the tables of forms require.

use super::checker::Checker;
use super::form::{Form, KeyForm, Need, SCHEMA_KEY, TextForm};
use super::json::{Data, Node, join};
use crate::similar::closest;

impl Checker<'_> {
    /// Reports what a value lacks, or has in addition, compared with its form.
    pub(super) fn shape(&mut self, node: &Node, form: &Form) {
        match form {
            Form::Text(form) => self.text_shape(node, *form),
            Form::Truth if node.as_truth().is_some() => {}
            Form::Truth => self.misfit(node, "true or false"),
            Form::Number { least, most, expected } => {
                let range = *least..=most.unwrap_or(u64::MAX);
                if !node.as_number().is_some_and(|number| range.contains(&number)) {
                    self.misfit(node, expected);
                }
            }
            Form::Word { words, otherwise } => {
                if !node.as_text().is_some_and(|text| words.contains(&text)) {
                    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                    self.report_misfit(node, format!("expected {}; {otherwise}", words.join(" or ")));
                }
            }
            Form::List { of, least } => {
                let Data::List(items) = &node.data else { return self.misfit(node, "a list [...]") };
                if items.len() < *least {
                    self.report_misfit(node, "is empty");
                }
                for item in items {
                    self.shape(item, of);
                }
            }
            Form::Object(keys) => self.object_shape(node, keys),
            Form::Map { names, of } => {
                let Data::Object(members) = &node.data else { return self.misfit(node, "an object {...}") };
                if members.is_empty() {
                    self.report_misfit(node, "is empty");
                }
                for member in members {
                    if let Some(key) = member.key.as_ref().filter(|key| !names.takes(&key.name)) {
                        self.report_key(member, &member.path, names.refusal(&key.name));
                    }
                    self.shape(member, of);
                }
            }
        }
    }

    fn text_shape(&mut self, node: &Node, form: TextForm) {
        match node.as_text() {
            None => self.misfit(node, "a text"),
            Some(text) if form.takes(text) => {}
            Some(text) => self.report_misfit(node, form.refusal(text)),
        }
    }

    fn object_shape(&mut self, node: &Node, keys: &[KeyForm]) {
        let Data::Object(members) = &node.data else { return self.misfit(node, "an object {...}") };
        let names = || keys.iter().map(|key| key.name).filter(|name| *name != SCHEMA_KEY);
        for member in members {
            let Some(key) = &member.key else { continue };
            if let Some(known) = keys.iter().find(|known| known.name == key.name) {
                self.shape(member, &known.form);
            } else {
                let reason = match closest(&key.name, names()) {
                    Some(meant) => format!("unknown key; did you mean {meant:?}?"),
                    None => {
                        format!("unknown key; the known keys are {}", names().collect::<Vec<_>>().join(", "))
                    }
                };
                self.report_key(member, &member.path, reason);
            }
        }
        for key in keys.iter().filter(|key| node.get(key.name).is_none()) {
            let hint = match key.need {
                Need::Required => "",
                Need::RequiredOr(hint) => hint,
                Need::Optional | Need::Default(_) => continue,
            };
            let separator = if hint.is_empty() { "" } else { "; " };
            self.report_key(node, &join(&node.path, key.name), format!("missing{separator}{hint}"));
        }
    }

    fn misfit(&mut self, node: &Node, expected: &str) {
        let reason = match node.kind() {
            // The kind is right, and the excerpt shows the value's own text.
            "a number" if expected.starts_with("a whole number") => format!("expected {expected}"),
            kind => format!("expected {expected}, found {kind}"),
        };
        self.report_misfit(node, reason);
    }
}
