//! The status pages in a stack's bucket, for a browser, which cannot sign requests to S3.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http_server::{Answer, serve};
use crate::stack::{BUCKET, Stack};

/// Where the function writes its pages, by the shipped configuration.
const PREFIX: &str = "processed/status/";

/// A server of status pages, for this machine alone. Dropping it ends it.
pub struct StatusPages {
    port: u16,
    server: JoinHandle<()>,
}

impl StatusPages {
    /// Serves the pages of a stack; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn start(stack: &Arc<Stack>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let stack = Arc::clone(stack);
        let server = tokio::spawn(serve(listener, move |request| {
            let answer = answer(&stack, request.uri().path());
            async move { Ok(answer) }
        }));
        Ok(Self { port, server })
    }

    /// The address of a dataset's page.
    pub fn url(&self, dataset: &str) -> String {
        format!("http://localhost:{}/{dataset}.html", self.port)
    }
}

impl Drop for StatusPages {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The key of a dataset's page.
pub fn key(dataset: &str) -> String {
    format!("{PREFIX}{dataset}.html")
}

/// The page at a path, as S3 would answer with it.
fn answer(stack: &Stack, path: &str) -> Answer {
    let page = stack.s3.read(BUCKET, &format!("{PREFIX}{}", path.trim_start_matches('/')));
    let (status, content_type, body) = match page {
        Some(page) => (StatusCode::OK, "text/html; charset=utf-8", Bytes::from(page)),
        None => (
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            Bytes::from_static(b"There is no such page. The function writes one after each run.\n"),
        ),
    };
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
