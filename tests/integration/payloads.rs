//! Tests that bodies are hashed only as far as needed: with TLS, for the CRC that S3 checks; with plain HTTP,
//! also for a signed SHA-256.

use devstack::lambda::{self, Lambda, Outcome};
use devstack::s3::{Action, Fault, Request};
use devstack::tls_proxy::TlsProxy;

use crate::harness::{Harness, PROGRAM, expected, members, sample};

/// A harness whose function reaches S3 over TLS.
struct OverTls {
    harness: Harness,
    proxy: TlsProxy,
    function: Lambda,
}

impl OverTls {
    async fn start(more: &[(&str, &str)]) -> Self {
        let harness = Harness::start().await;
        let proxy = TlsProxy::start(harness.stack.s3.port()).await.unwrap();
        let mut environment = harness.environment.clone();
        environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL".to_owned(), proxy.endpoint()));
        environment.push(("SSL_CERT_FILE".to_owned(), proxy.certificates().display().to_string()));
        environment.extend(more.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let function = Lambda::start(lambda::Options::new(PROGRAM, environment)).await.unwrap();
        Self { harness, proxy, function }
    }

    async fn invoke(&self, key: &str) -> Outcome {
        self.function.invoke(Harness::event(key)).await
    }
}

/// Returns the uploads: at least one piece of each member.
fn written(harness: &Harness) -> Vec<Request> {
    let requests = harness.stack.s3.requests().into_iter();
    let written: Vec<Request> = requests.filter(|request| request.operation == "PutObject").collect();
    assert!(written.len() >= 4, "{written:#?}");
    written
}

/// Returns a header of a request about its body.
fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.get(name).map(String::as_str).unwrap_or_default()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_no_payload_is_signed_and_each_bears_a_checksum() {
    let it = OverTls::start(&[]).await;
    let (archive, key) = (sample(3, 50), it.harness.put("a", &sample(3, 50), 1));
    Harness::report(it.invoke(&key).await);
    assert!(it.harness.tables().await == expected(&members(3, 50)));
    for request in written(&it.harness) {
        assert_eq!(header(&request, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD", "{request:?}");
        assert!(!header(&request, "x-amz-checksum-crc32").is_empty(), "{request:?}");
    }
    // Requests without a body are signed as usual.
    for request in it.harness.stack.s3.requests().iter().filter(|request| request.operation != "PutObject") {
        assert!(is_sha256(header(request, "x-amz-content-sha256")), "{request:?}");
    }
    // All requests went through the proxy.
    let wire = it.proxy.wire_bytes();
    assert!(wire.sent > archive.len() as u64 && wire.received > archive.len() as u64, "{wire:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_each_payload_is_signed() {
    let harness = Harness::start().await;
    let key = harness.put("a", &sample(3, 50), 1);
    Harness::report(harness.invoke(&key).await);
    for request in written(&harness) {
        assert!(is_sha256(header(&request, "x-amz-content-sha256")), "{request:?}");
        assert!(!header(&request, "x-amz-checksum-crc32").is_empty(), "{request:?}");
    }
}

/// If there is no checksum to compare, the payload is signed.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_checksum_a_payload_is_signed_over_tls_too() {
    let it = OverTls::start(&[("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")]).await;
    let key = it.harness.put("a", &sample(3, 50), 1);
    Harness::report(it.invoke(&key).await);
    for request in written(&it.harness) {
        assert!(is_sha256(header(&request, "x-amz-content-sha256")), "{request:?}");
        assert_eq!(header(&request, "x-amz-checksum-crc32"), "", "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_what_is_damaged_on_its_way_is_refused_and_comes_again() {
    let it = OverTls::start(&[]).await;
    let key = it.harness.put("a", &sample(3, 50), 1);
    it.harness.stack.s3.inject(Fault::on("PutObject", ".csv", Action::FlipBit(77)).times(1));
    let Outcome::Failed { error_type, message } = it.invoke(&key).await else { panic!("it was taken") };
    assert!(error_type.starts_with("Retryable.") && message.contains("BadDigest"), "{error_type}: {message}");
    assert!(it.harness.is_unsettled("a"));
    let requests = it.harness.stack.s3.requests().into_iter();
    let refused = requests.filter(|request| request.operation == "PutObject" && request.status == Some(400));
    assert_eq!(refused.count(), 1);

    Harness::report(it.invoke(&key).await);
    assert!(it.harness.tables().await == expected(&members(3, 50)));
}
