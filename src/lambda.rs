//! The entry point for AWS Lambda: an event in, a report or a diagnostic out.

// Where the log goes.
mod logging;
// Reports as Lambda hands them on.
mod answer;

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::Utc;
use cmslite_core::config::{Dataset, PassedOver};
use cmslite_core::error::{Deployment, Error, Retryable};
use cmslite_core::event::{ObjectRef, Trigger};
use cmslite_core::key::Key;
use cmslite_core::progress::Progress;
use cmslite_core::queue::{Object, Selection};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, error, info, info_span};

use self::answer::{Answer, diagnostic};
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::environment::Environment;
use crate::metrics::{self, RunMetrics};
use crate::report::Report;
use crate::run_request::RunRequest;
use crate::time_limits::SET_UP;
use crate::waits::Waits;
use crate::{config_files, load};

/// The function, ready for events.
struct Handler {
    clients: Clients,
    datasets: Vec<Arc<Dataset>>,
    /// As [`RunRequest`] has it.
    left_to_task_above: Option<u64>,
}

/// Serves events until the runtime ends the process.
///
/// A function that could not be set up is served too: each event tries it again, and is answered with the
/// reason, so that the reason stands where people look for it.
pub async fn main() -> ExitCode {
    logging::init();
    let directory = env::var_os("CONFIG_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from);
    let setup = Setup::default();
    let set_up = timeout(SET_UP, setup.handler()).await.unwrap_or_else(|_| {
        let waited = setup.waits.oldest().map_or_else(String::new, |wait| format!(", while {wait}"));
        Err(Error::retryable(Retryable::Unknown, format!("it took too long to set the function up{waited}")))
    });
    if let Err(error) = set_up {
        error!(error_type = error.error_type(), "cannot start: {}", error.chain());
    }
    match serve(&setup, &config_files::names(directory.as_deref())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The handler, as soon as it could be made.
#[derive(Default)]
struct Setup {
    handler: OnceCell<Handler>,
    waits: Waits,
}

impl Setup {
    async fn handler(&self) -> Result<&Handler, Error> {
        self.handler.get_or_try_init(|| Handler::new(&self.waits)).await
    }
}

/// Serves events with a handler, or answers each of them with why there is none, and counts that for every
/// one of `datasets`.
async fn serve(setup: &Setup, datasets: &[String]) -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let (payload, context) = event.into_parts();
        let span = info_span!("invocation", request_id = context.request_id);
        let invocation = Invocation {
            begun: Instant::now(),
            deadline: deadline(context.deadline(), SystemTime::now()),
            request_id: context.request_id,
        };
        let answered = async {
            let cancellation = Cancellation::at(invocation.deadline).telling(&setup.waits);
            let answer = match cancellation.bounded(setup.handler()).await {
                Ok(handler) => handler.handle(payload, &invocation, &cancellation).await,
                Err(error) => {
                    invocation.failed_before_any(datasets.iter().map(String::as_str), &error);
                    Err(diagnostic(&error))
                }
            };
            if let Err(diagnostic) = &answer {
                error!(error_type = diagnostic.error_type, "{}", diagnostic.error_message);
            }
            answer
        };
        answered.instrument(span).await
    }))
    .await
}

/// One invocation of the function.
struct Invocation {
    request_id: String,
    begun: Instant,
    deadline: Option<Instant>,
}

impl Invocation {
    /// Writes the metrics of a run.
    fn emit_metrics(&self, report: &Report, failure: Option<&Error>) {
        let metrics = RunMetrics::since(self.begun, self.deadline);
        metrics::emit(io::stdout().lock(), &metrics.to_emf_line(report, failure, Utc::now()));
    }

    /// An invocation that failed before any dataset was worked on has failed for all of them.
    fn failed_before_any<'a>(&self, datasets: impl Iterator<Item = &'a str>, error: &Error) {
        for dataset in datasets {
            let report = Report {
                dataset: dataset.to_owned(),
                request_id: self.request_id.clone(),
                ..Report::default()
            };
            self.emit_metrics(&report, Some(error));
        }
    }
}

/// An object that asks for nothing.
struct Ignored<'a> {
    object: ObjectRef,
    /// What it is, and the dataset that passes it over; else it belongs to none.
    passed_over: Option<(&'a Arc<Dataset>, PassedOver)>,
}

impl Ignored<'_> {
    /// What is said of it by a dataset whose archive it may have been meant to be.
    fn report(&self, request_id: &str) -> Option<Report> {
        let (dataset, why) = self.passed_over.filter(|(_, why)| why.is_unusable_key())?;
        let mut report = Report::of(dataset, request_id);
        report.record_unusable_keys(&[(self.object.key.clone(), why)]);
        Some(report)
    }

    fn name(&self) -> Key {
        format!("s3://{}/{}", self.object.bucket, self.object.key.as_str()).into()
    }
}

/// What one event asks of one dataset.
struct Asked<'a> {
    dataset: &'a Arc<Dataset>,
    selection: Selection,
    /// As [`RunRequest`] has them.
    uploads: Vec<Object>,
}

impl<'a> Asked<'a> {
    fn of(dataset: &'a Arc<Dataset>, selection: Selection) -> Self {
        Self { dataset, selection, uploads: Vec::new() }
    }

