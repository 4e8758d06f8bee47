//! Tests the queue's decisions.

use std::collections::HashSet;

use chrono::DateTime;

use super::whole::{self, Listings, ambiguous_markers};
use super::*;
use crate::config::{Dataset, PassedOver};

mod merged;

fn dataset(truncate: bool) -> Dataset {
    let text = include_str!("../../../config.d/cmslite_user_group_metadata.json")
        .replace("true", if truncate { "true" } else { "false" });
    crate::config::parse("d.json", &text).unwrap()
}

fn object(key: &str, seconds: i64) -> Object {
    Object {
        key: key.into(),
        etag: format!("\"{seconds}\""),
        last_modified: DateTime::from_timestamp(seconds, 0).unwrap(),
        size: 1,
    }
}

fn archive(name: &str, seconds: i64) -> Object {
    object(&format!("client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
}

fn good(name: &str, seconds: i64) -> Object {
    object(&format!("processed/good/client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
}

fn bad(name: &str, seconds: i64) -> Object {
    object(&format!("processed/bad/client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
}

fn listings(source: &[Object], good: &[Object], bad: &[Object]) -> Listings {
    Listings { source: source.to_vec(), good: good.to_vec(), bad: bad.to_vec() }
}

/// Makes the plan from whole listings and from merged ones, and checks that both are the same.
fn plan(dataset: &Dataset, listings: &Listings, revisions: &MarkerRevisions) -> Plan {
    let whole = whole::plan(dataset, listings, revisions);
    let selection = Selection::WholeQueue;
    let always = DateTime::UNIX_EPOCH;
    let (plan, _) = merged::plan(dataset, listings, &[2], (&selection, Kept::Everything), always, revisions);
    assert_eq!(plan, whole);
    whole
}

fn planned(truncate: bool, source: &[Object], good: &[Object], bad: &[Object]) -> Plan {
    plan(&dataset(truncate), &listings(source, good, bad), &MarkerRevisions::new())
}

fn name(key: &str) -> String {
    key.trim_start_matches("client/cmslite_gdx/cms-analytics-csv_").trim_end_matches(".tgz").to_owned()
}

fn names(plan: &Plan, state: ArchiveState) -> Vec<String> {
    plan.in_state(state).map(|object| name(&object.key)).collect()
}

fn queue(plan: &Plan, selection: &Selection) -> Vec<String> {
    plan.queue(selection).unwrap().iter().map(|object| name(&object.key)).collect()
}

#[test]
fn the_oldest_comes_first_and_ties_go_by_key() {
    let plan = planned(
        false,
        &[archive("b", 5), archive("a", 5), archive("z", 1), object("client/cmslite_gdx/readme", 0)],
        &[],
        &[],
    );
    assert_eq!(queue(&plan, &Selection::WholeQueue), ["z", "a", "b"]);
    assert_eq!(plan.archives.len(), 3);
}

#[test]
fn a_marker_settles_only_what_is_not_newer() {
    let plan = planned(
        false,
        &[archive("a", 5), archive("b", 5), archive("c", 5)],
        &[good("a", 5)],
        &[bad("b", 9), bad("c", 4)],
    );
    assert_eq!(queue(&plan, &Selection::WholeQueue), ["c"]);
    assert_eq!(
        (names(&plan, ArchiveState::Good), names(&plan, ArchiveState::Bad)),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );
}

#[test]
fn a_marker_of_another_size_is_of_another_revision() {
    let marker = Object { size: 2, ..good("a", 9) };
    assert_eq!(queue(&planned(false, &[archive("a", 5)], &[marker], &[]), &Selection::WholeQueue), ["a"]);
}

#[test]
fn one_marker_settles_as_in_the_listings() {
    let revision = archive("a", 5);
    let marker = |etag: &str, seconds, size| Object { etag: etag.to_owned(), size, ..good("a", seconds) };
    for (found, copied, expected) in [
        (marker("\"5\"", 5, 1), Some("5"), true),
        (marker("\"x-2\"", 9, 1), Some("5"), true),
        // A marker that names no revision was made by the script.
        (marker("\"x\"", 9, 1), None, true),
        (marker("\"x\"", 9, 1), Some("4"), false),
        (marker("\"5\"", 4, 1), Some("5"), false),
        (marker("\"5\"", 9, 2), Some("5"), false),
    ] {
        assert_eq!(settles(&found, copied, &revision), expected, "{found:?} {copied:?}");
    }
    // Events give the `ETag` without quotes.
    assert!(settles(&marker("\"5\"", 9, 1), None, &Object { etag: "5".to_owned(), ..revision }));
}

#[test]
fn a_marker_of_another_etag_is_asked_what_it_is_a_copy_of() {
    let (dataset, listings) =
        (dataset(false), listings(&[archive("a", 5), archive("b", 9)], &[good("a", 9), good("b", 9)], &[]));
    let ambiguous_markers = ambiguous_markers(&dataset, &listings);
    assert_eq!(
        ambiguous_markers,
        [AmbiguousMarker {
            archive: archive("a", 5).key,
            last_modified: archive("a", 5).last_modified,
            marker: good("a", 9).key
        }]
    );
    for (marked, expected) in [(None, vec![]), (Some("5"), vec![]), (Some("4"), vec!["a".to_owned()])] {
        let revisions = marked.map(|revision| (good("a", 9).key, revision.to_owned())).into_iter().collect();
        assert_eq!(queue(&plan(&dataset, &listings, &revisions), &Selection::WholeQueue), expected);
    }
}

#[test]
fn under_truncate_only_the_newest_that_is_not_bad_may_be_loaded() {
    let source = [archive("a", 1), archive("b", 2), archive("c", 3)];
    let unsettled = planned(true, &source, &[], &[]);
    assert_eq!(
        (queue(&unsettled, &Selection::WholeQueue), names(&unsettled, ArchiveState::Superseded)),
        (vec!["c".to_owned()], vec!["a".to_owned(), "b".to_owned()])
    );
    let settled = planned(true, &source, &[good("c", 4)], &[]);
    assert!(queue(&settled, &Selection::WholeQueue).is_empty());
    assert_eq!(names(&settled, ArchiveState::Superseded), ["a", "b"]);
}

#[test]
fn under_truncate_a_bad_archive_supersedes_nothing() {
    let source = [archive("a", 1), archive("b", 2), archive("c", 3)];
    let key = |name: &str| Selection::UpTo(HashSet::from([archive(name, 0).key]));
    let mut plan = planned(true, &source, &[], &[bad("c", 4)]);
    assert_eq!(names(&plan, ArchiveState::Superseded), ["a"]);
    for (selection, expected) in
        [(Selection::WholeQueue, vec!["b"]), (key("c"), vec!["b"]), (key("b"), vec!["b"]), (key("a"), vec![])]
    {
        assert_eq!(queue(&plan, &selection), expected, "{selection:?}");
    }
    plan.settle_as_bad(&archive("b", 0).key);
    assert_eq!(plan, planned(true, &source, &[], &[bad("b", 4), bad("c", 4)]));
    assert_eq!(queue(&plan, &Selection::WholeQueue), ["a"]);

    // A marker of an earlier revision settles nothing: the corrected upload is the newest.
    let corrected = [archive("a", 1), archive("b", 2), archive("c", 5)];
    let plan = planned(true, &corrected, &[], &[bad("c", 4)]);
    assert_eq!(queue(&plan, &Selection::WholeQueue), ["c"]);
    let listings = listings(&corrected, &[], &[bad("c", 9)]);
    let former = MarkerRevisions::from([(bad("c", 9).key, "4".to_owned())]);
    assert_eq!(queue(&self::plan(&dataset(true), &listings, &former), &Selection::WholeQueue), ["c"]);
}

/// Tries all combinations of no marker, a good marker and a bad marker for four archives.
#[test]
fn whatever_is_settled_one_archive_at_the_most_may_be_loaded_and_none_before_a_good_one() {
    let named = ["a", "b", "c", "d"];
    let source: Vec<Object> = named.iter().zip(1..).map(|(name, at)| archive(name, at)).collect();
    for settled in 0..3_usize.pow(4) {
        let state = |n: usize| settled / 3_usize.pow(u32::try_from(n).unwrap()) % 3;
        let marked = |state_wanted, marker: fn(&str, i64) -> Object| -> Vec<Object> {
            let marked = named.iter().enumerate().filter(|(n, _)| state(*n) == state_wanted);
            marked.map(|(_, name)| marker(name, 9)).collect()
        };
        let plan = planned(true, &source, &marked(1, good), &marked(2, bad));
        let newest = (0..4).rev().find(|n| state(*n) != 2);
        let expected: Vec<&str> =
            newest.filter(|newest| state(*newest) == 0).map(|newest| named[newest]).into_iter().collect();
        assert_eq!(queue(&plan, &Selection::WholeQueue), expected, "{plan:?}");
        let unsettled = (0..4).filter(|n| state(*n) == 0).count();
        assert_eq!(names(&plan, ArchiveState::Superseded).len() + expected.len(), unsettled, "{plan:?}");
        for n in 0..4 {
            let again = plan.queue(&Selection::Reload(archive(named[n], 0).key));
            let newer = newest.filter(|newest| *newest > n).map(|newest| archive(named[newest], 0).key);
            assert_eq!(again.err(), newer.map(ReloadRefused::NotNewest), "{n} of {plan:?}");
        }
    }
}

#[test]
fn what_lies_beside_archives_is_passed_over_and_supersedes_nothing() {
    let source = [archive("a", 1), object("client/cmslite_gdx/cms-analytics-csv_a.tgz.md5", 2)];
    for truncate in [true, false] {
        let plan = planned(truncate, &source, &[], &[]);
        assert_eq!(queue(&plan, &Selection::WholeQueue), ["a"]);
        let checksum = source[1].key.clone();
        assert_eq!(plan.passed_over, [(checksum.clone(), PassedOver::Checksum)]);
        assert!(plan.queue(&Selection::UpTo(HashSet::from([checksum.clone()]))).unwrap().is_empty());
        assert_eq!(
            plan.queue(&Selection::Reload(checksum.clone())).unwrap_err(),
            ReloadRefused::PassedOver(checksum, PassedOver::Checksum)
        );
    }
    // An object that does not match `doc` does not belong to the dataset.
    let other = [object("client/cmslite_gdx/readme.md5", 1), object("client/other/cms-analytics-csv.md5", 1)];
    assert!(planned(true, &other, &[], &[]).passed_over.is_empty());
}

#[test]
fn an_event_asks_for_the_queue_up_to_its_key() {
    let plan = planned(false, &[archive("a", 1), archive("b", 2), archive("c", 3)], &[], &[]);
    let key = |name: &str| Selection::UpTo(HashSet::from([archive(name, 0).key]));
    assert_eq!(queue(&plan, &key("b")), ["a", "b"]);
    assert!(queue(&plan, &key("gone")).is_empty());
}

#[test]
fn an_archive_is_loaded_again_where_that_breaks_no_order() {
    let source = [archive("a", 1), archive("b", 2), archive("c", 3)];
    let again = |truncate, markers: &[Object], name: &str| {
        planned(truncate, &source, markers, &[]).queue(&Selection::Reload(archive(name, 0).key))
    };
    let key = |name: &str| archive(name, 0).key;
    assert_eq!(again(false, &[good("a", 4)], "a").unwrap()[0].key, key("a"));
    assert_eq!(again(false, &[good("a", 4)], "b").unwrap()[0].key, key("b"));
    assert_eq!(again(false, &[good("a", 4)], "c").unwrap_err(), ReloadRefused::OthersWait(key("b")));
    assert_eq!(again(true, &[good("a", 4)], "a").unwrap_err(), ReloadRefused::NotNewest(key("c")));
    assert_eq!(again(true, &[good("c", 4)], "c").unwrap()[0].key, key("c"));
    assert_eq!(again(false, &[], "z").unwrap_err(), ReloadRefused::NoSuchArchive(key("z")));
    let accepted = |truncate, name: &str| {
        let plan = planned(truncate, &source, &[], &[bad("c", 4)]);
        plan.queue(&Selection::AcceptShrink(archive(name, 0).key))
    };
    assert_eq!(accepted(true, "c").unwrap()[0].key, key("c"));
    assert_eq!(accepted(true, "b").unwrap()[0].key, key("b"));
    assert_eq!(accepted(true, "a").unwrap_err(), ReloadRefused::NotNewest(key("b")));
    assert_eq!(accepted(false, "c").unwrap_err(), ReloadRefused::OthersWait(key("a")));
}
