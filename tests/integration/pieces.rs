//! Tests that staged files are pieces: whole rows after a header line each, from which the member's lines are
//! found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cmslite_core::config::{self, Staging};
use cmslite_user_data_to_redshift::redshift::statement::{Authorization, Copy, Statement};
use cmslite_user_data_to_redshift::stage::{Manifest, StagedKeys, staged_text};
use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault};
use devstack::stack::{BUCKET, LOADER, LOADER_PASSWORD};

use crate::harness::{Harness, SHIPPED, key, long_sample, moment, quoting, sample, sample_with};

const GROUPS: &str = "analytics_group.csv";

/// Rows of some ninety bytes, every hundredth with a line end in a cell, every thousandth behind a blank line. Beside
/// them, on which line each begins.
fn groups(rows: usize) -> (String, Vec<usize>) {
    let (mut text, mut line, mut lines) = (String::from("id,name,active,site_key\n"), 2, Vec::new());
    for n in 0..rows {
        if n % 1000 == 999 {
            text.push('\n');
            line += 1;
        }
        lines.push(line);
        let name = if n % 100 == 0 {
            "\"a name of\ntwo lines\""
        } else {
            "a name that makes a row long enough for several pieces"
        };
        writeln!(text, "{n},{name},t,a key of a site").unwrap();
        line += if n % 100 == 0 { 2 } else { 1 };
    }
    (text, lines)
}

/// A piece as it lies in S3, and its text.
struct Piece {
    packed_bytes: usize,
    text: Vec<u8>,
}

/// The pieces by table's member, in their order.
fn pieces(harness: &Harness) -> BTreeMap<String, Vec<Piece>> {
    let mut pieces: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    for key in harness.keys().iter().filter(|key| key.contains("/batch/") && !key.contains(".manifest")) {
        let (_, name) = key.rsplit_once('/').unwrap();
        let (member, ending) = name.split_once('.').unwrap();
        let bytes = harness.stack.s3.read(BUCKET, key).unwrap();
        let packed_bytes = bytes.len();
        let text = if ending.contains("zst") { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
        pieces.entry(member.to_owned()).or_default().push(Piece { packed_bytes, text });
    }
    pieces
}

/// The shipped configuration with this under `staging`.
fn staging(value: &str) -> String {
    quoting(SHIPPED).replacen('{', &format!("{{\"staging\": \"{value}\","), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_member_is_staged_in_pieces_that_are_files_of_their_own() {
    for (config, most_bytes, rows) in
        [(staging("plain"), 4 << 20, 200_000), (quoting(SHIPPED), 6 << 20, 300_000)]
    {
        let harness = Harness::builder().config(config).start().await;
        let (text, lines) = groups(rows);
        let a = harness.put("a", &sample_with(GROUPS, text.clone()), 1);
        Harness::report(harness.invoke(&a).await);
        let count = harness
            .query("SELECT count(*), count(DISTINCT id), count(DISTINCT name) FROM cmslite.cms_group")
            .await;
        assert_eq!(count, [[rows, rows, 2].map(|count| Some(count.to_string()))]);

        let staged = pieces(&harness);
        assert!(staged.iter().all(|(member, pieces)| member == "analytics_group" || pieces.len() == 1));
        let groups = &staged["analytics_group"];
        let (last, others) = groups.split_last().unwrap();
        assert!(others.len() >= 2, "{}", others.len());
        for piece in others {
            assert!((1024 * 1024..=most_bytes).contains(&piece.text.len()), "{}", piece.text.len());
        }
        let mut found = 0;
        for piece in others.iter().chain([last]) {
            let mut reader = csv::Reader::from_reader(piece.text.as_slice());
            assert_eq!(reader.headers().unwrap(), vec!["id", "name", "active", "site_key"]);
            found += reader.records().map(Result::unwrap).count();
        }
        assert_eq!(found, lines.len());
        let operations = harness.stack.s3.requests();
        assert!(!operations.iter().any(|request| request.operation == "CreateMultipartUpload"));
    }
}

/// Only members of a megabyte and more are compressed unless the configuration says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_staged_is_a_quarter_of_the_csv_at_most() {
    let harness = Harness::start().await;
    let csv_bytes = 20_000_000;
    let a = harness.put("a", &long_sample(1, csv_bytes), 1);
    Harness::report(harness.invoke(&a).await);
    let objects = harness.stack.s3.objects(BUCKET);
    let staged: u64 =
        objects.iter().filter(|object| object.key.contains("/batch/")).map(|object| object.size).sum();
    assert!(staged > 0 && staged * 4 <= csv_bytes, "{staged} bytes were staged for {csv_bytes}");
    assert!(pieces(&harness).values().flatten().all(|piece| piece.packed_bytes < piece.text.len()));

    harness.reset().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 100), 1)).await);
    assert!(!harness.keys().iter().any(|key| key.contains(".csv.zst")), "{:?}", harness.keys());
}

