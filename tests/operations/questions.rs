//! Tests docs/faq.md and docs/how-to/deploy.md: each statement and each command is run as it is printed.

use devstack::stack::{LOADER, LOADER_PASSWORD};
use tokio_postgres::SimpleQueryMessage;

use super::page::Section;
use super::reader::Reader;
use crate::harness::{Harness, SHIPPED, key, sample};

/// Runs a statement as a user would, through the stand-in, which refuses what Redshift does not support.
async fn answer(harness: &Harness, statement: &str) -> Vec<Vec<String>> {
    let client = harness.stack.client(LOADER, LOADER_PASSWORD).await.unwrap();
    let answer =
        client.simple_query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_questions_of_a_day_are_answered() {
    let mut reader = Reader::start(SHIPPED).await;
    let archive = sample(1, 12);
    Harness::report(reader.harness.invoke(&reader.harness.put("2024-02-29", &archive, 10)).await);
    Harness::report(reader.harness.invoke(&reader.harness.put("2024-03-01", &sample(2, 7), 20)).await);

    let mut section = Section::of("faq.md", "What is loaded?");
    let loads = answer(&reader.harness, section.take("LIMIT 10")).await;
    assert_eq!(loads.len(), 2);
    assert_eq!((&loads[0][0], &loads[0][2]), (&key("2024-03-01"), &"28".to_owned()));
    let tables = answer(&reader.harness, section.take("load_ledger_tables")).await;
    assert_eq!(tables.len(), 8);
    assert_eq!((&tables[0][2], &tables[0][3]), (&"cmslite.cms_group".to_owned(), &"7".to_owned()));
    let twice = Section::of("faq.md", "Is it the same export twice?").take("sha256");
    assert_eq!(answer(&reader.harness, twice).await.len(), 0);

    let holder = reader.harness.stack.client(LOADER, LOADER_PASSWORD).await.unwrap();
    holder.batch_execute("BEGIN; LOCK cmslite.load_ledger_lock").await.unwrap();
    let locks = Section::of("faq.md", "Who holds a lock?").take("svv_transactions");
    let held = answer(&reader.harness, locks).await;
    assert!(held.iter().any(|lock| lock[1] == LOADER && lock[4] == "load_ledger_lock"), "{held:?}");
    holder.batch_execute("ROLLBACK").await.unwrap();

    let status = Section::of("faq.md", "What is waiting, what is bad, and why?").take("status");
    let told = reader.run(status).await;
    assert!(told.contains("good 2") && told.contains("Markers and ledger agree"), "{told}");
    let again = Section::of("faq.md", "How do I load it again?").take("--again");
    let told = reader.run(again).await;
    assert!(told.contains(&key("2024-03-01")), "{told}");
    assert_eq!(reader.harness.rows("cms_group").await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_goes_as_it_is_described() {
    let mut reader = Reader::start(SHIPPED).await;
    let check = Section::of("how-to/deploy.md", "6. Check the deployment").take("check");
    let told = reader.run(check).await;
    assert!(told.contains("An archive can be loaded. Nothing was loaded."), "{told}");
    let name = "cms-analytics-csv_2024-03-01.tgz";
    std::fs::write(reader.directory.path().join(name), sample(1, 12)).unwrap();
    let mut section = Section::of("how-to/deploy.md", "7. The first load");
    reader.run(section.take("validate")).await;
    reader.run(&section.take("aws s3 cp").replace("BUCKET", devstack::stack::BUCKET)).await;
    Harness::report(reader.harness.invoke(&key("2024-03-01")).await);
    let told = reader.run(section.take("status")).await;
    assert!(told.contains("good 1"), "{told}");
}
