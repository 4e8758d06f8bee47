// The schema compared with the parser.
mod schema;
// The messages about mistakes.
mod told;

use std::collections::BTreeMap;

use self::schema::parse;
use super::{Dataset, Mistakes, PassedOver, Staging, parse_all};

const SHIPPED: &str = include_str!("../../../config.d/cmslite_user_group_metadata.json");

/// Returns the mistakes in the shipped file after `from` is replaced by `to`, as `key: reason`.
fn mistakes(from: &str, to: &str) -> Vec<String> {
    assert!(SHIPPED.contains(from), "{from}");
    let found = parse("a.json", &SHIPPED.replacen(from, to, 1)).expect_err("the configuration was accepted");
    assert!(found.0.iter().all(|mistake| mistake.file == "a.json" && mistake.place.is_some()));
    found.0.iter().map(|mistake| format!("{}: {}", mistake.key, mistake.reason)).collect()
}

/// Returns the only mistake, as `key: reason`.
#[track_caller]
fn only(mistakes: &Mistakes) -> String {
    let [mistake] = mistakes.0.as_slice() else { panic!("{mistakes}") };
    format!("{}: {}", mistake.key, mistake.reason)
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
fn status_pages_feed_no_source() {
    let text = SHIPPED.replacen("\"source\": \"client\"", "\"source\": \"processed\"", 1).replacen(
        "\"directory\": \"cmslite_gdx\"",
        "\"directory\": \"status\"",
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
        "files.analytics_user_activity.dateformat[0].field: \"when\" is not one",
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
        "files.analytics_user_activity.derived[0].from: \"memory\" is not one",
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
        "schema: the key is given twice",
    );
    one("{", "[", ": not valid JSON");
}

#[test]
fn what_an_archive_may_unpack_to_is_a_number_of_bytes() {
    let limited = |value: &str| SHIPPED.replacen('{', &format!("{{\"max_unpacked_bytes\": {value},"), 1);
    assert_eq!(parse("a.json", SHIPPED).unwrap().size_limits.unpacked_bytes, 68_719_476_736);
    assert_eq!(parse("a.json", &limited("1000000")).unwrap().size_limits.unpacked_bytes, 1_000_000);
    for wrong in ["0", "-1", "1.5", "\"64 GiB\"", "null"] {
        let found = only(&parse("a.json", &limited(wrong)).unwrap_err());
        assert!(
            found.starts_with(
                "max_unpacked_bytes: expected a whole number of bytes above 0, such as 10000000000"
            ),
            "{found}"
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
        let found = only(&parse("a.json", &with_share(wrong)).unwrap_err());
        assert!(
            found.starts_with("max_shrink_percent: expected a whole number from 0 to 100, in percent"),
            "{found}"
        );
    }
    let appending = with_share("20").replace("\"truncate\": true", "\"truncate\": false");
    assert_eq!(
        only(&parse("a.json", &appending).unwrap_err()),
        "max_shrink_percent: needs \"truncate\": true: without it, no load makes a table smaller"
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
        let found = only(&parse("a.json", &with_rows(wrong)).unwrap_err());
        assert!(
            found.starts_with("files.analytics_group.min_rows: expected a whole number of rows above 0"),
            "{found}"
        );
    }
}

#[test]
fn large_files_are_staged_compressed_unless_somebody_says_otherwise() {
    let with = |value: &str| parse("a.json", &SHIPPED.replacen('{', &format!("{{\"staging\": {value},"), 1));
    let of_sizes = |dataset: &Dataset| {
        [0, 1024 * 1024 - 1, 1024 * 1024, u64::MAX].map(|bytes| dataset.staging_of(bytes))
    };
    let (plain, zstd) = (Staging::Plain, Staging::Zstd);
    assert_eq!(of_sizes(&parse("a.json", SHIPPED).unwrap()), [plain, plain, zstd, zstd]);
    assert_eq!(of_sizes(&with("\"plain\"").unwrap()), [plain; 4]);
    assert_eq!(of_sizes(&with("\"zstd\"").unwrap()), [zstd; 4]);
    for value in ["\"gzip\"", "\"ZSTD\"", "true", "null"] {
        let told = only(&with(value).unwrap_err());
        assert!(told.starts_with("staging: expected \"plain\" or \"zstd\"; "), "{told}");
    }
}

#[test]
fn repeated_bytes_are_skipped_only_where_rows_are_added() {
    assert!(!parse("a.json", SHIPPED).unwrap().skips_repeated);
    let with = |truncate: &str, value: &str| {
        let config = SHIPPED.replacen("\"truncate\": true", &format!("\"truncate\": {truncate}"), 1);
        parse("a.json", &config.replacen('{', &format!("{{\"repeated\": {value},"), 1))
    };
    assert!(with("false", "\"skip\"").unwrap().skips_repeated);
    for value in ["\"load\"", "\"SKIP\"", "true", "null"] {
        let told = only(&with("false", value).unwrap_err());
        assert!(told.starts_with("repeated: expected \"skip\"; "), "{told}");
    }
    let told = only(&with("true", "\"skip\"").unwrap_err());
    assert_eq!(told, "repeated: needs \"truncate\": false: with truncate, no rows are loaded twice");
}

#[test]
fn no_table_of_the_ledger_may_be_loaded_into() {
    assert_eq!(parse("a.json", SHIPPED).unwrap().ledger_tables.to_string(), "cmslite.load_ledger_tables");
    for table in ["load_ledger", "Load_Ledger_Tables", "load_ledger_lock"] {
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
    assert!(found.to_string().contains("would read what dataset a writes"), "{found}");
}

/// The configuration is sound by itself, so that archives can be validated with it.
#[test]
fn a_bucket_that_is_not_named_yet_is_served_by_nobody() {
    let text = SHIPPED.replace("sp-ca-bc-gov-131565110619-12-microservices", "<bucket>");
    assert!(parse("a.json", &text).unwrap().has_placeholder());
    let found = parse_all(&BTreeMap::from([("a.json".to_owned(), text)])).unwrap_err().to_string();
    assert!(found.starts_with("a.json:3:13: bucket: is a placeholder; write the bucket's name"), "{found}");
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

#[test]
fn every_key_that_is_derived_fits_or_the_archive_is_none() {
    let dataset = parse("a.json", SHIPPED).unwrap();
    let member =
        dataset.tables.iter().map(|table| table.member.as_str()).max_by_key(|member| member.len()).unwrap();
    let prefix = format!("{}cms-analytics-csv", dataset.source_prefix());
    let mut lasts = 0;
    for length in 900..=1024 {
        let key = format!(
            "{prefix}{}.tgz",
            "é".repeat(600).as_str().get(..(length - prefix.len() - 4) / 2 * 2).unwrap()
        );
        if !dataset.matches(&key) {
            assert_eq!(dataset.passed_over(&key), Some(PassedOver::KeyTooLong), "{length}");
            continue;
        }
        lasts = key.len();
        let staged = dataset.staged_stem(&key, "\"0123456789abcdef\"", "1a2b3c4d", member);
        let staged = format!("{staged}.{}.csv.zst", u32::MAX);
        for derived in [dataset.good_key(&key), dataset.bad_key(&key), dataset.error_key(&key), staged] {
            assert!(derived.len() <= 1024, "{length}: {derived}");
        }
    }
    assert!((995..1000).contains(&lasts), "{lasts}");
    // The ending of a sidecar file is a better reason than its length.
    assert_eq!(dataset.passed_over(&format!("{prefix}{}.md5", "x".repeat(970))), Some(PassedOver::Checksum));
}

#[test]
fn a_hash_stands_for_a_name_that_is_too_long_to_be_staged() {
    let dataset = parse("a.json", SHIPPED).unwrap();
    let stem = |name: &str, reading: &str| {
        dataset.staged_stem(&format!("client/cmslite_gdx/{name}"), "\"01234567\"", reading, "m")
    };
    let long = "x".repeat(980);
    let hashed = stem(&format!("{long}.tgz"), "1a2b");
    assert!(hashed.starts_with("processed/batch/client/cmslite_gdx/"), "{hashed}");
    assert!(hashed.ends_with("/01234567-1a2b/m") && hashed.len() < 100, "{hashed}");
    assert_ne!(hashed, stem(&long, "1a2b"));
    assert_ne!(hashed, stem(&format!("{long}.tgz"), "1a2c"));
    // `N` and `N.tgz` with the same bytes differ in their readings.
    assert_ne!(stem("N", "1a2b"), stem("N.tgz", "1a2c"));
}

#[test]
fn keys_that_no_database_or_xml_holds_are_no_archives_s() {
    let dataset = parse("a.json", SHIPPED).unwrap();
    for (unfit, why) in [
        ("\0", Some(PassedOver::UnfitCharacter)),
        ("\u{fffe}", Some(PassedOver::UnfitCharacter)),
        ("\u{fffd}", Some(PassedOver::UnfitCharacter)),
        ("\r", None),
        ("\u{202e}", None),
    ] {
        let key = format!("client/cmslite_gdx/cms-analytics-csv{unfit}.tgz");
        assert_eq!((dataset.passed_over(&key), dataset.matches(&key)), (why, why.is_none()), "{key:?}");
        assert_eq!(dataset.passed_over(&format!("elsewhere/{unfit}")), None);
    }
}

#[test]
fn a_destination_that_leaves_no_room_for_staged_files_is_refused() {
    let refused =
        |length| parse("a.json", &SHIPPED.replace("\"processed\"", &format!("\"{}\"", "p".repeat(length))));
    assert!(refused(800).is_ok());
    assert!(refused(960).unwrap_err().to_string().contains("destination: too long"));
}