    /// Everything up to and including these objects.
    fn up_to(dataset: &'a Arc<Dataset>, objects: Vec<ObjectRef>) -> Self {
        let uploads: Option<Vec<Object>> = objects.iter().map(|object| object.upload.clone()).collect();
        let keys = objects.into_iter().map(|object| object.key).collect();
        Self { dataset, selection: Selection::UpTo(keys), uploads: uploads.unwrap_or_default() }
    }
}

impl Handler {
    async fn new(waits: &Waits) -> Result<Self, Error> {
        let environment = Environment::from_process()?;
        let datasets = config_files::load_all(environment.config_dir.as_deref())
            .map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string()))?;
        let clients = Clients::new(&environment, waits).await?;
        Ok(Self {
            clients,
            datasets: datasets.into_iter().map(Arc::new).collect(),
            left_to_task_above: environment.left_to_task_above,
        })
    }

    async fn handle(
        &self,
        payload: Value,
        invocation: &Invocation,
        cancellation: &Cancellation,
    ) -> Result<Answer, Diagnostic> {
        let (asked, ignored) =
            Trigger::parse(payload).and_then(|trigger| self.route(trigger)).map_err(|error| {
                let datasets = self.datasets.iter().map(|dataset| dataset.name.as_str());
                invocation.failed_before_any(datasets, &error);
                diagnostic(&error)
            })?;
        let mut answer = Answer::default();
        for object in &ignored {
            let why = object.passed_over.map_or_else(
                || "it belongs to no dataset".to_owned(),
                |(_, why)| format!("it is {why}, which is no archive"),
            );
            info!(object = %object.name(), "ignored: {why}");
            answer.ignored.push(object.name());
            if let Some(report) = object.report(&invocation.request_id) {
                invocation.emit_metrics(&report, None);
                answer.reports.push(report);
            }
        }
        let mut failure = None;
        for Asked { dataset, selection, uploads } in asked {
            let request = RunRequest {
                dataset: Arc::clone(dataset),
                selection,
                uploads,
                request_id: invocation.request_id.clone(),
                limit: None,
                left_to_task_above: self.left_to_task_above,
                cancellation: cancellation.clone(),
                progress: Progress::default(),
                given_up: Arc::default(),
            };
            let run = load::run(&self.clients, &request).await;
            info!(dataset = run.report.dataset, report = run.report.to_log_text(), "report");
            invocation.emit_metrics(&run.report, run.failure.as_ref());
            answer.reports.push(run.report);
            failure = failure.or(run.failure);
        }
        match failure {
            None => Ok(answer),
            Some(error) => Err(diagnostic(&error)),
        }
    }

    /// What a trigger asks of which datasets, and the objects that ask for nothing.
    fn route(&self, trigger: Trigger) -> Result<(Vec<Asked<'_>>, Vec<Ignored<'_>>), Error> {
        match trigger {
            Trigger::Test => Ok((Vec::new(), Vec::new())),
            Trigger::SweepAll => {
                let all = self.datasets.iter().map(|dataset| Asked::of(dataset, Selection::WholeQueue));
                Ok((all.collect(), Vec::new()))
            }
            Trigger::Dataset { name, selection } => {
                let dataset = self.datasets.iter().find(|dataset| dataset.name == name).ok_or_else(|| {
                    let known: Vec<&str> =
                        self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
                    Error::deployment(
                        Deployment::UnknownEvent,
                        format!("no dataset {name:?}; there are {}", known.join(", ")),
                    )
                })?;
                Ok((vec![Asked::of(dataset, selection)], Vec::new()))
            }
            Trigger::Created(objects) => Ok(self.route_objects(objects)),
        }
    }

    /// Objects by the datasets that they are archives of; the rest is ignored.
    fn route_objects(&self, objects: Vec<ObjectRef>) -> (Vec<Asked<'_>>, Vec<Ignored<'_>>) {
        let mut created: BTreeMap<usize, Vec<ObjectRef>> = BTreeMap::new();
        let mut ignored = Vec::new();
        for object in objects {
            let mut known = false;
            let of_bucket =
                || self.datasets.iter().enumerate().filter(|(_, dataset)| dataset.bucket == object.bucket);
            for (n, _) in of_bucket().filter(|(_, dataset)| dataset.matches(&object.key)) {
                created.entry(n).or_default().push(object.clone());
                known = true;
            }
            if !known {
                let passed_over = of_bucket()
                    .find_map(|(_, dataset)| dataset.passed_over(&object.key).map(|why| (dataset, why)));
                ignored.push(Ignored { object, passed_over });
            }
        }
        let asked = created
            .into_iter()
            .filter_map(|(n, objects)| self.datasets.get(n).map(|dataset| Asked::up_to(dataset, objects)));
        (asked.collect(), ignored)
    }
}

/// The deadline on this process's clock. One that is long past is none: `cargo lambda watch` sends one in
/// 1970.
fn deadline(at: SystemTime, now: SystemTime) -> Option<Instant> {
    match at.duration_since(now) {
        Ok(left) => Instant::now().checked_add(left),
        Err(past) if past.duration() > Duration::from_hours(24) => None,
        Err(_) => Some(Instant::now()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_in_1970_is_none() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(deadline(SystemTime::UNIX_EPOCH + Duration::from_millis(600_000), now).is_none());
        assert!(deadline(now - Duration::from_secs(1), now).is_some());
        assert!(deadline(now + Duration::from_secs(900), now).is_some());
    }
}
