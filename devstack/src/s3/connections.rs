//! Serves connections: each request goes to `s3s`, and its answer goes back unless a fault withholds it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::service::S3Service;
use tokio::net::TcpListener;

use super::disconnect::{BreakableStream, Disconnect};
use super::exchange::Exchange;
use super::request_log::Request;
use super::state::State;

pub(super) async fn serve(listener: TcpListener, service: S3Service, state: Arc<State>) {
    // Connections end with the server, not after it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The process is out of file descriptors, or a client gave up: neither ends the server.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (service, state) = (service.clone(), Arc::clone(&state));
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let disconnect = Disconnect::default();
            let stream = BreakableStream::new(stream, disconnect.clone());
            let answer = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(disconnect.clone());
                answer(service.clone(), Arc::clone(&state), request)
            });
            let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

async fn answer(
    service: S3Service,
    state: Arc<State>,
    mut request: hyper::Request<Incoming>,
) -> io::Result<s3s::HttpResponse> {
    let exchange = Exchange::default();
    request.extensions_mut().insert(exchange.clone());
    let signer = signer(request.headers());
    let response = service.call(request.map(s3s::Body::from)).await;
    let logged = exchange.logged(|| {
        state.requests.add(Request {
            operation: String::new(),
            bucket: None,
            key: None,
            access_key_id: signer,
            required_permissions: Vec::new(),
            expected_bucket_owner: None,
            expected_source_bucket_owner: None,
            headers: BTreeMap::new(),
            at: Instant::now(),
            status: None,
        })
    });
    if !exchange.end() {
        return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    }
    let mut response = response.map_err(|error| io::Error::other(format!("{error:?}")))?;
    if let Some((name, value)) = exchange.header() {
        let value = http::HeaderValue::from_bytes(value).map_err(io::Error::other)?;
        response.headers_mut().insert(name, value);
    }
    logged.set_status(response.status().as_u16());
    Ok(response)
}

/// Returns the id of the access key in a signature, whether or not the signature is valid.
fn signer(headers: &http::HeaderMap) -> Option<String> {
    let (_, credential) = headers.get("authorization")?.to_str().ok()?.split_once("Credential=")?;
    credential.split('/').next().map(str::to_owned)
}
