//! Tests `quote_cells`: if it is `false`, no text of a cell is in anything that people read, whatever is
//! wrong with it.

use std::fmt::Write as _;
use std::fs;

use devstack::redshift::{Action, Fault};
use devstack::stack::BUCKET;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Harness, HarnessBuilder, cases, key, moto, sample, sample_with};
use crate::notices::topic;

/// What is in the cells of each case, and nowhere else.
const CELL: &str = "Zq7XwPrivate";

/// Everything that can be read of a bad or unsettled archive but the archive itself, what is staged of it, and
/// Redshift's own tables.
async fn outputs(
    builder: HarnessBuilder,
    archive: &[u8],
    fault: Option<Action>,
    hide_columns: bool,
) -> String {
    let moto = moto::start().await;
    let harness = builder
        .env("AWS_ENDPOINT_URL_SNS", moto.endpoint())
        .env("BAD_ARCHIVE_TOPIC_ARN", topic(&moto).await)
        .env("RUST_LOG", "trace")
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .env("STATUS_PAGE", "on")
        .start()
        .await;
    if hide_columns {
        // Then only COPY knows what a column takes. The view is there once a session was.
        Harness::report(harness.invoke(&harness.put("first", &sample(1, 2), 0)).await);
        harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    }
    if let Some(action) = fault {
        harness.stack.redshift.inject(Fault::on("COPY", action));
    }
    let mut told = String::new();
    let a = harness.put("a", archive, 1);
    write!(told, "{:?}", harness.invoke(&a).await).unwrap();
    told.push_str(&harness.log().await);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let local = harness.config_dir.path().join("local.tgz");
    fs::write(&local, archive).unwrap();
    let local = local.to_str().unwrap();
    let again = key("a");
    for arguments in [
        ["status", config].as_slice(),
        &["status", config, "--json"],
        &["status", config, "--html", "-"],
        &["load", config, "--again", &again],
        &["load", config, "--dry-run"],
        &["validate", config, local],
        &["validate", config, local, "--json"],
    ] {
        let (output, directory) = harness.command(arguments).await;
        told.push_str(&String::from_utf8_lossy(&output.stdout));
        told.push_str(&String::from_utf8_lossy(&output.stderr));
        let log = directory.path().join("logs/cmslite_user_data_to_redshift.log");
        told.push_str(&fs::read_to_string(log).unwrap_or_default());
    }
    for object in harness.keys().iter().filter(|key| key.contains(".json") || key.contains("/status/")) {
        told.push_str(&String::from_utf8(harness.stack.s3.read(BUCKET, object).unwrap()).unwrap());
    }
    for (subject, body) in moto.heard().await {
        write!(told, "{subject}\n{body}").unwrap();
    }
    told
}

/// Without the choice the texts are told, so that a search can find them.
async fn is_in_no_output(archive: Vec<u8>, fault: Option<Action>, hide_columns: bool) {
    let shown = outputs(Harness::builder(), &archive, fault.clone(), hide_columns).await;
    assert!(shown.contains(CELL), "{shown}");
    let withheld = outputs(Harness::builder().withholding_cells(), &archive, fault, hide_columns).await;
    let line = withheld.lines().find(|line| line.contains(CELL) || line.contains(&CELL[..8]));
    assert!(line.is_none(), "{}", line.unwrap_or_default());
}

fn groups(contents: impl Into<Vec<u8>>) -> Vec<u8> {
    sample_with("analytics_group.csv", contents)
}

fn group(cells: &str) -> Vec<u8> {
    groups(format!("id,name,active,site_key\n{cells}\n"))
}

