//! Serves HTTP for APIs whose answers are complete at once.

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A complete HTTP answer.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests until its future is dropped, or no more connections can be accepted. All its connections
/// end at the same time.
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
            // A process that is killed breaks its connection, which is not an error.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
