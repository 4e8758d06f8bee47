//! Serves the status page in a stack's bucket to a browser, which cannot sign requests to S3.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::dataset::Dataset;
use crate::http_server::{Answer, serve};
use crate::stack::Stack;

/// The characters of an address's path that are percent-encoded: all except RFC 3986's unreserved characters.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A server of a dataset's status page, reachable only from this machine. Dropping it stops it.
pub struct StatusPage {
    url: String,
    server: JoinHandle<()>,
}

impl StatusPage {
    /// Serves the status page of a dataset; port 0 stands for any free one.
    ///
    /// # Errors
    ///
    /// The port cannot be bound.
    pub async fn start(stack: &Arc<Stack>, dataset: &Dataset, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let name = format!("{}.html", dataset.name);
        let port = listener.local_addr()?.port();
        let url = format!("http://localhost:{port}/{}", utf8_percent_encode(&name, &PATH));
        let (stack, bucket, key) = (Arc::clone(stack), dataset.bucket.clone(), dataset.page.clone());
        let server = tokio::spawn(serve(listener, move |request| {
            // Browsers differ in what they encode.
            let asked = request.uri().path().strip_prefix('/').unwrap_or_default();
            let is_asked_for = asked.is_empty() || percent_decode_str(asked).eq(name.bytes());
            let answer = answer(stack.s3.read(&bucket, &key).filter(|_| is_asked_for));
            async move { Ok(answer) }
        }));
        Ok(Self { url, server })
    }

    /// Returns the page's address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for StatusPage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Returns the answer with the page, or 404 if there is no page.
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
