//! Generates the JSON Schema of a configuration, for editors.

use serde_json::{Map, Value, json};

use super::form::{DATASET, DefaultValue, Form, KeyForm, Need, TextForm};

/// Returns the JSON Schema (draft 2020-12) of a configuration file. It is made from the tables that the
/// parser uses. The parser refuses whatever the schema refuses, and more: keys that contradict each other, an
/// invalid expression, and a whole number that is written with a fraction.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Dataset",
        "description": "A dataset: where its archives come from, and which tables they fill.",
        // Keys that apply to only one kind of load.
        "allOf": [only_with("max_shrink_percent", true), only_with("repeated", false)],
    });
    if let (Value::Object(schema), Value::Object(form)) = (&mut schema, of(&DATASET)) {
        schema.extend(form);
    }
    schema
}

/// Returns the rule for a key that needs one value of `truncate`.
fn only_with(key: &str, truncate: bool) -> Value {
    json!({"if": {"required": [key]}, "then": {"properties": {"truncate": {"const": truncate}}}})
}

fn of(form: &Form) -> Value {
    match form {
        Form::Text(form) => text(*form),
        Form::Truth => json!({"type": "boolean"}),
        Form::Number { least, most, .. } => {
            let mut number = json!({"type": "integer", "minimum": least});
            if let Some(most) = most {
                number["maximum"] = json!(most);
            }
            number
        }
        Form::Word { words, .. } => json!({"enum": words}),
        Form::List { of: item, least } => {
            let mut list = json!({"type": "array", "items": of(item)});
            if *least > 0 {
                list["minItems"] = json!(least);
            }
            list
        }
        Form::Object(keys) => object(keys),
        Form::Map { names, of: value } => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": text(*names),
            "additionalProperties": of(value),
        }),
    }
}

fn text(form: TextForm) -> Value {
    let mut text = json!({"type": "string", "minLength": 1});
    if let Some(pattern) = form.pattern() {
        text["pattern"] = json!(pattern);
    }
    text
}

fn object(keys: &[KeyForm]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        let mut property = of(&key.form);
        property["description"] = json!(key.says);
        match &key.need {
            Need::Required | Need::RequiredOr(_) => required.push(key.name),
            Need::Optional => {}
            Need::Default(default) => {
                property["default"] = match default {
                    DefaultValue::Text(text) => json!(text),
                    DefaultValue::Number(number) => json!(number),
                    DefaultValue::Truth(truth) => json!(truth),
                    DefaultValue::EmptyList => json!([]),
                };
            }
        }
        properties.insert(key.name.to_owned(), property);
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
