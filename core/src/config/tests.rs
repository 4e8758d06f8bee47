use std::collections::BTreeMap;

use super::*;

const SHIPPED: &str = include_str!("../../../config.d/cmslite_user_group_metadata.json");

/// The mistakes in the shipped file after `from` was replaced by `to`, as `key: reason`.
fn mistakes(from: &str, to: &str) -> Vec<String> {
    assert!(SHIPPED.contains(from), "{from}");
    let found = parse("a.json", &SHIPPED.replacen(from, to, 1)).expect_err("the configuration was accepted");
    assert!(found.0.iter().all(|mistake| mistake.file == "a.json"));
    found.0.iter().map(|mistake| format!("{}: {}", mistake.key, mistake.reason)).collect()
}

#[track_caller]
fn one(from: &str, to: &str, expected: &str) {
    let found = mistakes(from, to);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(expected), "{found:?}");
}

#[test]
fn leases_feed_no_source() {
    let text = SHIPPED.replacen("\"source\": \"client\"", "\"source\": \"processed/lease\"", 1).replacen(
        "\"directory\": \"cmslite_gdx\"",
        "\"directory\": \"processed\"",
        1,
    );
    let mistakes = parse("a.json", &text).unwrap_err().0;
    assert!(mistakes.iter().any(|mistake| mistake.reason.contains("a loop")), "{mistakes:?}");
}

#[test]
fn the_shipped_configuration_is_the_real_dataset() {
    let dataset = parse("config.d/cmslite_user_group_metadata.json", SHIPPED).unwrap();
    assert_eq!(dataset.name, "cmslite_user_group_metadata");
    let tables: Vec<(String, Vec<&str>)> = dataset
        .tables
        .iter()
        .map(|table| (table.name.to_string(), table.loaded_columns().collect()))
        .collect();
    assert_eq!(tables[1].0, "cmslite.user_activity");
    assert_eq!(tables[1].1, ["user_id", "user_idir", "activity_type", "memo", "activity_date", "group_name"]);
    assert_eq!(tables.iter().map(|(_, columns)| columns.len()).collect::<Vec<_>>(), [4, 6, 7, 7]);
    assert_eq!(dataset.ledger.to_string(), "cmslite.load_ledger");
    assert!(dataset.matches("client/cmslite_gdx/cms-analytics-csv_2024.tgz"));
    assert!(!dataset.matches("client/other/cms-analytics-csv_2024.tgz"));
    assert!(!dataset.matches("processed/good/client/cmslite_gdx/cms-analytics-csv_2024.tgz"));
}

#[test]
fn every_mistake_is_named_by_key_and_reason() {
    one("\"bucket\": \"sp", "\"buckett\": \"\", \"bucket\": \"sp", "buckett: unknown key");
    one("\"truncate\": true,", "", "truncate: missing");
    one("\"truncate\": true", "\"truncate\": \"yes\"", "truncate: expected true or false");
    one("cms-analytics-csv.*", "cms-(analytics", "doc: not a regular expression");
    one("\"delim\": \",\"", "\"delim\": \"||\"", "delim: expected one ASCII character");
    one("\"delim\": \",\"", "\"delim\": \"§\"", "delim: expected one ASCII character");
    one(
        "\"column_count\": 4",
        "\"column_count\": 5",
        "files.analytics_group.columns: lists 4 columns, but column_count is 5",
    );
    one(
        "\"field\": \"activity_date\"",
        "\"field\": \"when\"",
        "files.analytics_user_activity.dateformat[0].field: \"when\" is none",
    );
    one(
        "%f\"}],\n      \"derived\"",
        "%Q\"}],\n      \"derived\"",
        "files.analytics_user_activity.dateformat[0].format: unknown strptime directive %Q",
    );
    one("\"destination\": \"processed\"", "\"destination\": \"client/cmslite_gdx\"", "destination: a loop");
    one(
        "\"from\": \"memo\"",
        "\"from\": \"memory\"",
        "files.analytics_user_activity.derived[0].from: \"memory\" is none",
    );
    one(
        "\"column\": \"group_name\"",
        "\"column\": \"memo\"",
        "files.analytics_user_activity.derived[0].column: \"memo\" is a column already",
    );
    one(
        "\"dbtable\": \"user_group\"",
        "\"dbtable\": \"cms_group\"",
        "files.analytics_user_group.dbtable: with truncate",
    );
    one("\"source\": \"client\"", "\"source\": \"client/\"", "source: write \"client\" without");
    one(
        "\"schema\": \"cmslite\"",
        "\"schema\": \"cmslite\", \"schema\": \"x\"",
        ": not valid JSON: the key \"schema\" is given twice",
    );
    one("{", "[", ": not valid JSON");
}

