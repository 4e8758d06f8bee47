use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cmslite_core::config::PassedOver;
use cmslite_core::problem::{ReportedErrorFile, ReportedProblem};

use super::headline::{Level, Task};
use super::overview::{
    BAD_SHOWN, DISAGREEMENTS_SHOWN, PASSED_OVER_SHOWN, WAITING_SHOWN, held_by_markers, is_missing,
    shown_of_passed_over,
};
use super::{BadArchive, Counts, LedgerState, MadeBy, Overview};
use crate::redshift::RecentLoad;
use crate::report::{Failure, PassedOverObject};
use crate::status::{Disagreement, DisagreementKind, RECENT_LOADS, Waiting};

/// Untrusted text with markup in it.
const MARKUP: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_711_962_000, 0).unwrap()
}

fn load(sequence: i64) -> RecentLoad {
    let many = sequence.unsigned_abs();
    let tables = [("cmslite.cms_group", many), ("cmslite.user_group", 2_000 * many)];
    RecentLoad {
        sequence,
        key: format!("client/cmslite_gdx/cms-analytics-csv_{sequence}.tgz").as_str().into(),
        rows: tables.iter().map(|(_, rows)| rows).sum(),
        loaded_at: now() - TimeDelta::hours(25 - sequence),
        last_modified: now() - TimeDelta::hours(26 - sequence),
        tables: tables.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect(),
    }
}

fn good() -> Overview {
    Overview {
        dataset: "cmslite_user_group_metadata".to_owned(),
        uploads: "s3://a-bucket/client/cmslite_gdx/".to_owned(),
        truncate: false,
        made_at: now(),
        made_by: MadeBy::Command,
        counts: Counts { good: 12, ..Counts::default() },
        waiting: Vec::new(),
        bad: Vec::new(),
        ledger: LedgerState::Read,
        loads: (1..=12).map(load).collect(),
        disagreements: Some(Vec::new()),
        passed_over: Vec::new(),
    }
}

fn waiting(key: &str) -> Waiting {
    let last_modified = now() - TimeDelta::minutes(90);
    Waiting { key: key.into(), etag: "e".to_owned(), last_modified, size_bytes: 1_500 }
}

fn problem(text: &str) -> ReportedProblem {
    ReportedProblem {
        member: Some(text.to_owned()),
        line: Some(7),
        column: Some(text.to_owned()),
        text: Some(text.to_owned()),
        text_bytes: None,
        at_byte: None,
        code: "bad_date".to_owned(),
        reason: format!("not a date: {text}; correct {text}"),
    }
}

fn bad(key: &str, text: &str, problems: usize) -> BadArchive {
    BadArchive {
        key: key.into(),
        uploaded: now() - TimeDelta::hours(3),
        is_missing: true,
        error: Some(ReportedErrorFile {
            at: "2024-04-01T08:00:00.000Z".to_owned(),
            problems_found: problems as u64 + 5,
            incomplete: Some(text.to_owned()),
            problems: vec![problem(text); problems],
        }),
    }
}

fn passed_over(why: PassedOver) -> PassedOverObject {
    PassedOverObject { key: "client/x".into(), why }
}

fn failed(error_type: &'static str) -> MadeBy {
    let failure = Failure { error_type, message: MARKUP.to_owned() };
    MadeBy::Run { request_id: MARKUP.to_owned(), failure: Some(failure) }
}

