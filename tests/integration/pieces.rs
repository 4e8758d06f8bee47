//! Staged files are pieces: whole rows behind a header line each, which tell the member's lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault};
use devstack::stack::BUCKET;

use crate::harness::{Harness, sample_with};

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

/// The pieces by table's member, in their order.
fn pieces(harness: &Harness) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut pieces: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for key in harness.keys().iter().filter(|key| key.contains("/batch/") && !key.contains(".manifest")) {
        let (_, name) = key.rsplit_once('/').unwrap();
        let (member, _) = name.split_once('.').unwrap();
        pieces.entry(member.to_owned()).or_default().push(harness.stack.s3.read(BUCKET, key).unwrap());
    }
    pieces
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_member_is_staged_in_pieces_that_are_files_of_their_own() {
    let harness = Harness::start().await;
    let (text, lines) = groups(200_000);
    let a = harness.put("a", &sample_with(GROUPS, text.clone()), 1);
    Harness::report(harness.invoke(&a).await);
    let count = harness
        .query("SELECT count(*), count(DISTINCT id), count(DISTINCT name) FROM cmslite.cms_group")
        .await;
    assert_eq!(count, [["200000", "200000", "2"].map(|cell| Some(cell.to_owned()))]);

    let staged = pieces(&harness);
    assert!(staged.iter().all(|(member, pieces)| member == "analytics_group" || pieces.len() == 1));
    let groups = &staged["analytics_group"];
    let (last, others) = groups.split_last().unwrap();
    assert!(others.len() >= 3, "{}", others.len());
    for piece in others {
        assert!((1024 * 1024..=4 * 1024 * 1024).contains(&piece.len()), "{}", piece.len());
    }
    let mut rows = 0;
    for piece in others.iter().chain([last]) {
        let mut reader = csv::Reader::from_reader(piece.as_slice());
        assert_eq!(reader.headers().unwrap(), vec!["id", "name", "active", "site_key"]);
        rows += reader.records().map(Result::unwrap).count();
    }
    assert_eq!(rows, lines.len());
    let operations = harness.stack.s3.requests();
    assert!(!operations.iter().any(|request| request.operation == "CreateMultipartUpload"));
}

/// Nowhere is a row's line told but as its piece and the line there.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_of_any_piece_is_told_with_the_members_line() {
    let harness = Harness::start().await;
    // The stand-in makes a database pass for Redshift's when somebody first logs in.
    Harness::report(harness.invoke(&harness.put("0", &sample_with(GROUPS, groups(1).0), 0)).await);
    harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    let (text, lines) = groups(200_000);
    let refused = [3, 100, 77_777, 123_400, 199_999];
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

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_try_removes_its_pieces() {
    let harness = Harness::start().await;
    let a = harness.put("a", &sample_with(GROUPS, groups(100_000).0), 1);
    let refused = || Action::Refuse(403, "AccessDenied".to_owned());
    for prefix in [".00002.csv", "manifest"] {
        harness.stack.s3.inject(Fault::on("PutObject", prefix, refused()));
        let Outcome::Failed { error_type, .. } = harness.invoke(&a).await else { panic!("it was loaded") };
        assert_eq!(error_type, "Deployment.S3Access");
        assert!(pieces(&harness).is_empty(), "{prefix}: {:?}", harness.keys());
        harness.stack.s3.clear_faults();
    }
    harness.put("a", b"no archive", 2);
    Harness::report(harness.invoke(&a).await);
    assert!(pieces(&harness).is_empty(), "{:?}", harness.keys());
}
