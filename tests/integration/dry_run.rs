//! Tests that `load --dry-run` reads everything and changes nothing.

use devstack::stack::BUCKET;

use crate::harness::{Harness, key, sample, sample_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reads_everything_and_changes_nothing() {
    let harness = Harness::builder().appending().env("PGHOST", "").env("pgpass", "").start().await;
    harness.put("a", &sample(1, 5), 1);
    harness.put("b", &sample_with("analytics_group.csv", "id,name,active,site_key\n1,x\n"), 2);
    harness.put("c", b"no archive", 3);
    harness.put("d", &sample(2, 6), 4);
    let before = harness.keys();
    let config = harness.config_file();
    let (output, _) = harness.command(&["load", config.to_str().unwrap(), "--dry-run"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for line in [
        "good  client/cmslite_gdx/cms-analytics-csv_a.tgz\n          cmslite.cms_group: 5 rows",
        "BAD   client/cmslite_gdx/cms-analytics-csv_b.tgz\n      analytics_group.csv, line 2: the row has 2 of 4 columns",
        "BAD   client/cmslite_gdx/cms-analytics-csv_c.tgz\n      archive: the archive is not a sound gzip file",
        "good  client/cmslite_gdx/cms-analytics-csv_d.tgz\n          cmslite.cms_group: 6 rows",
        "Nothing was staged, loaded or settled.",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let (output, _) = harness
        .command(&["load", config.to_str().unwrap(), "--dry-run", "--limit", "1", "--until", &key("c")])
        .await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let rest = ["b", "c"].map(|name| format!("    {}\n", key(name))).concat();
    let rest = format!("  Not read, beyond --limit:\n{rest}");
    assert!(
        told.contains("good  ") && told.contains(&(rest + "  Nothing was")) && !told.contains("BAD"),
        "{told}"
    );
    assert_eq!(harness.keys(), before);
    assert!(harness.stack.redshift.statements().is_empty());
    harness.stack.s3.empty_bucket(BUCKET);
    harness.put("a", &sample(1, 5), 1);
    assert_eq!(
        harness.command(&["load", config.to_str().unwrap(), "--dry-run"]).await.0.status.code(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_a_dry_run_reads_what_a_bad_archive_uncovers() {
    let harness = Harness::builder().env("PGHOST", "").env("pgpass", "").start().await;
    for (name, archive, at) in [("a", sample(1, 5), 1), ("b", sample(2, 6), 2)] {
        harness.put(name, &archive, at);
    }
    harness.put("c", b"no archive", 3);
    let config = harness.config_file();
    let (output, _) = harness.command(&["load", config.to_str().unwrap(), "--dry-run"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let [a, b, c] = ["a", "b", "c"].map(key);
    for line in [
        format!("  good  {b}\n"),
        format!("  BAD   {c}\n"),
        format!("  Superseded by a newer archive, never loaded:\n    {a}\n"),
    ] {
        assert!(told.contains(&line), "{line:?} is not in {told}");
    }
    let (output, _) = harness.command(&["load", config.to_str().unwrap(), "--dry-run", "--limit", "1"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("  Not read, beyond --limit:\n    {b}\n")), "{told}");
    assert_eq!(harness.keys(), [a, b, c]);
}