/// Returns contents with everything that a page can show. Each untrusted text has markup in it.
fn everything(elements: usize) -> Overview {
    let kinds = [DisagreementKind::TwoMarkers, DisagreementKind::LoadedNotMarked];
    Overview {
        dataset: MARKUP.to_owned(),
        uploads: MARKUP.to_owned(),
        made_by: failed("Deployment.LoginRefused"),
        counts: Counts {
            good: 100_000,
            bad: 100_000,
            bad_and_missing: 100_000,
            waiting: 100_000,
            superseded: 100_000,
            disagreements: 100_000,
            passed_over: 100_000,
        },
        waiting: vec![waiting(MARKUP); elements.min(WAITING_SHOWN)],
        bad: vec![bad(MARKUP, MARKUP, elements.min(20)); elements.min(BAD_SHOWN)],
        ledger: LedgerState::Unread(MARKUP.to_owned()),
        loads: (1..=elements.min(RECENT_LOADS) as i64)
            .map(|n| RecentLoad {
                key: MARKUP.into(),
                tables: BTreeMap::from([(MARKUP.to_owned(), n.unsigned_abs())]),
                ..load(n)
            })
            .collect(),
        disagreements: Some(
            kinds
                .iter()
                .cycle()
                .map(|kind| Disagreement { key: MARKUP.into(), kind: kind.clone() })
                .take(elements.min(DISAGREEMENTS_SHOWN))
                .collect(),
        ),
        passed_over: vec![
            PassedOverObject { key: MARKUP.into(), why: PassedOver::UnfitCharacter };
            elements.min(PASSED_OVER_SHOWN)
        ],
        ..good()
    }
}

#[test]
fn the_state_comes_first_in_words() {
    let with = |change: &dyn Fn(&mut Overview)| {
        let mut overview = good();
        change(&mut overview);
        let headline = overview.headline();
        (headline.level, headline.title)
    };
    for (change, level, title) in [
        (&(|_: &mut Overview| {}) as &dyn Fn(&mut Overview), Level::Good, "All 12 archives are loaded"),
        (&|page| page.truncate = true, Level::Good, "The newest archive is loaded"),
        (&|page| page.counts.good = 1, Level::Good, "The only archive is loaded"),
        (&|page| page.counts.good = 0, Level::Waiting, "No archive has been loaded yet"),
        (&|page| page.counts.waiting = 1, Level::Waiting, "1 archive waits to be loaded"),
        (&|page| page.counts.waiting = 2_000, Level::Waiting, "2,000 archives wait to be loaded"),
        (&|page| page.counts.disagreements = 1, Level::Act, "Markers and ledger disagree in 1 place"),
        (
            &|page| page.ledger = LedgerState::Unread("x".to_owned()),
            Level::Act,
            "The ledger in Redshift cannot be read",
        ),
        (
            &|page| page.passed_over = vec![passed_over(PassedOver::KeyTooLong)],
            Level::Act,
            "An upload cannot be loaded because of its name",
        ),
        (&|page| page.counts.bad = 3, Level::Good, "All 12 archives are loaded"),
        (&|page| page.counts.bad_and_missing = 1, Level::Act, "1 archive is bad: it must be corrected"),
        (&|page| page.counts.bad_and_missing = 2, Level::Act, "2 archives are bad: they must be corrected"),
        (
            &|page| page.made_by = failed("Deployment.LoginRefused"),
            Level::Act,
            "The last run failed: someone must act (Deployment.LoginRefused)",
        ),
        (
            &|page| page.made_by = failed("Retryable.S3Unavailable"),
            Level::Waiting,
            "The last run ended early: the next one tries again (Retryable.S3Unavailable)",
        ),
    ] {
        assert_eq!(with(change), (level, title.to_owned()));
    }
    let page = good().html();
    assert!(page.find("All 12 archives").unwrap() < page.find("<h2").unwrap(), "{page}");
    assert_eq!(page.matches("<h1").count(), 1, "{page}");
    assert!(page.contains("The last load was at 2024-03-31 20:00 UTC, 13 h 0 min before"), "{page}");
}

#[test]
fn what_is_not_known_is_not_said() {
    for (good_archives, told) in
        [(0, "Nothing has been loaded yet."), (3, "The time of the last load is not known.")]
    {
        let mut overview = Overview { loads: Vec::new(), ..good() };
        overview.counts.good = good_archives;
        assert_eq!(overview.headline().detail, told);
    }
    assert_eq!(held_by_markers([now(), now() - TimeDelta::hours(1)].into_iter()), now());
    assert!(!is_missing(true, now(), Some(held_by_markers([].into_iter()))));
}

