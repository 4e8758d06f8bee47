//! Assigns the requests of events to datasets: one run for everything that is asked of a dataset's queue.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cmslite_core::config::{Dataset, PassedOver};
use cmslite_core::error::{Deployment, Error};
use cmslite_core::event::{self, ObjectRef, PassedOverEvent};
use cmslite_core::key::Key;
use cmslite_core::queue::{Object, Selection};

use crate::load::Run;
use crate::report::Report;

/// The maximum number of revisions whose markers are looked up before the queue is read. Each costs two
/// requests; the queue costs three for each thousand objects.
const MAX_UPLOADS: usize = 10;

/// Everything that events ask for, in total and for each event.
pub(super) struct Routing<'a> {
    datasets: &'a [Arc<Dataset>],
    /// The requests by dataset index.
    queues: BTreeMap<usize, QueueAsked>,
    /// The archives asked for by hand, by dataset index. Each is loaded alone.
    alone: Vec<(usize, Selection)>,
    /// The requests of each event, in the order in which the events were added, or why an event was not
    /// understood.
    events: Vec<Result<Vec<Asked>, Error>>,
    ignored: Vec<Ignored<'a>>,
}

/// The requests for one dataset's queue.
#[derive(Default)]
struct QueueAsked {
    whole: bool,
    keys: HashSet<Key>,
    /// The revisions of the uploads, where they are known. If one is unknown, `is_unknown` is set.
    uploads: Vec<Object>,
    is_unknown: bool,
}

/// What one event asks for, with its dataset's index.
enum Asked {
    /// The dataset's whole queue.
    Queue(usize),
    /// The dataset's queue up to this key.
    UpTo(usize, Key),
    /// An archive alone.
    Alone(usize, Selection),
}

/// A run that is asked for.
pub(super) struct RunAsked<'a> {
    pub(super) dataset: &'a Arc<Dataset>,
    pub(super) selection: Selection,
    /// The revisions that events of S3 name, as in [`RunRequest`](crate::run_request::RunRequest).
    pub(super) uploads: Vec<Object>,
    dataset_index: usize,
}

/// An object, or an event about one, that asks for nothing.
pub(super) struct Ignored<'a> {
    bucket: Option<String>,
    key: Option<Key>,
    why: Why,
    /// The dataset that passes the object over, by its key.
    dataset: Option<&'a Dataset>,
}

#[derive(PartialEq)]
enum Why {
    OfNoDataset,
    /// The object is passed over by its key.
    PassedOver(PassedOver),
    /// The event is ignored by its name.
    Event(String),
}

impl Ignored<'_> {
    /// Returns why the object or the event asks for nothing.
    pub(super) fn why(&self) -> String {
        match &self.why {
            Why::OfNoDataset => "it belongs to no dataset".to_owned(),
            Why::PassedOver(why) => format!("it is {why}, not an archive"),
            Why::Event(name) => {
                format!("{} does not create an archive", Key::from(name.as_str()))
            }
        }
    }

    /// Returns a report of the unusable key, for the dataset whose archive the object may be meant to be.
    pub(super) fn report(&self, request_id: &str) -> Option<Report> {
        let (Why::PassedOver(why), Some(dataset)) = (&self.why, self.dataset) else { return None };
        let mut report = Report::of(dataset, request_id);
        report.record_unusable_keys(&[(self.key.clone().filter(|_| why.is_unusable_key())?, *why)]);
        Some(report)
    }

    pub(super) fn name(&self) -> Key {
        let text = |text: Option<&str>| text.unwrap_or("(not named)").to_owned();
        let (bucket, key) = (text(self.bucket.as_deref()), text(self.key.as_deref()));
        format!("s3://{bucket}/{key}").into()
    }
}

impl<'a> Routing<'a> {
    pub(super) fn new(datasets: &'a [Arc<Dataset>]) -> Self {
        Self { datasets, queues: BTreeMap::new(), alone: Vec::new(), events: Vec::new(), ignored: Vec::new() }
    }

    /// Adds what an event asks for, or why it is not understood. If the event names an unknown dataset,
    /// nothing that it asks for is added.
    pub(super) fn add(&mut self, event: Result<event::Asked, Error>) {
        let asked = event.and_then(|event| self.ask(event));
        self.events.push(asked);
    }

