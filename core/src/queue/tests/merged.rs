//! Compares merged listings with whole ones: the same plan, the same questions to markers, the same
//! decisions.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::whole::{self, Listings};
use super::{dataset, object};
use crate::config::Dataset;
use crate::key::Key;

/// The number of unsettled archives that the planner keeps in these tests: few, so that some are forgotten.
const MAX_UNSETTLED: usize = 3;

/// Returns a plan made from listings in pages of these sizes, in turn, and the markers that it asked for.
pub(super) fn plan(
    dataset: &Dataset,
    listings: &Listings,
    page_sizes: &[usize],
    (selection, kept): (&Selection, Kept),
    asked_since: DateTime<Utc>,
    revisions: &MarkerRevisions,
) -> (Plan, Vec<AmbiguousMarker>) {
    let mut page_sizes = page_sizes.iter().copied().cycle();
    let mut left = Listing::ALL.map(|listing| {
        let mut objects = match listing {
            Listing::Source => listings.source.clone(),
            Listing::Good => listings.good.clone(),
            Listing::Bad => listings.bad.clone(),
        };
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects
    });
    let mut merge = Merge::of(dataset);
    let mut planner = Planner::new(dataset, selection, kept, asked_since);
    planner.most_unsettled = MAX_UNSETTLED;
    loop {
        match merge.step() {
            Step::Listed(listed) => planner.add(*listed),
            Step::Wanted(listing) => {
                let objects = &mut left[Listing::ALL.iter().position(|other| *other == listing).unwrap()];
                if objects.is_empty() {
                    merge.end(listing);
                } else {
                    let size = page_sizes.next().unwrap().min(objects.len());
                    merge.push(listing, objects.drain(..size).collect()).unwrap();
                }
            }
            Step::End => break,
        }
    }
    let asked: Vec<AmbiguousMarker> = planner.ambiguous_markers().collect();
    let wanted: HashSet<&Key> = asked.iter().map(|marker| &marker.marker).collect();
    let answered = revisions.iter().filter(|(marker, _)| wanted.contains(marker));
    (planner.finish(&answered.map(|(marker, copied)| (marker.clone(), copied.clone())).collect()), asked)
}

/// The objects for one name: in the source, and in place of the markers.
type Place = [Option<Object>; 3];

/// Generates objects whose times, `ETag`s and sizes often agree.
fn seen() -> impl Strategy<Value = Option<Object>> {
    let object = (0..6_i64, 0..3_u64, 1..3_u64).prop_map(|(seconds, etag, size)| Object {
        etag: format!("\"{etag}\""),
        size,
        ..object("", seconds)
    });
    prop_oneof![1 => Just(None), 3 => object.prop_map(Some)]
}

/// Generates names, some of which are prefixes of others, sort differently by bytes than by UTF-16, are not
/// archives, or were not UTF-8.
fn places() -> impl Strategy<Value = BTreeMap<String, Place>> {
    let word = || {
        select(vec!["", "a", "b", "-", "/", "é", "\u{fffc}", "\u{fffd}", "\u{1f600}", "\u{ff5e}", "\u{1}"])
    };
    let ending = select(vec![".tgz", ".tgz", ".tgz", ".tgz", ".tgz.md5", ".tgz.error.json", "/"]);
    let name = (select(vec!["cms-analytics-csv", "cms-analytics-csv", "other"]), word(), word(), ending)
        .prop_map(|(stem, one, another, ending)| format!("client/cmslite_gdx/{stem}{one}{another}{ending}"));
    prop::collection::btree_map(name, [seen(), seen(), seen()], 0..60)
}

fn listings(places: &BTreeMap<String, Place>) -> Listings {
    let under = |side: usize, prefix: &str| -> Vec<Object> {
        let found = places.iter().filter_map(|(name, place)| Some((name, place[side].as_ref()?)));
        found
            .map(|(name, object)| Object { key: format!("{prefix}{name}").into(), ..object.clone() })
            .collect()
    };
    Listings { source: under(0, ""), good: under(1, "processed/good/"), bad: under(2, "processed/bad/") }
}

/// Returns a plan's decisions.
fn decisions(plan: &Plan, selection: &Selection) -> impl PartialEq + std::fmt::Debug + use<> {
    let states = [ArchiveState::Good, ArchiveState::Bad, ArchiveState::Superseded, ArchiveState::Queued];
    let last_passed_over: Vec<_> = plan.passed_over.iter().rev().take(20).cloned().collect();
    let unusable: Vec<_> =
        plan.passed_over.iter().filter(|(_, why)| why.is_unusable_key()).cloned().collect();
    (
        plan.queue(selection),
        (plan.found(), states.map(|state| plan.count(state)), plan.passed_over_count()),
        plan.in_state(ArchiveState::Queued).cloned().collect::<Vec<_>>(),
        plan.in_state(ArchiveState::Superseded).last().cloned(),
        plan.archives.last().cloned(),
        (last_passed_over, unusable),
    )
}

