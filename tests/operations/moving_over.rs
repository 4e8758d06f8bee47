//! Tests the page about replacing the script, which first runs side by side with it.

use devstack::redshift::postgresql_ddl;
use devstack::stack::{BUCKET, LOADER_PASSWORD};

use super::page::Section;
use super::reader::{Ran, Reader};
use crate::harness::{Harness, SHIPPED, expected, good_key, key, members, moment, sample};

/// Returns the state that the script leaves: the rows of its newest archive in the tables, copies of the
/// settled archives, and no ledger.
async fn after_the_script() -> Reader {
    let reader = Reader::start(SHIPPED).await;
    let harness = &reader.harness;
    Harness::report(harness.invoke(&harness.put("new", &sample(2, 20), 20)).await);
    harness.admin("DROP TABLE cmslite.load_ledger").await;
    harness.put("old", &sample(1, 20), 10);
    for (name, archive) in [("old", sample(1, 20)), ("new", sample(2, 20))] {
        harness.stack.s3.put_at(BUCKET, &good_key(name), &archive, moment(30)).unwrap();
    }
    reader
}

#[tokio::test(flavor = "multi_thread")]
async fn both_run_side_by_side_and_the_script_is_switched_off() {
    let mut reader = after_the_script().await;
    let mut section = Section::of("how-to/replace-the-script.md", "Run both side by side");
    // Step 2: a shell that knows nothing about a deployed stack.
    std::fs::remove_file(reader.directory.path().join(".state")).unwrap();
    let config = section.take("CONFIG=");
    reader.run(config).await;
    let variables = section
        .take("PGHOST=")
        .replace("REGION=REGION", "REGION=ca-central-1")
        .replace("PGHOST=HOST", "PGHOST=localhost")
        .replace("5439", &reader.harness.stack.redshift.port().to_string())
        .replace("PGDATABASE=DATABASE", &format!("PGDATABASE={}", reader.harness.stack.database));
    reader.run(&variables).await;
    let Ran { status, output } =
        reader.try_to(section.take("read -rs pgpass"), &format!("{LOADER_PASSWORD}\n")).await;
    assert_eq!(status, 0, "{output}");

    // Step 3: a separate schema and prefix.
    reader.run(section.take("side.json")).await;
    reader.run(section.take("side.sql")).await;
    let ddl = std::fs::read_to_string(reader.directory.path().join("side.sql")).unwrap();
    reader.harness.admin(&postgresql_ddl(&ddl).unwrap()).await;

    // Steps 4 and 5: what the loader would do, and then does. The script's tables and markers do not change.
    let before = reader.harness.tables().await;
    let script = |reader: &Reader| {
        reader.harness.keys().into_iter().filter(|key| key.starts_with("processed/")).collect::<Vec<_>>()
    };
    let markers = script(&reader);
    let told = reader.run(section.take("check side.json")).await;
    assert!(told.contains("0 good, 0 bad, 1 superseded, 1 to load"), "{told}");
    let told = reader.run(section.take("load side.json --dry-run")).await;
    assert!(
        told.contains(&format!("good  {}", key("new"))) && told.contains("cmslite_side.user_group: 20 rows"),
        "{told}"
    );
    let told = reader.run(section.take("load side.json")).await;
    assert!(told.contains(&key("new")) && told.contains("settled as good"), "{told}");
    let harness = &reader.harness;
    assert_eq!(
        harness.query("SELECT COUNT(*) FROM cmslite_side.user_status").await,
        [[Some("20".to_owned())]]
    );
    assert_eq!(harness.tables().await, before);
    assert_eq!(script(&reader), markers);

    // Step 6: the document's own queries.
    let queries = [section.take("EXCEPT"), section.take("EXCEPT")];
    for query in queries {
        assert_eq!(harness.query(query).await, [[Some("0".to_owned())]], "{query}");
    }
    harness.admin("UPDATE cmslite.user_group SET site_key = '7' WHERE id = '00001'").await;
    for query in queries {
        assert_eq!(harness.query(query).await, [[Some("1".to_owned())]], "{query}");
    }

    // Step 7: what the script settled stays settled, and the next upload is loaded.
    let status = reader.run(section.take("status")).await;
    assert!(status.contains("Queue 0") && status.contains("good 2"), "{status}");
    let harness = &reader.harness;
    Harness::report(harness.invoke(&harness.put("next", &sample(3, 20), 40)).await);
    assert_eq!(harness.tables().await, expected(&members(3, 20)));
    assert!(harness.is_good("next"));
}
