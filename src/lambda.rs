//! The face towards Lambda: an event in, a report or a diagnostic out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::Utc;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Instrument as _, error, info, info_span};

use crate::config::Dataset;
use crate::error::{Deployment, Error};
use crate::event::{ObjectRef, Trigger};
use crate::metrics::{self, Usage};
use crate::pipeline::{Invocation, Loader};
use crate::progress::Progress;
use crate::queue::Until;
use crate::report::{FORMAT_VERSION, Report};
use crate::stop::Stop;

/// What an invocation answers.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Version of this form.
    pub version: u32,
    /// One report for each dataset that was worked on.
    pub reports: Vec<Report>,
    /// Objects that belong to no dataset.
    pub ignored: Vec<String>,
}

/// The function, ready for events.
pub struct Function {
    /// Its connections.
    pub loader: Loader,
    /// Its datasets.
    pub datasets: Vec<Arc<Dataset>>,
}

/// Serves events until the runtime ends the process.
///
/// A function that could not be set up is served too: it answers every event with the reason, so that the
/// reason stands where people look for it. `datasets` are those that such a failure is counted for.
///
/// # Errors
///
/// The runtime's own.
pub async fn serve(
    function: Result<Function, Error>,
    datasets: &[String],
) -> Result<(), lambda_runtime::Error> {
    if let Err(error) = &function {
        error!(error_type = error.error_type(), "cannot start: {}", error.chain());
    }
    let function = &function;
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let (payload, context) = event.into_parts();
        let span = info_span!("invocation", request_id = context.request_id);
        let meter = Meter {
            begun: Instant::now(),
            deadline: deadline(context.deadline(), SystemTime::now()),
            request_id: context.request_id,
        };
        let answered = async {
            let answer = match function {
                Ok(function) => function.handle(payload, &meter).await,
                Err(error) => {
                    meter.failed_before_any(datasets.iter().map(String::as_str), error);
                    Err(diagnostic(error))
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

fn diagnostic(error: &Error) -> Diagnostic {
    Diagnostic { error_type: error.error_type().to_owned(), error_message: error.chain() }
}

/// What an invocation's metrics are taken with.
struct Meter {
    request_id: String,
    begun: Instant,
    deadline: Option<Instant>,
}

impl Meter {
    fn ran(&self, report: &Report, failure: Option<&Error>) {
        metrics::emit(&metrics::line(report, failure, Usage::since(self.begun, self.deadline), Utc::now()));
    }

    /// An invocation that failed before any dataset was worked on has failed for all of them.
    fn failed_before_any<'a>(&self, datasets: impl Iterator<Item = &'a str>, error: &Error) {
        for dataset in datasets {
            let report = Report {
                dataset: dataset.to_owned(),
                request_id: self.request_id.clone(),
                ..Report::default()
            };
            self.ran(&report, Some(error));
        }
    }
}

/// What one event asks of one dataset.
struct Work<'a> {
    dataset: &'a Arc<Dataset>,
    until: Until,
}

impl Function {
    async fn handle(&self, payload: Value, meter: &Meter) -> Result<Answer, Diagnostic> {
        let invocation = Invocation {
            request_id: meter.request_id.clone(),
            stop: Stop::at(meter.deadline),
            limit: None,
            progress: Progress::default(),
        };
        let (work, ignored) =
            Trigger::parse(payload).and_then(|trigger| self.work(trigger)).map_err(|error| {
                meter.failed_before_any(self.datasets.iter().map(|dataset| dataset.name.as_str()), &error);
                diagnostic(&error)
            })?;
        for object in &ignored {
            info!(object, "ignored: it belongs to no dataset");
        }
        let mut answer = Answer { version: FORMAT_VERSION, reports: Vec::new(), ignored };
        let mut failure = None;
        for work in work {
            let run = self.loader.run(work.dataset, &work.until, &invocation).await;
            if let Ok(report) = serde_json::to_string(&run.report) {
                info!(dataset = run.report.dataset, report, "report");
            }
            meter.ran(&run.report, run.failure.as_ref());
            answer.reports.push(run.report);
            failure = failure.or(run.failure);
        }
        match failure {
            None => Ok(answer),
            Some(error) => Err(diagnostic(&error)),
        }
    }

    fn work(&self, trigger: Trigger) -> Result<(Vec<Work<'_>>, Vec<String>), Error> {
        match trigger {
            Trigger::Test => Ok((Vec::new(), Vec::new())),
            Trigger::SweepAll => Ok((
                self.datasets.iter().map(|dataset| Work { dataset, until: Until::End }).collect(),
                Vec::new(),
            )),
            Trigger::Dataset { name, until } => {
                let dataset = self.datasets.iter().find(|dataset| dataset.name == name).ok_or_else(|| {
                    let known: Vec<&str> =
                        self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
                    Error::deployment(
                        Deployment::UnknownEvent,
                        format!("no dataset {name:?}; there are {}", known.join(", ")),
                    )
                })?;
                Ok((vec![Work { dataset, until }], Vec::new()))
            }
            Trigger::Created(objects) => Ok(self.route(objects)),
        }
    }

    /// Objects by the datasets that they are archives of; the rest is ignored.
    fn route(&self, objects: Vec<ObjectRef>) -> (Vec<Work<'_>>, Vec<String>) {
        let mut keys: BTreeMap<usize, HashSet<String>> = BTreeMap::new();
        let mut ignored = Vec::new();
        for object in objects {
            let mut known = false;
            for (n, _) in self
                .datasets
                .iter()
                .enumerate()
                .filter(|(_, dataset)| dataset.bucket == object.bucket && dataset.matches(&object.key))
            {
                keys.entry(n).or_default().insert(object.key.clone());
                known = true;
            }
            if !known {
                ignored.push(format!("s3://{}/{}", object.bucket, object.key));
            }
        }
        let work = keys.into_iter().filter_map(|(n, keys)| {
            self.datasets.get(n).map(|dataset| Work { dataset, until: Until::Keys(keys) })
        });
        (work.collect(), ignored)
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
