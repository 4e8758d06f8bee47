//! Holds the HTTP answers that both APIs share.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

pub use crate::http_server::{Answer, serve};

pub fn respond(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// Returns a failure in the form that runtimes and functions report.
pub fn fault(status: StatusCode, error_type: &str, message: &str) -> Answer {
    respond(status, json!({"errorType": error_type, "errorMessage": message}).to_string())
}

/// Returns an error of the Invoke API itself.
pub fn refuse(status: StatusCode, error_type: &'static str, message: &str) -> Answer {
    let mut response = respond(status, json!({"Type": "User", "message": message}).to_string());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error_type));
    response
}

pub fn no_such_path(path: &str) -> Answer {
    refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &format!("no such path: {path}"))
}
