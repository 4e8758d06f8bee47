//! Loads wait for one another and for nobody else: the ledger is read while a load holds its lock, and whoever has
//! read it and stays in a transaction delays no load.

use std::time::Duration;

use devstack::redshift::{Action, Fault, Gate};
use devstack::stack::{LOADER, LOADER_PASSWORD, SUPERUSER_PASSWORD};

use crate::harness::{Harness, cases, key, sample};

/// A BI tool that has read the ledger and left its transaction open, as such tools do.
async fn an_idle_reader_delays_nobody(harness: Harness) {
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let reader = harness.stack.client("postgres", SUPERUSER_PASSWORD).await.unwrap();
    let read = "BEGIN; SELECT * FROM cmslite.load_ledger; SELECT * FROM cmslite.load_ledger_tables";
    reader.batch_execute(read).await.unwrap();
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 6), 2)).await);
    assert!(harness.is_good("b"));
    assert_eq!(harness.ledger().await, [key("a"), key("b")]);
    // It was in its transaction all the time, and sees what was there at its beginning.
    let seen = reader.simple_query("SELECT key FROM cmslite.load_ledger").await.unwrap();
    let rows = seen.iter().filter(|message| matches!(message, tokio_postgres::SimpleQueryMessage::Row(_)));
    assert_eq!(rows.count(), 1);
}

cases! {
    async a_reader_idle_in_a_transaction_delays_no_load: an_idle_reader_delays_nobody {
        that_replaces(Harness::builder().timeout(IN_TIME).start().await);
        that_appends(Harness::builder().appending().timeout(IN_TIME).start().await);
    }
}

/// Where a load would wait for a reader, this long.
const IN_TIME: Duration = Duration::from_secs(60);

/// A load that is at its COPY holds its lock.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_loaded_is_told_while_a_load_is_under_way() {
    let harness = Harness::builder().appending().start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let gate = Gate::default();
    harness.stack.redshift.inject(Fault::on("COPY ", Action::Wait(gate.clone())).times(1));
    let b = harness.put("b", &sample(2, 6), 2);
    harness.lambda.invoke_asynchronously(Harness::event(&b));
    gate.reached().await;
    let locked = "SELECT relation::regclass FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'";
    assert_eq!(harness.query(locked).await, [[Some("cmslite.load_ledger_lock".to_owned())]]);
    let config = harness.config_file();
    let status = ["status", config.to_str().unwrap(), "--statement-timeout", "10s"];
    let (output, _) = harness.command(&status).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("Queue 1, superseded 0, bad 0, good 1; 1 loads in the ledger"), "{told}");
    gate.open();
    harness.becomes_good("b").await;
}

/// With no right to make tables, the loader needs these rights to the three of the ledger and no others.
#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_ddl_names_are_those_that_a_load_needs() {
    let harness = Harness::start().await;
    let ddl = include_str!("../../ddl/ledger.sql");
    harness.admin(&devstack::redshift::postgresql_ddl(ddl).unwrap()).await;
    harness.admin("REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader").await;
    let grants: Vec<&str> = ddl.lines().filter_map(|line| line.strip_prefix("--   ")).collect();
    let (loaders, readers): (Vec<&str>, Vec<&str>) =
        grants.into_iter().partition(|grant| grant.ends_with(&format!("TO {LOADER};")));
    assert_eq!((loaders.len(), readers.len()), (2, 2));
    harness.admin(&loaders.concat()).await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    // The ledger is read and added to, and nothing else.
    let loader = harness.stack.client(LOADER, LOADER_PASSWORD).await.unwrap();
    for refused in [
        "UPDATE cmslite.load_ledger SET row_count = 0",
        "DELETE FROM cmslite.load_ledger",
        "BEGIN; LOCK cmslite.load_ledger",
    ] {
        assert!(loader.batch_execute(refused).await.is_err(), "{refused}");
        loader.batch_execute("ROLLBACK").await.unwrap();
    }
    // Readers: a group is a role to PostgreSQL.
    let role = format!("analysts_{}", harness.stack.database);
    harness.admin(&format!("CREATE ROLE {role}")).await;
    harness.admin(&readers.concat().replace("GROUP analysts", &role)).await;
    harness.admin(&format!("SET ROLE {role}; SELECT * FROM cmslite.load_ledger JOIN cmslite.load_ledger_tables USING (sequence); RESET ROLE")).await;
    harness.admin(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
