//! Tests the status page that `status --html` and the function write, and that the function's page never
//! costs a run anything. Its contents are tested beside its code, and in a browser in tests/browser.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use devstack::dataset::Dataset;
use devstack::lambda::Outcome;
use devstack::redshift;
use devstack::s3::{Action, Fault};
use devstack::stack::{self, BUCKET, Stack};
use devstack::status_page::StatusPage;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::events::uploader;
use crate::harness::{Harness, HarnessBuilder, key, moment, sample, sample_with, temporary};

/// Where the function writes the page.
const PAGE: &str = "processed/status/cmslite_user_group_metadata.html";

fn with_page() -> HarnessBuilder {
    Harness::builder().env("STATUS_PAGE", "on")
}

fn page(harness: &Harness) -> String {
    String::from_utf8(harness.stack.s3.read(BUCKET, PAGE).expect("there is no page")).unwrap()
}

/// The page's heading.
#[track_caller]
fn heading(page: &str) -> &str {
    let (_, heading) = page.split_once("<h1>").unwrap_or_else(|| panic!("{page}"));
    heading.split_once("</h1>").unwrap().0
}

fn two_columns() -> Vec<u8> {
    sample_with("analytics_group.csv", "id,name,active,site_key\n1,<b>x</b>\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_writes_a_page_to_a_file_that_it_replaces_at_once() {
    let harness = Harness::builder().appending().start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    Harness::report(harness.invoke(&harness.put("<i>b", &two_columns(), 2)).await);
    harness.put("c", &sample(2, 5), 3);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let directory = temporary();
    let file = directory.path().join("status.html");
    fs::write(&file, "the former page").unwrap();

    let (output, _) = harness.command(&["status", config, "--html", file.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "something was left beside it");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("<!DOCTYPE html>") && written.ends_with("</html>"), "{written}");
    assert_eq!(heading(&written), "1 archive is bad: it must be corrected");
    for text in [
        "aria-label=\"Rows of cmslite.cms_group in each of the last loads, oldest first: 5\"",
        "<bdi>client/cmslite_gdx/cms-analytics-csv_&lt;i&gt;b.tgz</bdi>",
        "<td role=\"cell\" data-label=\"Line\">2</td>",
        "<td role=\"cell\" data-label=\"What is wrong\">the row has 2 of 4 columns</td>",
        "&lt;b&gt;x&lt;/b&gt;",
        "<bdi>client/cmslite_gdx/cms-analytics-csv_c.tgz</bdi>",
        "The markers in S3 and the ledger in Redshift agree.",
    ] {
        assert!(written.contains(text), "{text} is not in {written}");
    }

    let (output, _) = harness.command(&["status", config, "--html", "-"]).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("<!DOCTYPE html>") && printed.ends_with("</html>"), "{printed}");
    assert_eq!(heading(&printed), heading(&written));
    let (output, _) = harness.command(&["status", config, "--html", file.to_str().unwrap(), "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["bad_count"], 1);
    let (output, _) = harness.command(&["status", config, "--html", "-", "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["error"]["type"]), (Some(2), &"Usage".into()));

    // A page of what can be told without Redshift is written too, and the status says that this is not all.
    harness.stack.redshift.inject(redshift::Fault::on(
        "load_ledger",
        redshift::Action::Refuse("42501".to_owned(), "permission denied".to_owned()),
    ));
    let (output, _) = harness.command(&["status", config, "--html", file.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the ledger cannot be read"));
    assert!(fs::read_to_string(&file).unwrap().contains("the ledger in Redshift could not be read"));

    let nowhere = directory.path().join("nowhere/status.html");
    let (output, _) = harness.command(&["status", config, "--html", nowhere.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("cannot write the page to "), "{told}");
}

/// Under truncate a bad archive that a newer good one follows is no loss, also where only the markers say so.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_bad_archive_is_no_loss_while_redshift_is_silent() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &two_columns(), 1)).await);
    Harness::report(harness.invoke(&harness.put("b", &sample(1, 5), 2)).await);
    harness.stack.redshift.inject(redshift::Fault::on(
        "load_ledger",
        redshift::Action::Refuse("42501".to_owned(), "permission denied".to_owned()),
    ));
    let config = harness.config_file();
    let (output, _) = harness.command(&["status", config.to_str().unwrap(), "--html", "-"]).await;
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(heading(&page), "The ledger in Redshift cannot be read");
}

/// What is named for the page may be a link, and what is behind that need be no file.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_stays_what_it_is() {
    let harness = Harness::start().await;
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let directory = temporary();
    let place = directory.path();
    fs::write(place.join("former.html"), "the former page").unwrap();
    for (link, behind) in [("a", "former.html"), ("b", "new.html"), ("c", "/proc/self/fd/1")] {
        std::os::unix::fs::symlink(behind, place.join(link)).unwrap();
        let (output, _) =
            harness.command(&["status", config, "--html", place.join(link).to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(0), "{link}: {output:?}");
        assert_eq!(fs::read_link(place.join(link)).unwrap().to_str(), Some(behind));
        let page = if link == "c" { output.stdout } else { fs::read(place.join(behind)).unwrap() };
        let page = String::from_utf8(page).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{link}: {page}");
    }
    // A directory is none either, and cannot be written to.
    let (output, _) = harness.command(&["status", config, "--html", place.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("cannot write the page to "), "{told}");
    let mut left: Vec<_> = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a", "b", "c", "former.html", "new.html"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_writes_its_page_after_each_run() {
    let harness = with_page().appending().start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!(heading(&page(&harness)), "The only archive is loaded");
    let written = harness.stack.s3.requests().into_iter().rfind(|request| request.operation == "PutObject");
    assert_eq!(written.unwrap().key.as_deref(), Some(PAGE), "the page is not the last thing written");
    let read = uploader(&harness).get_object().bucket(BUCKET).key(PAGE).send().await.unwrap();
    assert_eq!(
        (read.content_type(), read.cache_control()),
        (Some("text/html; charset=utf-8"), Some("no-cache"))
    );

    Harness::report(harness.invoke(&harness.put("b", &two_columns(), 2)).await);
    let after = page(&harness);
    assert_eq!(heading(&after), "1 archive is bad: it must be corrected");
    assert!(after.contains("the row has 2 of 4 columns"), "{after}");

    // Bad and then corrected, while another waits behind a bad one.
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 3)).await);
    assert_eq!(heading(&page(&harness)), "All 2 archives are loaded");
    harness.put("c", &two_columns(), 4);
    let outcome = harness.invoke(&harness.put("d", &sample(3, 5), 5)).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let after = page(&harness);
    assert_eq!(heading(&after), "1 archive is bad: it must be corrected");
    assert!(after.contains("Archives that wait to be loaded") && after.contains("csv_d.tgz"), "{after}");
    Harness::report(harness.sweep().await);
    let after = page(&harness);
    assert_eq!(heading(&after), "1 archive is bad: it must be corrected");
    assert!(after.contains("No archive waits.") && after.contains("csv_c.tgz"), "{after}");
    let label = "Rows of cmslite.cms_group in each of the last loads, oldest first: 5; 5; 5";
    assert!(after.contains(label), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_a_bad_archive_is_missing_until_a_newer_one_is_loaded() {
    let harness = with_page().start().await;
    harness.put("a", &sample(1, 5), 1);
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 2)).await);
    let after = page(&harness);
    assert_eq!(heading(&after), "The newest archive is loaded");
    assert!(after.contains("<dt>Superseded</dt><dd>1</dd>"), "{after}");
    Harness::report(harness.invoke(&harness.put("c", &two_columns(), 3)).await);
    assert_eq!(heading(&page(&harness)), "1 archive is bad: it must be corrected");
    Harness::report(harness.invoke(&harness.put("d", &sample(3, 5), 4)).await);
    let after = page(&harness);
    assert_eq!(heading(&after), "The newest archive is loaded");
    assert!(after.contains("A newer archive has been loaded since then"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_says_so_on_the_page() {
    let harness = with_page().env("pgpass", "wrong").start().await;
    let outcome = harness.invoke(&harness.put("a", &sample(1, 5), 1)).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let after = page(&harness);
    assert_eq!(heading(&after), "The last run failed: someone must act (Deployment.LoginRefused)");
    assert!(after.contains("csv_a.tgz") && after.contains("Waits for"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_written_fails_no_run() {
    let harness = with_page().start().await;
    let refusal = Action::Refuse(403, "AccessDenied".to_owned());
    harness.stack.s3.inject(Fault::on("PutObject", "/status/", refusal));
    let report = Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!(report["objects_good"], 1);
    let log = harness.log().await;
    let warning = log.lines().find(|line| line.contains("cannot write the status page")).unwrap();
    assert!(warning.contains("\"WARN\"") && warning.contains("Deployment.S3Access"), "{warning}");
    assert!(!harness.keys().iter().any(|key| key == PAGE));
}

/// Its time is what the run has left: first of all the report is handed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_left_little_time_writes_no_page() {
    let harness = with_page().timeout(Duration::from_secs(22)).start().await;
    let report = Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!(report["objects_good"], 1);
    assert!(!harness.keys().iter().any(|key| key == PAGE));
    assert!(harness.log().await.contains("the status page is not written: too little time is left"));
}

/// A cluster that does not answer holds neither the run nor the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_does_not_wait_for_redshift() {
    let harness = with_page().start().await;
    harness.stack.redshift.inject(redshift::Fault::on("LEFT JOIN", redshift::Action::Silence));
    let report = Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!((&report["objects_good"], &report["failure"]), (&1.into(), &Value::Null));
    let after = page(&harness);
    assert_eq!(heading(&after), "The ledger in Redshift cannot be read");
    assert!(after.contains("the time is nearly up, while waiting for Redshift: "), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_switch_there_is_no_page() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert!(!harness.keys().iter().any(|key| key.contains("/status/")));
}

/// The page lists nothing: its requests are those for the `error.json`s that it shows, and its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_costs_requests_that_do_not_grow_with_history() {
    let harness = with_page().appending().start().await;
    let s3 = &harness.stack.s3;
    s3.put_all_at(BUCKET, (0..2_500).map(|n| key(&format!("{n:05}"))), b"x", moment(0)).unwrap();
    let marked = |n: usize| format!("processed/bad/{}", key(&format!("{n:05}")));
    s3.put_all_at(BUCKET, (0..2_500).map(marked), b"x", moment(0)).unwrap();
    s3.clear_requests();
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let requests = s3.requests();
    // Three listings of 3, 1 and 3 pages, once.
    let listings = requests.iter().filter(|request| request.operation == "ListObjectsV2").count();
    let read = |request: &&devstack::s3::Request| {
        request.operation == "GetObject"
            && request.key.as_ref().is_some_and(|key| key.ends_with(".error.json"))
    };
    assert_eq!((listings, requests.iter().filter(read).count()), (7, 10));
    let after = page(&harness);
    assert_eq!(heading(&after), "2,500 archives are bad: they must be corrected");
    assert!(after.contains("10 of 2,500 are shown, the newest first."), "{after}");
}

/// The whole answer to a GET of an address on this machine.
async fn get(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The local stack serves the page of a dataset at the address that it prints, whatever the dataset is called.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_stack_serves_the_page_at_the_address_that_it_prints() {
    let stack = Arc::new(Stack::start(stack::Options::default()).await.unwrap());
    let config = include_str!("../../config.d/cmslite_user_group_metadata.json");
    let directory = temporary();
    for (name, path) in [("club", "/club.html"), ("my é#1 data", "/my%20%C3%A9%231%20data.html")] {
        let file = directory.path().join(format!("{name}.json"));
        fs::write(&file, config).unwrap();
        let dataset = Dataset::read(&file).unwrap();
        stack.s3.put_at(BUCKET, &dataset.page, name.as_bytes(), moment(1)).unwrap();
        let page = StatusPage::start(&stack, &dataset, 0).await.unwrap();
        assert!(page.url().ends_with(path), "{}", page.url());
        for (url, status) in [(page.url(), 200), (&page.url().replace(path, "/other.html"), 404)] {
            let answer = get(url).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{url}: {answer}");
            assert_eq!(answer.ends_with(name), status == 200, "{url}: {answer}");
        }
    }
}
