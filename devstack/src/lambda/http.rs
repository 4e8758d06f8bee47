//! What both APIs need of HTTP.

use std::future::Future;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub type Answer = Response<Full<Bytes>>;

/// Answers requests until it is dropped, and with it every connection.
pub async fn serve<F>(listener: TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static)
where
    F: Future<Output = Result<Answer, hyper::Error>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let service = service_fn(answer.clone());
        connections.spawn(async move {
            let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A function's process that is killed breaks its connection: nothing to be said of it.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

pub fn respond(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// A failure in the form that runtimes and functions tell it.
pub fn fault(status: StatusCode, error_type: &str, message: &str) -> Answer {
    respond(status, json!({"errorType": error_type, "errorMessage": message}).to_string())
}

/// An error of the Invoke API's own.
pub fn refuse(status: StatusCode, error_type: &'static str, message: &str) -> Answer {
    let mut response = respond(status, json!({"Type": "User", "message": message}).to_string());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error_type));
    response
}

pub fn no_such_path(path: &str) -> Answer {
    refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &format!("no such path: {path}"))
}
