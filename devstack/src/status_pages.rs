//! The status pages in a stack's bucket, for a browser, which cannot sign requests to S3.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::dataset::Dataset;
use crate::http_server::{Answer, serve};
use crate::stack::Stack;

/// A server of status pages, for this machine alone. Dropping it ends it.
pub struct StatusPages {
    url: String,
    server: JoinHandle<()>,
}

impl StatusPages {
    /// Serves the page of a dataset, and of those that share its bucket and destination; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn start(stack: &Arc<Stack>, dataset: &Dataset, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://localhost:{}/{}.html", listener.local_addr()?.port(), dataset.name);
        let (stack, bucket, prefix) =
            (Arc::clone(stack), dataset.bucket.clone(), dataset.status_prefix.clone());
        let server = tokio::spawn(serve(listener, move |request| {
            let key = format!("{prefix}{}", request.uri().path().trim_start_matches('/'));
            let answer = answer(stack.s3.read(&bucket, &key));
            async move { Ok(answer) }
        }));
        Ok(Self { url, server })
    }

    /// The address of the dataset's page.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for StatusPages {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The key of a dataset's page.
pub fn key(dataset: &Dataset) -> String {
    format!("{}{}.html", dataset.status_prefix, dataset.name)
}

/// The page, if there is one, as S3 would answer with it.
fn answer(page: Option<Vec<u8>>) -> Answer {
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
