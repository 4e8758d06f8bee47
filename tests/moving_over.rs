//! docs/operations.md, "Moving over from the script, side by side first", and "Re-upload", step by step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod support;

use devstack::redshift::plain_ddl;
use devstack::stack::BUCKET;
use serde_json::Value;
use support::{World, bad_key, expected, good_key, key, members, moment, sample, sample_with, world};

const RUNBOOK: &str = include_str!("../docs/operations.md");

/// What the script leaves behind: its newest archive's rows in the tables, and copies of what it settled. No ledger.
async fn after_the_script() -> World {
    let world = world().await;
    World::report(world.invoke(&world.put("new", &sample(2, 20), 20)).await);
    world.admin("DROP TABLE cmslite.load_ledger").await;
    world.put("old", &sample(1, 20), 10);
    for (name, archive) in [("old", sample(1, 20)), ("new", sample(2, 20))] {
        world.stack.s3.put_at(BUCKET, &good_key(name), &archive, moment(30)).unwrap();
    }
    world
}

async fn command(world: &World, arguments: &[&str], config: &str) -> String {
    let documented = format!("cmslite-user-data-to-redshift {}", arguments.join(" ").replace(config, "side.json"));
    assert!(RUNBOOK.contains(&documented) || !documented.contains("side.json"), "the runbook has no command {documented}");
    let (output, _directory) = world.command(arguments).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn both_run_side_by_side_and_the_script_is_switched_off() {
    let world = after_the_script().await;
    // 1: a schema and a prefix of its own.
    let mut side: Value = serde_json::from_str(support::SHIPPED).unwrap();
    side["schema"] = "cmslite_side".into();
    side["destination"] = "processed_side".into();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("side.json");
    std::fs::write(&file, side.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let ddl = [include_str!("../ddl/tables.sql"), include_str!("../ddl/grants.sql")].join("\n").replace("cmslite.", "cmslite_side.");
    let ddl = ddl.replace("SCHEMA cmslite ", "SCHEMA cmslite_side ").replace("EXISTS cmslite;", "EXISTS cmslite_side;");
    world.admin(&plain_ddl(&ddl).unwrap()).await;

    // 2 and 3: what it would do, and does, which the script's tables and markers do not notice.
    let before = world.tables().await;
    let markers = world.keys().into_iter().filter(|key| key.starts_with("processed/")).collect::<Vec<_>>();
    assert!(command(&world, &["check", file], file).await.contains("0 good, 0 bad, 1 superseded, 1 to load"));
    let dry = command(&world, &["load", file, "--dry-run"], file).await;
    assert!(dry.contains(&format!("good  {}", key("new"))) && dry.contains("cmslite_side.user_group: 20 rows"), "{dry}");
    let loaded = command(&world, &["load", file], file).await;
    assert!(loaded.contains(&key("new")) && loaded.contains("settled as good"), "{loaded}");
    assert_eq!(world.query("SELECT COUNT(*) FROM cmslite_side.user_status").await, [[Some("20".to_owned())]]);
    assert_eq!(world.tables().await, before);
    assert_eq!(world.keys().into_iter().filter(|key| key.starts_with("processed/")).collect::<Vec<_>>(), markers);

    // 4: the runbook's own queries.
    let queries: Vec<&str> = RUNBOOK.lines().map(str::trim).filter(|line| line.contains("EXCEPT")).collect();
    assert_eq!(queries.len(), 2);
    for query in &queries {
        assert_eq!(world.query(query).await, [[Some("0".to_owned())]], "{query}");
    }
    world.admin("UPDATE cmslite.user_group SET site_key = '7' WHERE id = '00001'").await;
    for query in &queries {
        assert_eq!(world.query(query).await, [[Some("1".to_owned())]], "{query}");
    }

    // 5: what the script settled stays settled, and the next upload is loaded.
    let status = command(&world, &["status", world.config_file().to_str().unwrap()], file).await;
    assert!(status.contains("Queue 0") && status.contains("good 2"), "{status}");
    World::report(world.invoke(&world.put("next", &sample(3, 20), 40)).await);
    assert_eq!(world.tables().await, expected(&members(3, 20)));
    assert!(world.is_good("next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_archive_is_loaded_and_its_bad_marker_goes() {
    let world = world().await;
    World::report(world.invoke(&world.put("a", &sample_with("analytics_group.csv", "a,b\n1,2\n"), 10)).await);
    assert!(world.is_bad("a"));
    World::report(world.invoke(&world.put("a", &sample(4, 9), 20)).await);
    assert_eq!(world.tables().await, expected(&members(4, 9)));
    assert!(world.is_good("a") && !world.keys().contains(&bad_key("a")));
}
