//! Tests checksums that a client sends before or after a body.

use std::io::Write as _;
use std::time::SystemTime;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
use devstack::s3::S3;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;

use crate::case;

use super::support::{BUCKET, long_term, refusal, refused, start};

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_stores_nothing() {
    let (s3, client) = start().await;
    let write = || client.put_object().bucket(BUCKET).key("k").body(b"hello".to_vec().into());
    // MD5 and CRC32 are those of "other".
    for (name, wrong) in [
        ("MD5", write().content_md5("eV8yArF8trw9S3cdjGyerw==")),
        ("CRC32", write().checksum_crc32("2Vg1IA==")),
        ("CRC32C", write().checksum_crc32_c("2Vg1IA==")),
        ("CRC64NVME", write().checksum_crc64_nvme("AAAAAAAAAAA=")),
        ("SHA-1", write().checksum_sha1("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("SHA-256", write().checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
    ] {
        case(name);
        assert_eq!(refusal(wrong.send().await), refused(400, "BadDigest"), "{name}");
    }
    assert_eq!(refusal(write().content_md5("not base64").send().await), refused(400, "InvalidDigest"));
    assert_eq!(refusal(write().checksum_crc32("AAAAAAAAAAA=").send().await), refused(400, "InvalidRequest"));
    assert_eq!(
        refusal(
            write().checksum_crc32("NhCmhg==").checksum_sha1("qvTGHdzF6KLavt4PO0gs2a6pQ00=").send().await
        ),
        refused(400, "InvalidRequest")
    );
    assert!(s3.objects(BUCKET).is_empty());
    write().content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await.unwrap();
    write().checksum_crc32("NhCmhg==").send().await.unwrap();
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"hello");
}

#[tokio::test]
async fn every_algorithm_is_accepted_ahead_of_the_body_and_behind_it_and_comes_back() {
    let (_s3, client) = start().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; 300_000]).unwrap();
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        case(algorithm.as_str());
        // The SDK sends the checksum of a body from memory in a header, and of one from a file in a trailer.
        for body in [ByteStream::from(vec![7; 300_000]), ByteStream::from_path(file.path()).await.unwrap()] {
            let put = client
                .put_object()
                .bucket(BUCKET)
                .key("k")
                .checksum_algorithm(algorithm.clone())
                .body(body)
                .send()
                .await
                .unwrap();
            let got = client
                .get_object()
                .bucket(BUCKET)
                .key("k")
                .checksum_mode(ChecksumMode::Enabled)
                .send()
                .await
                .unwrap();
            let of = |sums: [Option<&str>; 5]| sums.map(|sum| sum.map(str::to_owned));
            let sent = of([
                put.checksum_crc32(),
                put.checksum_crc32_c(),
                put.checksum_crc64_nvme(),
                put.checksum_sha1(),
                put.checksum_sha256(),
            ]);
            let kept = of([
                got.checksum_crc32(),
                got.checksum_crc32_c(),
                got.checksum_crc64_nvme(),
                got.checksum_sha1(),
                got.checksum_sha256(),
            ]);
            assert_eq!(sent.iter().flatten().count(), 1);
            assert_eq!(sent, kept);
            // The SDK verifies the checksum while it reads.
            assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![7; 300_000]);
        }
    }
}

/// Puts `hello` in one chunk with a checksum in a trailer, as SDKs do when they stream a body.
async fn put_with_trailer(s3: &S3, announced: &str, trailer: &str) -> (u16, String) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let url = format!("{}/{BUCKET}/trailer", s3.endpoint());
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", announced),
    ];
    let keys = long_term();
    let identity =
        aws_sdk_s3::config::Credentials::new(keys.access_key_id, keys.secret_access_key, None, None, "test")
            .into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("ca-central-1")
        .name("s3")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let signable =
        SignableRequest::new("PUT", &url, headers.into_iter(), SignableBody::StreamingUnsignedPayloadTrailer)
            .unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = http::Request::put(&url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    let request =
        request.body(Full::new(bytes::Bytes::from(format!("5\r\nhello\r\n0\r\n{trailer}\r\n")))).unwrap();
    let answer = HttpClient::builder(TokioExecutor::new()).build_http().request(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code.to_owned());
    (status, code.unwrap_or_default())
}

#[tokio::test]
async fn a_wrong_or_missing_trailer_is_refused() {
    let (s3, _client) = start().await;
    let name = "x-amz-checksum-crc32";
    assert_eq!(
        put_with_trailer(&s3, name, "x-amz-checksum-crc32:2Vg1IA==\r\n").await,
        refused(400, "BadDigest")
    );
    assert_eq!(put_with_trailer(&s3, name, "").await, refused(400, "MalformedTrailerError"));
    assert!(s3.objects(BUCKET).is_empty());
    assert_eq!(put_with_trailer(&s3, name, "x-amz-checksum-crc32:NhCmhg==\r\n").await, refused(200, ""));
    assert_eq!(s3.read(BUCKET, "trailer").unwrap(), b"hello");
}
