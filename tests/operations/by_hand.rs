//! Tests the pages about permissions, loading again and backfill.

use std::path::{Path, PathBuf};

use devstack::stack::{LOADER, LOADER_PASSWORD};

use super::page::{Section, files};
use super::reader::{Ran, Reader};
use crate::harness::{Harness, SHIPPED, appending, expected, key, members, sample};

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_digested_kept_and_rotated() {
    let mut reader = Reader::start(SHIPPED).await;
    let mut section = Section::of("how-to/deploy.md", "Permissions in Redshift");
    let (read, digest) = (section.take("read -rs"), section.take("md5sum"));
    reader.try_to(read, &format!("{LOADER_PASSWORD}\n")).await;
    let digested = reader.run(digest).await.trim().to_owned();
    // PostgreSQL, from which Redshift is derived, computes the digest independently.
    let stored = format!(
        "BEGIN; SET LOCAL password_encryption = 'md5'; ALTER ROLE {LOADER} PASSWORD '{LOADER_PASSWORD}';
         SELECT rolpassword FROM pg_authid WHERE rolname = '{LOADER}'; ROLLBACK"
    );
    assert_eq!(reader.harness.query(&stored).await, [[Some(digested.clone())]]);
    // The user already exists in all databases of the tests, so this uses another one.
    let (create, create_secret, alter) =
        (section.take("CREATE USER"), section.take("create-secret"), section.take("ALTER USER"));
    for statement in [create, alter] {
        reader.harness.admin(&statement.replace("md5...", &digested).replace(LOADER, "runbook_user")).await;
        let stored =
            reader.harness.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'runbook_user'").await;
        assert_eq!(stored, [[Some(digested.clone())]]);
    }
    reader.harness.admin("DROP ROLE runbook_user").await;
    let arn = reader.run(create_secret).await;
    reader.run(&format!("PGPASS_SECRET_ID={}", arn.trim())).await;

    let stop =
        Section::of("how-to/rotate-the-login.md", "One user and a secret").take("put-function-concurrency");
    let stopped = reader.run(&stop.replace("FUNCTION", "\"$FUNCTION\"")).await;
    assert!(stopped.contains("\"ReservedConcurrentExecutions\": 0"), "{stopped}");
    reader.harness.stack.redshift.set_password(LOADER, "another");
    reader.try_to(read, "another\n").await;
    reader.run(section.take("put-secret-value")).await;
    let check = section.take("check");
    let told = reader.run(check).await;
    assert!(
        told.contains("ok    Redshift: login")
            && told.contains("An archive can be loaded. Nothing was loaded."),
        "{told}"
    );
    reader.harness.stack.redshift.set_password(LOADER, LOADER_PASSWORD);
    let Ran { status, output } = reader.try_to(check, "").await;
    assert!(status == 3 && output.contains("BAD   Redshift: login"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_loaded_once_more() {
    let mut reader = Reader::start(SHIPPED).await;
    Harness::report(reader.harness.invoke(&reader.harness.put("2024-03-01", &sample(1, 12), 10)).await);
    let mut section = Section::of("how-to/load-again.md", "Load one archive again");
    reader.run(section.take("KEY=")).await;
    for part in ["--again", "lambda invoke"] {
        reader.harness.admin("DELETE FROM cmslite.user_group WHERE id < '00007'").await;
        let told = reader.run(section.take(part)).await;
        assert!(told.contains(&key("2024-03-01")), "{told}");
        assert_eq!(reader.harness.tables().await, expected(&members(1, 12)), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_has_really_shrunk_is_let_through() {
    let config = SHIPPED.replacen('{', "{\"max_shrink_percent\": 20,", 1);
    let mut reader = Reader::start(&config).await;
    Harness::report(reader.harness.invoke(&reader.harness.put("2024-02-29", &sample(1, 12), 10)).await);
    Harness::report(reader.harness.invoke(&reader.harness.put("2024-03-01", &sample(2, 3), 20)).await);
    assert!(reader.harness.is_bad("2024-03-01"));
    let mut section = Section::of("how-to/load-again.md", "Accept an archive with few rows");
    let told = reader.run(section.take("status")).await;
    assert!(told.contains("the previous load had 12 for its table"), "{told}");
    reader.run(section.take("KEY=")).await;
    let told = reader.run(section.take("--accept-shrink")).await;
    assert!(told.contains("Too few rows, accepted by request"), "{told}");
    assert_eq!(reader.harness.tables().await, expected(&members(2, 3)));
    // The function finds the archive loaded, and another delivery changes nothing.
    let told = reader.run(section.take("lambda invoke")).await;
    assert!(told.contains("already_loaded"), "{told}");
    assert_eq!(reader.harness.ledger().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_archives_are_loaded_a_few_at_a_time() {
    let mut reader = Reader::start(&appending()).await;
    let names: Vec<String> =
        ["2024-02-26", "2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"]
            .map(str::to_owned)
            .into();
    for (at, name) in names.iter().enumerate() {
        reader.harness.put(name, &sample(at as u64, 3), i64::try_from(at).unwrap());
    }
    let keys: Vec<String> = names.iter().map(|name| key(name)).collect();
    let mut section = Section::of("how-to/load-again.md", "Load many archives");
    let told = reader.run(section.take("--dry-run")).await;
    assert!(keys.iter().all(|key| told.contains(&format!("good  {key}"))), "{told}");
    assert_eq!(reader.harness.ledger().await, Vec::<String>::new());
    reader.run(section.take("--limit 3")).await;
    assert_eq!(reader.harness.ledger().await, keys[..3]);
    reader.run(section.take("KEY=")).await;
    reader.run(section.take("--until")).await;
    assert_eq!(reader.harness.ledger().await, keys[..5]);
    reader.run(section.take("load")).await;
    assert_eq!(reader.harness.ledger().await, keys);
    assert_eq!(reader.harness.rows("user_group").await.len(), 18);
}

/// `ps` shows command lines, and a shell expands text in double quotes.
#[test]
fn no_document_has_a_password_on_a_command_line_or_in_double_quotes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "template.yaml"].iter().map(|name| root.join(name)).collect();
    for directory in ["docs", "ddl"] {
        files(&root.join(directory), &["md", "sql"], &mut found);
    }
    let double = regex::Regex::new(r#"(?i)(PASSWORD|pgpass)="|export \\?\w+="|--password"#).unwrap();
    let mut secrets = 0;
    for path in found {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let after: Vec<&str> = line.split("--secret-string ").skip(1).collect();
            secrets += after.len();
            assert!(after.iter().all(|value| value.starts_with("file://")), "{}: {line}", path.display());
            assert!(!double.is_match(line), "{}: {line}", path.display());
        }
    }
    assert!(secrets >= 2);
}