#[test]
fn what_should_have_been_an_archive_is_shown_before_other_objects() {
    let others = || vec![passed_over(PassedOver::Checksum); 20].into_iter();
    let objects = || others().chain([passed_over(PassedOver::UnfitCharacter)]).chain(others());
    let shown = shown_of_passed_over(objects());
    assert_eq!((shown.len(), shown[0].why), (PASSED_OVER_SHOWN, PassedOver::UnfitCharacter));
    assert!(shown[1..].iter().all(|object| object.why == PassedOver::Checksum));
    let many = vec![passed_over(PassedOver::KeyTooLong); 20];
    assert_eq!(shown_of_passed_over(many.into_iter()).len(), PASSED_OVER_SHOWN);
}

#[test]
fn what_somebody_has_to_do_is_said_in_order() {
    let overview = everything(2);
    let tasks: Vec<Option<&str>> =
        overview.headline().tasks.iter().map(|Task { section, .. }| section.map(|(id, _)| id)).collect();
    assert_eq!(tasks, [None, Some("bad"), None, Some("disagreements"), Some("passed-over")]);
    let page = overview.html();
    for id in tasks.into_iter().flatten() {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}: {page}");
    }
    assert_eq!(good().headline().tasks, []);
}

#[test]
fn problems_are_a_table_with_their_place_and_their_remedy() {
    let mut overview = good();
    overview.counts.bad = 1;
    overview.counts.bad_and_missing = 1;
    let mut archive = bad("client/a.tgz", "x", 1);
    let error = archive.error.as_mut().unwrap();
    error.problems.push(ReportedProblem {
        member: None,
        line: None,
        column: None,
        text: None,
        text_bytes: Some(12),
        at_byte: Some(5),
        ..problem("y")
    });
    overview.bad.push(archive);
    let page = overview.html();
    for cell in [
        "<th scope=\"col\" role=\"columnheader\">What to do</th>",
        "<td role=\"cell\" data-label=\"Line\">7</td>",
        "<td role=\"cell\" data-label=\"What is wrong\">not a date: x</td>",
        "<td role=\"cell\" data-label=\"What to do\">correct x</td>",
        "<td role=\"cell\" data-label=\"Text\">not shown: 12 bytes, from byte 5 of the row on</td>",
        "2 of 6 are shown",
        "found bad at <time datetime=\"2024-04-01T08:00:00Z\">2024-04-01 08:00 UTC</time>",
    ] {
        assert!(page.contains(cell), "{cell} is not in {page}");
    }
}

#[test]
fn an_archive_that_a_newer_one_has_replaced_asks_for_nothing() {
    let mut overview = Overview { truncate: true, ..good() };
    overview.counts.bad = 1;
    overview.bad.push(BadArchive { is_missing: false, ..bad("client/a.tgz", "x", 1) });
    assert_eq!(overview.headline().level, Level::Good);
    assert!(overview.html().contains("A newer archive has been loaded since then: there is nothing to do."));
}

#[test]
fn every_text_is_escaped() {
    let page = everything(20).html();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    // No attribute ends early.
    assert!(!page.contains("\"'&"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;&lt;img"), "{page}");
}

#[test]
fn the_page_asks_for_nothing_and_runs_nothing() {
    let page = everything(20).html();
    assert!(
        page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:;"),
        "{page}"
    );
    assert!(page.contains("<meta name=\"robots\" content=\"noindex, nofollow\">"), "{page}");
    for reference in ["src=", "href=", "url(", "@import"] {
        for (at, _) in page.match_indices(reference) {
            let rest = &page[at + reference.len()..];
            // Untrusted text contains `src=x`, which is not an attribute.
            let is_inert =
                rest.starts_with("\"#") || rest.starts_with("\"data:") || rest.starts_with("x onerror");
            assert!(is_inert, "{}", &page[at..at + 60]);
        }
    }
}

/// Checks that the page's size has a limit, however long its lists are.
#[test]
fn the_page_has_a_bounded_size() {
    let page = everything(usize::MAX).html();
    assert!(page.len() < 400_000, "{}", page.len());
    assert!(page.contains("10 of 100,000 are shown, the newest first."), "{page}");
}

#[test]
fn markers_and_ledger_that_were_not_compared_are_not_said_to_agree() {
    let page = Overview { disagreements: None, ..good() }.html();
    assert!(page.contains("were not compared") && !page.contains("agree."), "{page}");
    assert!(good().html().contains("The markers in S3 and the ledger in Redshift agree."));
}
