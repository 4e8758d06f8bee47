//! Serves the runtime API that a function polls (AWS Lambda Developer Guide, "Using the Lambda runtime API").

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::http::{Answer, fault, no_such_path, respond};
use super::invocation::{NAME, Outcome, PAYLOAD_LIMIT_BYTES, REGION};
use super::queue::{Running, Shared, Start, State};

/// Answers a request of a process.
pub async fn answer(
    request: Request<Incoming>,
    process: u64,
    shared: Arc<Shared>,
) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    // Everything that the process wrote before this request must be in the log before the request takes
    // effect.
    shared.drain(process).await;
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    Ok(match (&parts.method, path.as_slice()) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => next(process, &shared).await,
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
            responded(id, &body, &shared)
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
            accepted(shared.end(id, diagnostic(&body)))
        }
        (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
            if let Some(process) = shared.state().processes.get_mut(&process) {
                process.start = Start::Reported;
            }
            shared.end_waiting(diagnostic(&body));
            accepted(true)
        }
        _ => no_such_path(parts.uri.path()),
    })
}

fn accepted(is_known: bool) -> Answer {
    if is_known {
        respond(StatusCode::ACCEPTED, json!({"status": "OK"}).to_string())
    } else {
        fault(StatusCode::BAD_REQUEST, "InvalidRequestID", "no such invocation")
    }
}

/// Handles a runtime's answer to an invocation. An answer that is too large fails the invocation.
fn responded(id: &str, body: &[u8], shared: &Arc<Shared>) -> Answer {
    if body.len() > PAYLOAD_LIMIT_BYTES {
        let (error_type, message) = (
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6 MB).",
        );
        shared.end(id, Outcome::failed(error_type, message));
        return fault(StatusCode::PAYLOAD_TOO_LARGE, error_type, message);
    }
    let value = serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
    accepted(shared.end(id, Outcome::Ok(value)))
}

fn diagnostic(body: &[u8]) -> Outcome {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Outcome::Failed { error_type: text("errorType"), message: text("errorMessage") }
}

/// Handles the runtime's long poll.
async fn next(process: u64, shared: &Arc<Shared>) -> Answer {
    // The invocation is taken and recorded as running in one step, so that it fails if the process ends now.
    let take = |state: &mut State| {
        let Some(asking) = state.processes.get_mut(&process).filter(|process| process.kill.is_some()) else {
            return Some(None);
        };
        asking.start = Start::Good;
        let job = state.queue.pop_front()?;
        let (request_id, payload) = (job.request_id.clone(), job.payload.to_string());
        let watchdog = tokio::spawn(watch(request_id.clone(), process, Arc::clone(shared))).abort_handle();
        state.running.insert(request_id.clone(), Running { job, process, begun: Instant::now(), watchdog });
        Some(Some((request_id, payload)))
    };
    let Some((request_id, payload)) = shared.wait_for(take).await else {
        return fault(StatusCode::GONE, "Runtime.Gone", "this process is being killed");
    };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + shared.options.timeout;
    let mut response = respond(StatusCode::OK, payload);
    let headers = [
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{REGION}:000000000000:function:{NAME}"),
        ),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Ends an invocation when its time is over.
async fn watch(request_id: String, process: u64, shared: Arc<Shared>) {
    sleep(shared.options.timeout).await;
    shared.time_out(&request_id, process);
}