    /// Returns why events were not understood, with their indexes.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.events.iter().enumerate().filter_map(|(n, event)| Some((n, event.as_ref().err()?)))
    }

    fn ask(&mut self, event: event::Asked) -> Result<Vec<Asked>, Error> {
        let mut by_name = Vec::new();
        for asked in event.by_name {
            by_name.push((self.index_of(&asked.name)?, asked.selection));
        }
        if event.sweep {
            by_name.extend((0..self.datasets.len()).map(|place| (place, Selection::WholeQueue)));
        }
        let mut asked = Vec::new();
        for (place, selection) in by_name {
            asked.extend(self.ask_by_name(place, selection));
        }
        for object in event.objects {
            asked.extend(self.ask_for_object(&object));
        }
        for PassedOverEvent { name, bucket, key } in event.passed_over {
            self.ignore(Ignored { bucket, key, why: Why::Event(name), dataset: None });
        }
        Ok(asked)
    }

    fn index_of(&self, name: &str) -> Result<usize, Error> {
        let place = self.datasets.iter().position(|dataset| dataset.name == name);
        place.ok_or_else(|| {
            let known: Vec<&str> = self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
            Error::deployment(
                Deployment::UnknownEvent,
                format!("there is no dataset {name:?}; the datasets are {}", known.join(", ")),
            )
        })
    }

    fn ask_by_name(&mut self, place: usize, selection: Selection) -> Vec<Asked> {
        match selection {
            Selection::WholeQueue => {
                self.queues.entry(place).or_default().whole = true;
                vec![Asked::Queue(place)]
            }
            Selection::UpTo(keys) => keys.into_iter().map(|key| self.ask_up_to(place, key, None)).collect(),
            Selection::Reload(_) | Selection::AcceptShrink(_) => {
                let alone = (place, selection);
                if !self.alone.contains(&alone) {
                    self.alone.push(alone.clone());
                }
                vec![Asked::Alone(alone.0, alone.1)]
            }
        }
    }

    fn ask_up_to(&mut self, place: usize, key: Key, upload: Option<Object>) -> Asked {
        let queue = self.queues.entry(place).or_default();
        match upload {
            Some(upload) if queue.uploads.contains(&upload) => {}
            Some(upload) => queue.uploads.push(upload),
            None => queue.is_unknown = true,
        }
        queue.keys.insert(key.clone());
        Asked::UpTo(place, key)
    }

    /// Asks for an object in every dataset of which it is an archive, for each key that it may have.
    fn ask_for_object(&mut self, object: &ObjectRef) -> Vec<Asked> {
        let datasets = self.datasets;
        let of_bucket = || datasets.iter().enumerate().filter(|(_, dataset)| dataset.bucket == object.bucket);
        let mut asked = Vec::new();
        for key in object.keys() {
            for (place, _) in of_bucket().filter(|(_, dataset)| dataset.matches(key)) {
                asked.push(self.ask_up_to(place, key.clone(), object.upload.clone()));
            }
        }
        if !asked.is_empty() {
            return asked;
        }
        let passed_over = object.keys().find_map(|key| {
            of_bucket().find_map(|(_, dataset)| {
                Some((key, Why::PassedOver(dataset.passed_over(key)?), Some(dataset.as_ref())))
            })
        });
        let (key, why, dataset) = passed_over.unwrap_or((&object.key, Why::OfNoDataset, None));
        self.ignore(Ignored { bucket: Some(object.bucket.clone()), key: Some(key.clone()), why, dataset });
        asked
    }

    /// Records an ignored object or event once.
    fn ignore(&mut self, ignored: Ignored<'a>) {
        let is_same = |other: &Ignored<'_>| {
            (&other.bucket, &other.key, &other.why) == (&ignored.bucket, &ignored.key, &ignored.why)
        };
        if !self.ignored.iter().any(is_same) {
            self.ignored.push(ignored);
        }
    }

    pub(super) fn ignored(&self) -> &[Ignored<'a>] {
        &self.ignored
    }

    /// Returns the runs that do everything that was asked for: the queues first, since an archive alone is
    /// loaded only if none waits before it.
    pub(super) fn runs(&self) -> Vec<RunAsked<'a>> {
        let mut runs = Vec::new();
        for (&place, queue) in &self.queues {
            let (selection, uploads) = match queue {
                QueueAsked { whole: true, .. } => (Selection::WholeQueue, Vec::new()),
                QueueAsked { keys, is_unknown: false, uploads, .. } if uploads.len() <= MAX_UPLOADS => {
                    (Selection::UpTo(keys.clone()), uploads.clone())
                }
                QueueAsked { keys, .. } => (Selection::UpTo(keys.clone()), Vec::new()),
            };
            runs.extend(self.run(place, selection, uploads));
        }
        runs.extend(
            self.alone
                .iter()
                .filter_map(|(place, selection)| self.run(*place, selection.clone(), Vec::new())),
        );
        runs
    }

    fn run(&self, dataset_index: usize, selection: Selection, uploads: Vec<Object>) -> Option<RunAsked<'a>> {
        let dataset = self.datasets.get(dataset_index)?;
        Some(RunAsked { dataset, selection, uploads, dataset_index })
    }

    /// Checks whether the event with this index was not understood, or whether the runs left some of its work
    /// undone.
    pub(super) fn has_failed(&self, event: usize, runs: &[(RunAsked<'a>, Run)]) -> bool {
        let Some(Ok(asked)) = self.events.get(event) else { return true };
        asked.iter().any(|asked| runs.iter().any(|(run, outcome)| run.has_left(asked, outcome)))
    }
}

impl RunAsked<'_> {
    /// Checks whether a request belongs to this run, which has left it undone.
    fn has_left(&self, asked: &Asked, outcome: &Run) -> bool {
        let is_of_queue = |place: usize| place == self.dataset_index && !self.selection.is_by_hand();
        match asked {
            Asked::Queue(place) => is_of_queue(*place) && outcome.failure.is_some(),
            Asked::UpTo(place, key) => is_of_queue(*place) && outcome.report.has_left(key),
            Asked::Alone(place, selection) => {
                *place == self.dataset_index && *selection == self.selection && outcome.failure.is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cmslite_core::error::Retryable;
    use cmslite_core::event::DatasetAsked;

    use super::*;

    const SHIPPED: &str = include_str!("../../config.d/cmslite_user_group_metadata.json");

    fn datasets() -> Vec<Arc<Dataset>> {
        let other = SHIPPED.replace("cmslite_gdx", "other").replace("cms-analytics-csv", "export");
        let dataset = |name: &str, text: &str| Arc::new(cmslite_core::config::parse(name, text).unwrap());
        vec![dataset("one.json", SHIPPED), dataset("two.json", &other)]
    }

    fn key(dataset: usize, name: &str) -> Key {
        let beginning = ["client/cmslite_gdx/cms-analytics-csv", "client/other/export"][dataset];
        format!("{beginning}_{name}.tgz").into()
    }

    /// Returns an event about objects, whose revision is known if `etag` is given.
    fn created(datasets: &[Arc<Dataset>], keys: &[Key], etag: Option<&str>) -> event::Asked {
        let objects = keys.iter().map(|key| ObjectRef {
            bucket: datasets[0].bucket.clone(),
            key: key.clone(),
            decoded: None,
            upload: etag.map(|etag| Object {
                key: key.clone(),
                etag: etag.to_owned(),
                last_modified: chrono::DateTime::UNIX_EPOCH,
                size: 1,
            }),
        });
        event::Asked { objects: objects.collect(), ..event::Asked::default() }
    }

    fn by_name(name: &str, selection: Selection) -> event::Asked {
        let by_name = vec![DatasetAsked { name: name.to_owned(), selection }];
        event::Asked { by_name, ..event::Asked::default() }
    }

    /// Returns the runs with their results: success, or a failure that left these archives.
    fn ran<'a>(routing: &Routing<'a>, left: &[Option<&[Key]>]) -> Vec<(RunAsked<'a>, Run)> {
        let runs = routing.runs();
        assert_eq!(runs.len(), left.len());
        let outcome = |left: Option<&[Key]>| {
            let failure = left.map(|_| Error::retryable(Retryable::S3Unavailable, "x"));
            let report = Report {
                not_processed: left.unwrap_or_default().to_vec(),
                failure: failure.as_ref().map(Into::into),
                ..Report::default()
            };
            Run { report, failure, listings: None }
        };
        runs.into_iter().zip(left.iter().copied().map(outcome)).collect()
    }

    #[test]
    fn each_event_fails_by_what_was_left_of_its_own() {
        let datasets = datasets();
        let mut routing = Routing::new(&datasets);
        let (a, b, other) = (key(0, "a"), key(0, "b"), key(1, "a"));
        for event in [
            created(&datasets, std::slice::from_ref(&a), Some("1")),
            created(&datasets, &[a.clone(), b.clone()], Some("1")),
            created(&datasets, std::slice::from_ref(&other), Some("1")),
            created(&datasets, &[b.clone(), other.clone()], Some("1")),
            created(&datasets, &["client/elsewhere".into()], Some("1")),
            by_name("one", Selection::Reload(a.clone())),
            by_name("one", Selection::Reload(a.clone())),
            by_name("three", Selection::WholeQueue),
        ] {
            routing.add(Ok(event));
        }
        assert_eq!(routing.refusals().map(|(n, _)| n).collect::<Vec<_>>(), [7]);
        assert_eq!(routing.ignored().len(), 1);
        let failed = |left: &[Option<&[Key]>]| -> Vec<usize> {
            let runs = ran(&routing, left);
            (0..8).filter(|n| routing.has_failed(*n, &runs)).collect()
        };
        let selections: Vec<Selection> = routing.runs().into_iter().map(|run| run.selection).collect();
        assert_eq!(
            selections,
            [
                Selection::UpTo(HashSet::from([a.clone(), b.clone()])),
                Selection::UpTo(HashSet::from([other.clone()])),
                Selection::Reload(a.clone()),
            ]
        );
        assert_eq!(failed(&[None, None, None]), [7]);
        assert_eq!(failed(&[Some(&[b]), None, None]), [1, 3, 7]);
        assert_eq!(failed(&[Some(&[]), None, None]), [0, 1, 3, 7]);
        assert_eq!(failed(&[None, Some(&[other]), None]), [2, 3, 7]);
        assert_eq!(failed(&[None, None, Some(&[a])]), [5, 6, 7]);
    }

    #[test]
    fn a_sweep_takes_in_whatever_is_asked_of_the_same_queue() {
        let datasets = datasets();
        let mut routing = Routing::new(&datasets);
        routing.add(Ok(created(&datasets, &[key(0, "a")], Some("1"))));
        routing.add(Ok(event::Asked { sweep: true, ..event::Asked::default() }));
        let runs = ran(&routing, &[Some(&[key(0, "b")]), None]);
        assert!(runs.iter().all(|(run, _)| run.selection == Selection::WholeQueue && run.uploads.is_empty()));
        assert_eq!([0, 1].map(|n| routing.has_failed(n, &runs)), [false, true]);
    }

    #[test]
    fn revisions_are_looked_for_once_each_if_all_are_known_and_few() {
        let datasets = datasets();
        let uploads = |events: &[(&str, Option<&str>)]| {
            let mut routing = Routing::new(&datasets);
            for (name, etag) in events {
                routing.add(Ok(created(&datasets, &[key(0, name)], *etag)));
            }
            routing.runs().remove(0).uploads.len()
        };
        assert_eq!(uploads(&[("a", Some("1")), ("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]), 3);
        assert_eq!(uploads(&[("a", Some("1")), ("b", None)]), 0);
        let names: Vec<String> = (0..=MAX_UPLOADS).map(|n| n.to_string()).collect();
        let events: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), Some("1"))).collect();
        assert_eq!((uploads(&events[1..]), uploads(&events)), (MAX_UPLOADS, 0));
    }

    #[test]
    fn a_key_that_may_be_two_is_asked_for_of_whichever_dataset_it_is_an_archive_of() {
        let datasets = datasets();
        let mut routing = Routing::new(&datasets);
        let mut asked = created(&datasets, &["client/cmslite%5Fgdx/cms-analytics-csv+1.tgz".into()], None);
        let decoded: Key = "client/cmslite_gdx/cms-analytics-csv 1.tgz".into();
        asked.objects[0].decoded = Some(decoded.clone());
        routing.add(Ok(asked));
        assert_eq!(routing.runs().remove(0).selection, Selection::UpTo(HashSet::from([decoded])));
        assert!(routing.ignored().is_empty());
    }
}