proptest! {
    #[test]
    fn merged_listings_decide_as_whole_ones(
        places in places(),
        page_sizes in prop::collection::vec(1..12_usize, 1..6),
        truncate: bool,
        asked_since in 0..7_i64,
        copied in prop::collection::vec(prop::option::of(0..3_u64), 120),
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        kind in 0..4,
    ) {
        let (dataset, listings) = (dataset(truncate), listings(&places));
        let names: Vec<Key> =
            places.keys().map(|name| name.as_str().into()).chain([Key::from("client/cmslite_gdx/gone")]).collect();
        let chosen: Vec<Key> = chosen.iter().map(|index| index.get(&names).clone()).collect();
        let alone = chosen.first().cloned().unwrap_or_default();
        let selection = match kind {
            0 => Selection::WholeQueue,
            1 => Selection::UpTo(chosen.into_iter().collect()),
            2 => Selection::Reload(alone),
            _ => Selection::AcceptShrink(alone),
        };
        let asked_since = DateTime::from_timestamp(asked_since, 0).unwrap();
        let mut wanted = whole::ambiguous_markers(&dataset, &listings);
        wanted.retain(|marker| marker.last_modified >= asked_since || selection.names(&marker.archive));
        let revisions: MarkerRevisions = wanted
            .iter()
            .zip(copied)
            .filter_map(|(marker, copied)| Some((marker.marker.clone(), copied?.to_string())))
            .collect();
        let mut expected = whole::plan(&dataset, &listings, &revisions);

        let made = |kept| plan(&dataset, &listings, &page_sizes, (&selection, kept), asked_since, &revisions);
        let (everything, asked) = made(Kept::Everything);
        prop_assert_eq!(&asked, &wanted);
        prop_assert_eq!(&everything, &expected);
        let (mut little, asked) = made(Kept::WhatDecides);
        prop_assert_eq!(&asked, &wanted);
        prop_assert_eq!(decisions(&little, &selection), decisions(&expected, &selection));

        let all_unsettled = expected.count(ArchiveState::Queued) + expected.count(ArchiveState::Superseded);
        let unsettled = if truncate { MAX_UNSETTLED.min(all_unsettled) } else { all_unsettled };
        let named = names.iter().filter(|name| selection.names(name)).count();
        prop_assert!(little.archives.len() <= unsettled + named + 2);

        // Archives turn out bad until none is left, as in a dry run; with `truncate`, only while more than
        // two are left.
        let mut left = unsettled;
        while (!truncate || left > 2)
            && let Some(next) = expected.queue(&selection).ok().and_then(|queue| queue.into_iter().next())
        {
            let is_unsettled = expected.in_state(ArchiveState::Queued).any(|queued| queued.key == next.key);
            expected.settle_as_bad(&next.key);
            little.settle_as_bad(&next.key);
            prop_assert_eq!(decisions(&little, &selection), decisions(&expected, &selection));
            left = left.saturating_sub(1);
            if !is_unsettled {
                break;
            }
        }
    }
}

#[test]
fn a_listing_out_of_order_is_refused_wherever_it_shows() {
    let dataset = dataset(false);
    let source = |names: &[&str]| -> Vec<Object> {
        names.iter().map(|name| object(&format!("client/cmslite_gdx/{name}"), 1)).collect()
    };
    let refused = |pages: &[&[&str]]| {
        let mut merge = Merge::of(&dataset);
        merge.end(Listing::Good);
        merge.end(Listing::Bad);
        let mut pages = pages.iter();
        loop {
            match merge.step() {
                Step::Wanted(listing) => match pages.next() {
                    Some(page) => {
                        if let Err(Disorder { before, after }) = merge.push(listing, source(page)) {
                            let name = |key: &Key| key.rsplit('/').next().unwrap().to_owned();
                            return Some((name(&before), name(&after)));
                        }
                    }
                    None => merge.end(listing),
                },
                Step::Listed(_) => {}
                Step::End => return None,
            }
        }
    };
    let found = |before: &str, after: &str| Some((before.to_owned(), after.to_owned()));
    assert_eq!(refused(&[&["a", "b"], &[], &["c"]]), None);
    assert_eq!(refused(&[&["a", "c", "b"]]), found("c", "b"));
    assert_eq!(refused(&[&["a", "c"], &[], &["b"]]), found("c", "b"));
    assert_eq!(refused(&[&["a"], &["a"]]), found("a", "a"));
    // Keys are sorted by their bytes, not by the units of UTF-16.
    assert_eq!(refused(&[&["\u{ff5e}", "\u{1f600}"]]), None);
    assert_eq!(refused(&[&["\u{1f600}", "\u{ff5e}"]]), found("\u{1f600}", "\u{ff5e}"));
    // A key with U+FFFD is accepted at any position, since its real bytes are unknown.
    assert_eq!(refused(&[&["b\u{fffd}", "a"], &["b\u{fffd}", "b"]]), None);
}

#[test]
fn of_many_objects_passed_over_the_last_are_held_and_those_that_somebody_asks_for_or_must_rename() {
    let key = |name: &str| Key::from(format!("client/cmslite_gdx/cms-analytics-csv_{name}"));
    let checksums = (0..50).map(|n| object(&key(&format!("{n:02}.tgz.md5")), 1));
    let unfit = object(&key("03\u{1}.tgz"), 1);
    let source: Vec<Object> = checksums.chain([unfit.clone()]).collect();
    let listings = Listings { source, ..Listings::default() };
    let named = key("05.tgz.md5");
    let selection = Selection::Reload(named.clone());
    let (plan, _) = plan(
        &dataset(false),
        &listings,
        &[7],
        (&selection, Kept::WhatDecides),
        DateTime::UNIX_EPOCH,
        &MarkerRevisions::new(),
    );
    let held: Vec<&Key> = plan.passed_over.iter().map(|(key, _)| key).collect();
    let last: Vec<Key> = (30..50).map(|n| key(&format!("{n:02}.tgz.md5"))).collect();
    assert_eq!(held, [&unfit.key, &named].into_iter().chain(&last).collect::<Vec<_>>());
    assert_eq!(plan.passed_over_count(), 51);
    assert_eq!(
        plan.queue(&selection).unwrap_err(),
        ReloadRefused::PassedOver(named, crate::config::PassedOver::Checksum)
    );
}
