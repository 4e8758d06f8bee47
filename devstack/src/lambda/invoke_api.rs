//! Serves the Invoke API that calls a function (AWS Lambda API Reference, Invoke).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::oneshot;

use super::http::{Answer, fault, no_such_path, refuse, respond};
use super::invocation::{Outcome, PAYLOAD_LIMIT_BYTES, VERSION};
use super::queue::Shared;

/// Answers a request of any caller.
pub async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    Ok(match (&parts.method, path.as_slice()) {
        (&Method::POST, ["2015-03-31", "functions", _, "invocations"]) => {
            let kind = parts
                .headers
                .get("x-amz-invocation-type")
                .map_or("RequestResponse", |kind| kind.to_str().unwrap_or_default());
            invoked(kind, &body, &shared).await
        }
        _ => no_such_path(parts.uri.path()),
    })
}

/// Carries out Invoke: `Event` is answered at once, `RequestResponse` when the function has answered; the
/// function's failure is a 200 with a header.
async fn invoked(kind: &str, body: &[u8], shared: &Arc<Shared>) -> Answer {
    if body.len() > PAYLOAD_LIMIT_BYTES {
        return refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            "the payload is larger than 6 MB",
        );
    }
    let payload: Value = match serde_json::from_slice(if body.is_empty() { b"{}" } else { body }) {
        Ok(payload) => payload,
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                &format!("not JSON: {error}"),
            );
        }
    };
    let (request_id, mut response) = match kind {
        "Event" => (shared.submit(payload, None), respond(StatusCode::ACCEPTED, Bytes::new())),
        "RequestResponse" => {
            let (sender, receiver) = oneshot::channel();
            let request_id = shared.submit(payload, Some(sender));
            let mut response = match receiver.await {
                Ok(Outcome::Ok(value)) => respond(StatusCode::OK, value.to_string()),
                Ok(Outcome::Failed { error_type, message }) => {
                    let mut response = fault(StatusCode::OK, &error_type, &message);
                    response
                        .headers_mut()
                        .insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
                    response
                }
                Err(_) => return refuse(StatusCode::BAD_GATEWAY, "ServiceException", "the function is gone"),
            };
            response.headers_mut().insert("x-amz-executed-version", HeaderValue::from_static(VERSION));
            (request_id, response)
        }
        "DryRun" => return respond(StatusCode::NO_CONTENT, Bytes::new()),
        other => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                &format!("no such invocation type: {other}"),
            );
        }
    };
    if let Ok(request_id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", request_id);
    }
    response
}
