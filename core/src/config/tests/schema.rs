use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::SHIPPED;
use crate::config::checker::Checker;
use crate::config::form::DATASET;
use crate::config::{Dataset, Mistakes, json as places, schema};

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&schema()).expect("a schema of draft 2020-12"));

/// Parses a file as the program does, and compares the result with the schema's.
#[track_caller]
pub(super) fn parse(file: &str, text: &str) -> Result<Dataset, Mistakes> {
    let parsed = crate::config::parse(file, text);
    let text = text.trim_start_matches('\u{feff}');
    if let Ok(value) = serde_json::from_str(text) {
        agree(text, &value, &parsed);
    }
    parsed
}

/// Asserts that the parser refuses whatever the schema refuses, and that both refuse a wrong form.
#[track_caller]
fn agree(text: &str, value: &Value, parsed: &Result<Dataset, Mistakes>) {
    let by_schema: Vec<String> =
        VALIDATOR.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(by_schema.is_empty() || parsed.is_err(), "only the schema refuses: {by_schema:?}: {text}");
    let mut checker = Checker::new("a.json", text);
    checker.shape(&places::parse(text).unwrap().root, &DATASET);
    let by_parser = checker.into_mistakes();
    assert!(!by_schema.is_empty() || by_parser.is_empty(), "the schema takes it: {by_parser:?}: {text}");
}

#[test]
fn the_schema_refuses_what_its_words_say() {
    let refused = |from: &str, to: &str| {
        assert!(SHIPPED.contains(from), "{from}");
        let value = serde_json::from_str(&SHIPPED.replacen(from, to, 1)).unwrap();
        !VALIDATOR.is_valid(&value)
    };
    for (from, to) in [
        ("\"bucket\"", "\"buckett\""),
        ("\"truncate\": true,", ""),
        ("\"truncate\": true", "\"truncate\": \"yes\""),
        ("\"delim\": \",\"", "\"delim\": \",,\""),
        ("\"source\": \"client\"", "\"source\": \"client/\""),
        ("\"dateformat\": []", "\"dateformat\": {}"),
        ("\"column_count\": 4", "\"column_count\": 0"),
        ("\"dbtable\": \"cms_group\"", "\"dbtable\": \"a.b.c\""),
        ("\"analytics_group\"", "\"analytics_group.csv\""),
        ("\"index\": 1", "\"index\": -1"),
        ("\"truncate\": true", "\"truncate\": true, \"repeated\": \"skip\""),
        ("\"truncate\": true", "\"truncate\": false, \"max_shrink_percent\": 5"),
        ("\"truncate\": true", "\"truncate\": true, \"max_shrink_percent\": 101"),
        ("\"truncate\": true", "\"truncate\": true, \"staging\": \"gzip\""),
    ] {
        assert!(refused(from, to), "{to}");
    }
    for (from, to) in [
        ("\"../docs/reference/schemas/dataset.schema.json\"", "\"x\""),
        ("\"truncate\": true", "\"truncate\": false, \"repeated\": \"skip\""),
        (
            "\"dbtable\": \"cms_group\"",
            "\"dbtable\": \"other.cms_group\", \"min_rows\": 5, \"header\": \"exact\"",
        ),
    ] {
        assert!(!refused(from, to), "{to}");
        parse("a.json", &SHIPPED.replacen(from, to, 1)).unwrap();
    }
}

/// The required keys are those of the user's first file, which has none of the later keys.
#[test]
fn the_seed_s_keys_are_the_required_ones() {
    let required = |schema: &Value| -> Vec<String> {
        schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    };
    let schema = schema();
    let seed =
        ["bucket", "source", "destination", "directory", "doc", "schema", "truncate", "delim", "files"];
    assert_eq!(required(&schema), seed);
    let file = &schema["properties"]["files"]["additionalProperties"];
    assert_eq!(required(file), ["dbtable", "column_count", "columns", "dateformat"]);
}

/// Changes one value of a configuration: number `at`, counted through the whole file.
fn change(value: &mut Value, at: &mut usize, by: &Change) -> bool {
    if *at == 0 {
        match (by, value) {
            (Change::Replace(new), value) => *value = new.clone(),
            (Change::Add(name, new), Value::Object(object)) => {
                object.insert(name.clone(), new.clone());
            }
            (Change::Add(_, new), Value::Array(list)) => list.push(new.clone()),
            (Change::Remove(nth), Value::Object(object)) => {
                let name = object.keys().nth(nth % object.len().max(1)).cloned();
                name.map(|name| object.remove(&name));
            }
            (Change::Remove(_), Value::Array(list)) => {
                list.pop();
            }
            _ => {}
        }
        return true;
    }
    *at -= 1;
    match value {
        Value::Object(object) => object.values_mut().any(|value| change(value, at, by)),
        Value::Array(list) => list.iter_mut().any(|value| change(value, at, by)),
        _ => false,
    }
}

#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Add(String, Value),
    Remove(usize),
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..200).prop_map(Value::from),
        "[a-z%/.\",|\n\u{0}\u{85}é]{0,3}".prop_map(Value::from),
        prop::sample::select(vec!["exact", "skip", "plain", "zstd", "%Y-%m-%d", "a.b", "id"])
            .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!(["a", "b"])),
        Just(json!([{"field": "id", "format": "%Y"}])),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let name = prop_oneof![
        "[a-z./]{0,3}",
        prop::sample::select(vec![
            "$schema",
            "null_as",
            "ledger",
            "max_pax_bytes",
            "max_shrink_percent",
            "quote_cells",
            "repeated",
            "staging",
            "derived",
            "header",
            "min_rows",
            "format",
            "index",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        any_value().prop_map(Change::Replace),
        (name, any_value()).prop_map(|(name, value)| Change::Add(name, value)),
        (0_usize..20).prop_map(Change::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn schema_and_parser_agree_on_any_change(changes in prop::collection::vec((0_usize..75, any_change()), 1..4)) {
        let mut value: Value = serde_json::from_str(SHIPPED).unwrap();
        for (mut at, by) in changes {
            change(&mut value, &mut at, &by);
        }
        let _ = parse("a.json", &value.to_string());
    }
}
