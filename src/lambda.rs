//! The face towards Lambda: an event in, a report or a diagnostic out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{error, info};

use crate::config::Dataset;
use crate::error::{Deployment, Error};
use crate::event::{ObjectRef, Trigger};
use crate::pipeline::{Invocation, Loader};
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
/// A function that could not be set up is served too: it answers every event with the reason, so that the reason stands
/// where people look for it.
///
/// # Errors
///
/// The runtime's own.
pub async fn serve(function: Result<Function, Error>) -> Result<(), lambda_runtime::Error> {
    if let Err(error) = &function {
        error!(error_type = error.error_type(), "cannot start: {}", error.chain());
    }
    let function = &function;
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let answer = match function {
            Ok(function) => function.handle(event).await,
            Err(error) => Err(diagnostic(error)),
        };
        if let Err(diagnostic) = &answer {
            error!(error_type = diagnostic.error_type, "{}", diagnostic.error_message);
        }
        answer
    }))
    .await
}

fn diagnostic(error: &Error) -> Diagnostic {
    Diagnostic { error_type: error.error_type().to_owned(), error_message: error.chain() }
}

/// What one event asks of one dataset.
struct Work<'a> {
    dataset: &'a Arc<Dataset>,
    until: Until,
}

impl Function {
    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, Diagnostic> {
        let (payload, context) = event.into_parts();
        let stop = Stop::at(deadline(context.deadline(), SystemTime::now()));
        let invocation = Invocation { request_id: context.request_id.clone(), stop, limit: None };
        let trigger = Trigger::parse(payload).map_err(|error| diagnostic(&error))?;
        let (work, ignored) = self.work(trigger).map_err(|error| diagnostic(&error))?;
        for object in &ignored {
            info!(request_id = invocation.request_id, object, "ignored: it belongs to no dataset");
        }
        let mut answer = Answer { version: FORMAT_VERSION, reports: Vec::new(), ignored };
        let mut failure = None;
        for work in work {
            let run = self.loader.run(work.dataset, &work.until, &invocation).await;
            if let Ok(report) = serde_json::to_string(&run.report) {
                info!(request_id = invocation.request_id, dataset = run.report.dataset, report, "report");
            }
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
            Trigger::SweepAll => Ok((self.datasets.iter().map(|dataset| Work { dataset, until: Until::End }).collect(), Vec::new())),
            Trigger::Dataset { name, until } => {
                let dataset = self.datasets.iter().find(|dataset| dataset.name == name).ok_or_else(|| {
                    let known: Vec<&str> = self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
                    Error::deployment(Deployment::UnknownEvent, format!("no dataset {name:?}; there are {}", known.join(", ")))
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
            for (n, _) in self.datasets.iter().enumerate().filter(|(_, dataset)| dataset.bucket == object.bucket && dataset.matches(&object.key)) {
                keys.entry(n).or_default().insert(object.key.clone());
                known = true;
            }
            if !known {
                ignored.push(format!("s3://{}/{}", object.bucket, object.key));
            }
        }
        let work = keys.into_iter().filter_map(|(n, keys)| self.datasets.get(n).map(|dataset| Work { dataset, until: Until::Keys(keys) }));
        (work.collect(), ignored)
    }
}

/// The deadline on this process's clock. One that is long past is none: `cargo lambda watch` sends one in 1970.
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