/// As many as eighty gigabytes have: what COPY is told, and the manifest that it reads.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_pieces_are_loaded() {
    const PIECES: usize = 10_000;
    let harness = Harness::start().await;
    let dataset = config::parse("cmslite_user_group_metadata.json", SHIPPED).unwrap();
    let table = dataset.table_of("analytics_group").unwrap();
    let keys = StagedKeys::new(&dataset, &key("a"), "\"0123456789\"", "abcdefgh", table, Staging::Zstd);
    let columns: Vec<&str> = table.loaded_columns().collect();
    let text = format!("{}\n1,a,t,b\n", columns.join(","));
    let piece = staged_text(Staging::Zstd, text).unwrap();
    let s3 = &harness.stack.s3;
    s3.put_all_at(BUCKET, (0..PIECES).map(|at| keys.piece(at)), &piece, moment(1)).unwrap();
    let manifest = Manifest::of(BUCKET, &keys, PIECES).to_json();
    s3.put_at(BUCKET, &keys.manifest(), manifest.as_bytes(), moment(1)).unwrap();
    let copy = Statement::Copy(Copy {
        table: &table.name,
        columns,
        manifest: &format!("s3://{BUCKET}/{}", keys.manifest()),
        authorization: &Authorization::DefaultRole,
        region: None,
        staging: keys.staging(),
        quoting: dataset.quoting,
    });
    let client = harness.stack.client(LOADER, LOADER_PASSWORD).await.unwrap();
    client.batch_execute(copy.wire_text().expose()).await.unwrap();
    let count = harness.query("SELECT count(*) FROM cmslite.cms_group").await;
    assert_eq!(count, [[Some(PIECES.to_string())]]);
}

/// Nowhere is a row's line told but as its piece and the line there.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_of_any_piece_is_told_with_the_members_line() {
    for config in [staging("plain"), staging("zstd")] {
        // The one table of load errors tells no texts: they are read back from the pieces.
        let told_by = |options: &mut devstack::redshift::Options| options.sys_tables = true;
        let harness = Harness::builder().config(config).redshift(told_by).start().await;
        // The stand-in makes a database pass for Redshift's when somebody first logs in.
        Harness::report(harness.invoke(&harness.put("0", &sample_with(GROUPS, groups(1).0), 0)).await);
        harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
        let (text, lines) = groups(300_000);
        let refused = [3, 100, 77_777, 123_400, 299_999];
        let mut rows: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        for n in refused {
            let at = (lines[n] - 1..rows.len()).find(|at| rows[*at].contains(",t,")).unwrap();
            rows[at] = rows[at].replace(",t,", ",maybe,");
        }
        let a = harness.put("a", &sample_with(GROUPS, rows.concat()), 1);
        let report = Harness::report(harness.invoke(&a).await);
        assert_eq!(report["objects_bad"], 1, "{report}");
        let problems = &harness.error_json("a")["problems"];
        let told: Vec<(u64, String)> = problems
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| {
                assert_eq!((&problem["column"], &problem["member"]), (&"active".into(), &GROUPS.into()));
                (problem["line"].as_u64().unwrap(), problem["text"].as_str().unwrap().to_owned())
            })
            .collect();
        let expected: Vec<(u64, String)> = refused.map(|n| (lines[n] as u64, "maybe".to_owned())).to_vec();
        assert_eq!(told, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_try_removes_its_pieces() {
    for config in [staging("plain"), staging("zstd")] {
        let harness = Harness::builder().config(config).start().await;
        let a = harness.put("a", &sample_with(GROUPS, groups(150_000).0), 1);
        let refused = || Action::Refuse(403, "AccessDenied".to_owned());
        for (prefix, passed) in [(".00002.csv", 0), ("manifest", 1)] {
            harness.stack.s3.inject(Fault::on("PutObject", prefix, refused()).after(passed));
            let Outcome::Failed { error_type, .. } = harness.invoke(&a).await else {
                panic!("it was loaded")
            };
            assert_eq!(error_type, "Deployment.S3Access");
            assert!(
                !harness.keys().iter().any(|key| key.contains("/batch/")),
                "{prefix}: {:?}",
                harness.keys()
            );
            harness.stack.s3.clear_faults();
        }
        harness.put("a", b"no archive", 2);
        Harness::report(harness.invoke(&a).await);
        assert!(pieces(&harness).is_empty(), "{:?}", harness.keys());
    }
}