#[test]
fn what_an_archive_may_unpack_to_is_a_number_of_bytes() {
    let limited = |value: &str| SHIPPED.replacen('{', &format!("{{\"max_unpacked_bytes\": {value},"), 1);
    assert_eq!(parse("a.json", SHIPPED).unwrap().size_limits.unpacked_bytes, 68_719_476_736);
    assert_eq!(parse("a.json", &limited("1000000")).unwrap().size_limits.unpacked_bytes, 1_000_000);
    for wrong in ["0", "-1", "1.5", "\"64 GiB\"", "null"] {
        let found = parse("a.json", &limited(wrong)).unwrap_err().to_string();
        assert_eq!(
            found,
            "a.json: max_unpacked_bytes: expected a whole number of bytes above 0, such as 10000000000"
        );
    }
}

#[test]
fn how_few_rows_are_too_few_is_said_by_file_and_by_share() {
    let shipped = parse("a.json", SHIPPED).unwrap();
    assert_eq!(shipped.max_shrink_percent, None);
    assert!(shipped.tables.iter().all(|table| table.min_rows == 0));
    let with_share = |value: &str| SHIPPED.replacen('{', &format!("{{\"max_shrink_percent\": {value},"), 1);
    for (value, expected) in [("0", 0), ("20", 20), ("100", 100)] {
        assert_eq!(parse("a.json", &with_share(value)).unwrap().max_shrink_percent, Some(expected));
    }
    for wrong in ["-1", "101", "300", "0.5", "\"20\"", "null"] {
        let found = parse("a.json", &with_share(wrong)).unwrap_err().to_string();
        assert_eq!(found, "a.json: max_shrink_percent: expected a whole number from 0 to 100, in percent");
    }
    let appending = with_share("20").replace("\"truncate\": true", "\"truncate\": false");
    assert_eq!(
        parse("a.json", &appending).unwrap_err().to_string(),
        "a.json: max_shrink_percent: needs \"truncate\": true: while appending, no load makes a table smaller"
    );
    let with_rows = |value: &str| {
        SHIPPED.replacen(
            "\"dbtable\": \"cms_group\"",
            &format!("\"dbtable\": \"cms_group\", \"min_rows\": {value}"),
            1,
        )
    };
    let dataset = parse("a.json", &with_rows("500")).unwrap();
    assert_eq!(dataset.table_of("analytics_group").unwrap().min_rows, 500);
    assert_eq!(dataset.table_of("analytics_user_group").unwrap().min_rows, 0);
    for wrong in ["0", "-1", "1.5", "\"1\"", "null"] {
        let found = parse("a.json", &with_rows(wrong)).unwrap_err().to_string();
        assert_eq!(found, "a.json: files.analytics_group.min_rows: expected a whole number of rows above 0");
    }
}

#[test]
fn neither_table_of_the_ledger_may_be_loaded_into() {
    assert_eq!(parse("a.json", SHIPPED).unwrap().ledger_tables.to_string(), "cmslite.load_ledger_tables");
    for table in ["load_ledger", "Load_Ledger_Tables"] {
        one(
            "\"dbtable\": \"cms_group\"",
            &format!("\"dbtable\": \"{table}\""),
            "files.analytics_group.dbtable: is the ledger's table",
        );
    }
}

#[test]
fn all_mistakes_of_a_file_are_found_at_once() {
    let text = SHIPPED.replacen("\"truncate\": true,", "", 1).replacen(
        "\"column_count\": 4",
        "\"column_count\": 5",
        1,
    );
    assert_eq!(parse("a.json", &text).unwrap_err().0.len(), 2);
}

#[test]
fn datasets_that_would_feed_each_other_are_refused() {
    let other = SHIPPED.replace("\"client\"", "\"processed/good/client\"");
    let files = BTreeMap::from([("a.json".to_owned(), SHIPPED.to_owned()), ("b.json".to_owned(), other)]);
    let found = parse_all(&files).unwrap_err();
    assert!(found.to_string().contains("would be fed by what dataset a writes"), "{found}");
}

#[test]
fn a_table_may_carry_its_schema() {
    let dataset = parse("a.json", &SHIPPED.replacen("\"user_group\"", "\"Other.User_Group\"", 1)).unwrap();
    assert!(dataset.tables.iter().any(|table| table.name.to_string() == "other.user_group"));
}

#[test]
fn two_readings_and_two_revisions_of_a_name_are_staged_apart() {
    let dataset = parse("a.json", SHIPPED).unwrap();
    let key = "client/cmslite_gdx/N.tgz";
    assert_eq!(
        dataset.staged_stem(key, "\"0123456789abcdef-3\"", "1a2b", "m"),
        "processed/batch/client/cmslite_gdx/N/01234567-1a2b/m"
    );
    assert_eq!(dataset.good_key(key), "processed/good/client/cmslite_gdx/N.tgz");
    assert_eq!(dataset.error_key(key), "processed/bad/client/cmslite_gdx/N.tgz.error.json");
}
