//! Tests that loads wait only for one another: the ledger can be read while a load holds its lock, and a
//! session that has read it and stays in a transaction delays no load.

use std::time::Duration;

use devstack::lambda::Outcome;
use devstack::redshift::{Action, Fault, Gate};
use devstack::stack::{LOADER, LOADER_PASSWORD, SUPERUSER_PASSWORD};

use tokio_postgres::SimpleQueryMessage;

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
    let rows = seen.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_)));
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
    let locked = "SELECT relation::regclass FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation' \
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(harness.query(locked).await, [[Some("cmslite.load_ledger_lock".to_owned())]]);
    let config = harness.config_file();
    let status = ["status", config.to_str().unwrap(), "--statement-timeout", "10s"];
    let (output, _) = harness.command(&status).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("Queue 1, superseded 0, bad 0, good 1; 1 load in the ledger"), "{told}");
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

/// A command that waits two seconds for each statement; what it says.
async fn stopped_load(harness: &Harness) -> String {
    let config = harness.config_file();
    let load = ["load", config.to_str().unwrap(), "--statement-timeout", "2s"];
    let (output, _) = harness.command(&load).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("Retryable.StatementTimeout"), "{told}");
    told
}

/// The sessions that the query which an error quotes shows to a superuser.
async fn shown_by_its_query(harness: &Harness, told: &str) -> Vec<Option<String>> {
    let (_, query) = told.split_once("a superuser can see").unwrap_or_else(|| panic!("{told}"));
    let (_, query) = query.split_once(" with ").unwrap();
    let (query, _) = query.split_once(", and can end a session with ").unwrap();
    let superuser = harness.stack.client("postgres", SUPERUSER_PASSWORD).await.unwrap();
    let rows = superuser.simple_query(query).await.unwrap();
    let rows = rows.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
        _ => None,
    });
    rows.collect()
}

/// What another session of a user does to a table, and which words name it.
async fn is_named(user: &str, password: &str, lock: &str, table: &str, is_seen: bool) {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let holder = harness.stack.client(user, password).await.unwrap();
    holder.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
    let pid = holder.simple_query("SELECT pg_backend_pid()").await.unwrap();
    let pid = pid.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    harness.put("b", &sample(2, 6), 2);
    let told = stopped_load(&harness).await;
    let named =
        format!("a lock on {table} is held by session {} of user {user} since 20", pid.as_ref().unwrap());
    assert_eq!(told.contains(&named), is_seen, "{named:?}: {told}");
    assert!(
        is_seen || told.contains(&format!("a superuser can see which other sessions hold a lock on {table}")),
        "{told}"
    );
    assert!(told.contains("SELECT pg_terminate_backend(PID)"), "{told}");
    assert_eq!(shown_by_its_query(&harness, &told).await, [pid]);
    // It is over, and the next run loads.
    holder.batch_execute("ROLLBACK").await.unwrap();
    let config = harness.config_file();
    let (output, _) = harness.command(&["load", config.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(harness.ledger().await, [key("a"), key("b")]);
}

cases! {
    async who_holds_a_lock_that_is_not_granted_is_named: is_named {
        another_load(LOADER, LOADER_PASSWORD, "LOCK cmslite.load_ledger_lock", "cmslite.load_ledger_lock", true);
        one_of_another_user("postgres", SUPERUSER_PASSWORD, "LOCK cmslite.load_ledger_lock", "cmslite.load_ledger_lock", false);
        on_a_table_that_is_loaded(LOADER, LOADER_PASSWORD, "LOCK cmslite.cms_group", "cmslite.cms_group", true);
        by_another_user_on_such_a_table("postgres", SUPERUSER_PASSWORD, "LOCK cmslite.cms_group", "cmslite.cms_group", false);
    }
}

/// Lambda's time is not over before that is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_has_the_time_to_say_who_holds_the_lock() {
    let harness = Harness::builder().timeout(Duration::from_secs(26)).start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let holder = harness.stack.client(LOADER, LOADER_PASSWORD).await.unwrap();
    holder.batch_execute("BEGIN; LOCK cmslite.load_ledger_lock").await.unwrap();
    let outcome = harness.invoke(&harness.put("b", &sample(2, 6), 2)).await;
    let Outcome::Failed { error_type, message } = outcome else { panic!("it loaded") };
    assert_eq!(error_type, "Retryable.StatementTimeout", "{message}");
    assert!(
        message.contains("is held by session ") && message.contains("of user cmslite_loader"),
        "{message}"
    );
    assert!(harness.is_unsettled("b"));
}
