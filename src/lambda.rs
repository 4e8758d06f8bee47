//! The entry point for AWS Lambda: an event in, a report or a diagnostic out.

// The log.
mod logging;
// Reports in the form of Lambda's answers.
mod answer;
// From events to datasets and their archives.
mod routing;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cmslite_core::config::Dataset;
use cmslite_core::error::{Error, Retryable};
use cmslite_core::event::{Asked, Event, Message, messages_to_retry};
use cmslite_core::progress::Progress;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, error, info, info_span};

use self::answer::{Answer, Done, diagnostic};
use self::routing::{Routing, RunAsked};
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::environment::Environment;
use crate::load::Run;
use crate::metrics;
use crate::report::Report;
use crate::run_request::RunRequest;
use crate::time_limits::SET_UP;
use crate::waits::Waits;
use crate::{config_files, load, page};

/// The function, ready for events.
struct Handler {
    clients: Clients,
    datasets: Vec<Arc<Dataset>>,
    /// The maximum number of bytes of an archive that the function loads, as in [`RunRequest`].
    left_to_task_above: Option<u64>,
    /// Whether a dataset's status page is written after each run.
    has_status_page: bool,
}

/// Serves events until the runtime ends the process.
///
/// If the set-up fails, events are served too: each event tries the set-up again, and its answer has the
/// reason, so that the reason is where people look for it.
pub async fn main() -> ExitCode {
    logging::init();
    let directory = config_files::directory();
    let setup = Setup::default();
    let set_up = timeout(SET_UP, setup.handler()).await.unwrap_or_else(|_| {
        let waited = setup.waits.oldest().map_or_else(String::new, |wait| format!(", while {wait}"));
        Err(Error::retryable(Retryable::Unknown, format!("setting the function up took too long{waited}")))
    });
    if let Err(error) = set_up {
        error!(error_type = error.error_type(), "cannot start: {}", error.chain());
    }
    match serve(&setup, &config_files::names(directory.as_deref())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The set-up, with the handler once it was created.
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

/// Serves events with a handler. If there is none, it answers each event with the reason, and counts a
/// failure for each of `datasets`.
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
            let cancellation = Cancellation::at(invocation.deadline).with_waits(&setup.waits);
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
        metrics::emit(io::stdout().lock(), self.begun, self.deadline, report, failure);
    }

    /// Counts an invocation that failed before it worked on a dataset as a failure of each of `datasets`.
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

impl Handler {
    async fn new(waits: &Waits) -> Result<Self, Error> {
        let environment = Environment::from_process()?;
        let datasets = config_files::load_all(environment.config_dir.as_deref()).map_err(Error::from)?;
        let clients = Clients::new(&environment, waits).await?;
        Ok(Self {
            clients,
            datasets: datasets.into_iter().map(Arc::new).collect(),
            left_to_task_above: environment.left_to_task_above,
            has_status_page: environment.has_status_page,
        })
    }

    async fn handle(
        &self,
        payload: Value,
        invocation: &Invocation,
        cancellation: &Cancellation,
    ) -> Result<Answer, Diagnostic> {
        match Event::parse(&payload) {
            Ok(Event::Batch(messages)) => self.handle_batch(messages, invocation, cancellation).await,
            Ok(Event::Whole(asked)) => self.handle_whole(Ok(asked), invocation, cancellation).await,
            Err(error) => self.handle_whole(Err(error), invocation, cancellation).await,
        }
    }

    /// Handles an event that fails if anything that it asks for fails.
    async fn handle_whole(
        &self,
        asked: Result<Asked, Error>,
        invocation: &Invocation,
        cancellation: &Cancellation,
    ) -> Result<Answer, Diagnostic> {
        let mut routing = Routing::new(&self.datasets);
        routing.add(asked);
        if let Some((_, error)) = routing.refusals().next() {
            self.count_refusal(invocation, error);
            return Err(diagnostic(error));
        }
        let Worked { mut done, runs } = self.work(&routing, invocation, cancellation).await;
        let mut failure = None;
        for (_, run) in runs {
            done.reports.push(run.report);
            failure = failure.or(run.failure);
        }
        failure.map_or(Ok(Answer::Done(done)), |error| Err(diagnostic(&error)))
    }

    /// Handles a batch of SQS: everything possible is done, once for all messages. Messages whose work was
    /// left undone are delivered again. The reports are in the log, since Lambda discards the answer to SQS.
    async fn handle_batch(
        &self,
        messages: Vec<Message>,
        invocation: &Invocation,
        cancellation: &Cancellation,
    ) -> Result<Answer, Diagnostic> {
        let mut routing = Routing::new(&self.datasets);
        let mut labels = Vec::with_capacity(messages.len());
        for Message { id, fifo_group, asked } in messages {
            routing.add(asked);
            labels.push((id, fifo_group));
        }
        for (n, error) in routing.refusals() {
            let message_id = labels.get(n).and_then(|(id, _)| id.as_deref());
            error!(message_id, error_type = error.error_type(), "{}", error.chain());
        }
        // Counted once, like an event that is not understood.
        if let Some((_, error)) = routing.refusals().next() {
            self.count_refusal(invocation, error);
        }
        let Worked { runs, .. } = self.work(&routing, invocation, cancellation).await;
        let failures = runs.iter().filter_map(|(_, run)| run.failure.as_ref());
        for error in failures.clone() {
            error!(error_type = error.error_type(), "{}", error.chain());
        }
        let groups = labels.iter().map(|(_, group)| group.as_deref());
        let again = messages_to_retry(groups, |n| routing.has_failed(n, &runs));
        let again = labels.iter().zip(again).filter(|(_, is_again)| *is_again);
        let named: Option<Vec<String>> = again.map(|((id, _), _)| id.clone()).collect();
        match (named, routing.refusals().map(|(_, error)| error).chain(failures).next()) {
            (Some(again), _) => {
                info!(messages = labels.len(), again = again.len(), "batch done");
                Ok(Answer::again(again))
            }
            // A message without an id cannot be delivered again by itself, so the whole batch is.
            (None, Some(error)) => Err(diagnostic(error)),
            (None, None) => Ok(Answer::again(Vec::new())),
        }
    }

    /// Counts an event that is not understood as a failure of all datasets, since its dataset is not known.
    fn count_refusal(&self, invocation: &Invocation, error: &Error) {
        invocation.failed_before_any(self.datasets.iter().map(|dataset| dataset.name.as_str()), error);
    }

    /// Makes the runs that the events ask for, one after the other.
    async fn work<'a>(
        &self,
        routing: &Routing<'a>,
        invocation: &Invocation,
        cancellation: &Cancellation,
    ) -> Worked<'a> {
        let mut done = Done::default();
        for ignored in routing.ignored() {
            info!(object = %ignored.name(), "ignored: {}", ignored.why());
            done.ignored.push(ignored.name());
            if let Some(report) = ignored.report(&invocation.request_id) {
                invocation.emit_metrics(&report, None);
                done.reports.push(report);
            }
        }
        let mut runs = Vec::new();
        for asked in routing.runs() {
            let request = RunRequest {
                dataset: Arc::clone(asked.dataset),
                selection: asked.selection.clone(),
                uploads: asked.uploads.clone(),
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
            if self.has_status_page {
                // Boxed, like the steps of a run.
                Box::pin(page::write_after(&self.clients, asked.dataset, &run, cancellation)).await;
            }
            runs.push((asked, run));
        }
        Worked { done, runs }
    }
}

/// The work done for an event.
struct Worked<'a> {
    /// The answer, except for the runs.
    done: Done,
    runs: Vec<(RunAsked<'a>, Run)>,
}

/// Returns the deadline on this process's clock. A deadline long past counts as none: `cargo lambda watch`
/// sends one in 1970.
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