fn activity(date: &str) -> Vec<u8> {
    let text = format!("user_id,user_idir,activity_type,memo,activity_date\n1,a,login,,{date}\n");
    sample_with("analytics_user_activity.csv", text)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

cases! {
    /// Each case is one in which the text is told where it may be.
    async a_cell: is_in_no_output {
        in_a_short_row(group(&format!("1,{CELL}")), None, false);
        in_a_long_row(group(&format!("1,a,t,k,{CELL}")), None, false);
        that_is_no_date(activity(CELL), None, false);
        in_a_zone_of_a_date(activity(&format!("2024-03-01 09:15:42.5 {CELL}")), None, false);
        that_is_no_boolean(group(&format!("1,a,{CELL},k")), None, false);
        that_is_too_long(group(&format!("1,{CELL}{},t,k", "x".repeat(300))), None, false);
        with_a_nul_byte(groups(bytes(&[b"id,name,active,site_key\n1,", CELL.as_bytes(), b"\0,t,k\n"])), None, false);
        that_is_not_utf_8(groups(bytes(&[b"id,name,active,site_key\n1,", CELL.as_bytes(), b"\xff,t,k\n"])), None, false);
        that_is_not_closed(group(&format!("1,\"{CELL},t,k")), None, false);
        with_text_behind_its_quote(group(&format!("1,\"a\"{CELL},t,k")), None, false);
        in_a_header_that_is_short(groups(format!("{CELL},b\n1,2\n")), None, false);
        in_a_header_split_elsewhere(groups(format!("{CELL};b;c;d\n1;2;3;4\n")), None, false);
        in_a_first_line_that_is_a_row(groups(format!("17,{CELL},t,k\n18,b,t,k\n19,c,f,k\n")), None, false);
        in_a_column_that_is_dropped(groups(format!("id,name,active,site_key,{CELL}\n1,a,t,k,x\n")), None, false);
        in_a_file_that_is_no_archive(format!("id,name\n1,{CELL}\n").into_bytes(), None, false);
        in_a_gzip_of_a_table(gzip(format!("id,name\n1,{CELL}\n").repeat(200).as_bytes()), None, false);
        in_html(groups(format!("<!DOCTYPE html><html><title>{CELL}</title></html>\n")), None, false);
        that_redshift_refuses(group(&format!("1,a,{CELL},k")), None, true);
        that_redshift_finds_too_long(group(&format!("1,{CELL}{},t,k", "x".repeat(300))), None, true);
        that_an_error_of_redshift_quotes(
            group("1,a,t,k"),
            Some(Action::Refuse("22001".to_owned(), format!("value too long for type character varying(6): {CELL}"))),
            false,
        );
    }
}

/// What is left says where to look: line, column, reason, length, and the byte.
#[tokio::test(flavor = "multi_thread")]
async fn place_reason_and_length_are_told() {
    let harness = Harness::builder().withholding_cells().start().await;
    let text = format!("id,name,active,site_key\n1,a,{CELL},k\n1,{CELL}\n");
    let report = Harness::report(harness.invoke(&harness.put("a", &groups(text), 1)).await);
    let problems = harness.error_json("a")["problems"].clone();
    assert_eq!(problems, report["bad"][0]["problems"]);
    let first = &problems[0];
    assert_eq!(
        (&first["line"], &first["column"], &first["code"]),
        (&2.into(), &"active".into(), &"bad_boolean".into())
    );
    assert_eq!(
        (&first["text"], &first["text_bytes"], &first["at_byte"]),
        (&().into(), &CELL.len().into(), &5.into())
    );
    assert_eq!((&problems[1]["line"], &problems[1]["text_bytes"]), (&3.into(), &(CELL.len() + 2).into()));

    let dated = Harness::report(harness.invoke(&harness.put("b", &activity("2024-13-01"), 2)).await);
    let reason = dated["bad"][0]["problems"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("at character 7 `-` was expected"), "{reason}");
}

/// An `error.json` of a time at which texts were told is not shown with them.
#[tokio::test(flavor = "multi_thread")]
async fn status_withholds_what_was_written_before() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &activity(CELL), 1)).await);
    let config = harness.config_file();
    let withholding =
        fs::read_to_string(&config).unwrap().replace("\"quote_cells\": true", "\"quote_cells\": false");
    for (text, is_shown) in [(None, true), (Some(withholding), false)] {
        if let Some(text) = text {
            fs::write(&config, text).unwrap();
        }
        for arguments in
            [["status", config.to_str().unwrap()].as_slice(), &["status", config.to_str().unwrap(), "--json"]]
        {
            let (output, _directory) = harness.command(arguments).await;
            let told = String::from_utf8(output.stdout).unwrap();
            assert!(told.contains("not a date") && told.contains(&CELL[..4]) == is_shown, "{told}");
        }
    }
}
