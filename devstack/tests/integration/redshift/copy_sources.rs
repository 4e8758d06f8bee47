//! Tests COPY's prefixes, manifests, credentials and compression.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use std::io::Write as _;

use devstack::s3;

use crate::case;

use super::copy_support::{copy, failed, with_table};
use super::support::{BUCKET, KEYS, ROLE, stack_with};

/// Every key that begins with the prefix is loaded (`copy-parameters-data-source-s3.md`).
#[tokio::test]
async fn a_prefix_takes_every_key_that_begins_with_it() {
    let (stack, session) = with_table().await;
    stack.put("p/a.txt", "1|a|2024-01-01\n");
    stack.put("p/a.txt.bak", "2|b|\n");
    stack.put("p/b.txt", "3|c|\n");
    session.run(&copy("t", "p/a.txt", "")).await;
    assert_eq!(session.rows("SELECT * FROM t ORDER BY id").await, ["1|a|2024-01-01", "2|b|~"]);
    let (code, message) = session.refused(&copy("t", "p/none", "")).await;
    // The message is that of 3scale/apisonator#196.
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("XX000", "The specified S3 prefix 'p/none' does not exist")
    );
}

/// COPY loads exactly the named files, and a file that is named twice, twice. A missing file fails the load
/// if it is mandatory, and is skipped by default. If no file exists, the load fails
/// (`loading-data-files-using-manifest.md`).
#[tokio::test]
async fn a_manifest_names_files_exactly() {
    let (stack, session) = with_table().await;
    stack.put("p/a.csv", "1,a,\n");
    stack.put("p/a.csv.bak", "2,b,\n");
    stack.put_manifest("p/m", &["p/a.csv", "p/a.csv"]);
    stack.put_manifest("p/m.other", &["p/a.csv.bak"]);
    session.run(&copy("t", "p/m", "CSV MANIFEST")).await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["1", "1"]);

    stack.put_manifest("p/gone", &["p/a.csv", "p/gone.csv"]);
    assert_eq!(session.refused(&copy("t", "p/gone", "CSV MANIFEST")).await.0, "XX000");
    stack.put(
        "p/optional",
        r#"{"entries":[{"url":"s3://bucket/p/gone.csv"},{"url":"s3://bucket/p/a.csv","mandatory":false,"meta":{"content_length":5}}]}"#,
    );
    session.run(&copy("t", "p/optional", "CSV MANIFEST")).await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "3");
    stack.put("p/none", r#"{"entries":[{"url":"s3://bucket/p/gone.csv"}]}"#);
    assert_eq!(session.refused(&copy("t", "p/none", "CSV MANIFEST")).await.0, "XX000");
    stack.put("p/broken", "{");
    assert_eq!(session.refused(&copy("t", "p/broken", "CSV MANIFEST")).await.0, "XX000");
    // "COPY with MANIFEST parameter requires full path of an S3 object" (PostHog/posthog#61603)
    let (_, message) = session.refused(&copy("t", "p/", "CSV MANIFEST")).await;
    assert!(message.contains("COPY with MANIFEST parameter requires full path of an S3 object"), "{message}");
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "3");
}

/// The credentials are a role, the default role, or keys, of which temporary ones need a token, also in the
/// form of a CREDENTIALS text (`copy-parameters-authorization.md`).
#[tokio::test]
async fn credentials_are_really_used() {
    let stack = stack_with(|options| options.default_role = true).await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT)").await;
    stack.put("f", "1\n");
    for (name, good) in [
        ("the default role", "IAM_ROLE default".to_owned()),
        ("a role", format!("IAM_ROLE '{ROLE}'")),
        ("a role in CREDENTIALS", format!("CREDENTIALS 'aws_iam_role={ROLE}'")),
        (
            "temporary keys",
            "ACCESS_KEY_ID 'ASIAROLE' SECRET_ACCESS_KEY 'role/secret' SESSION_TOKEN 'role-token'".to_owned(),
        ),
        (
            "temporary keys in CREDENTIALS",
            "WITH CREDENTIALS AS 'aws_access_key_id=ASIAROLE;aws_secret_access_key=role/secret;token=role-token'"
                .to_owned(),
        ),
        ("long-term keys", KEYS.to_owned()),
    ] {
        case(name);
        stack.s3.clear_requests();
        session.run(&format!("COPY t FROM 's3://{BUCKET}/f' {good}")).await;
        let signer = if good == KEYS { "AKIAOWNER" } else { "ASIAROLE" };
        let requests = stack.s3.requests();
        assert!(
            requests.iter().all(|request| request.access_key_id.as_deref() == Some(signer)),
            "{name}: {requests:?}"
        );
    }
    for (name, bad, word) in [
        (
            "another role",
            "IAM_ROLE 'arn:aws:iam::123456789012:role/other'",
            "not authorized to assume IAM Role",
        ),
        ("no token", "ACCESS_KEY_ID 'ASIAROLE' SECRET_ACCESS_KEY 'role/secret'", "InvalidToken"),
        ("a wrong key", "ACCESS_KEY_ID 'AKIAOWNER' SECRET_ACCESS_KEY 'wrong'", "SignatureDoesNotMatch"),
        ("an unknown key", "ACCESS_KEY_ID 'AKIANOBODY' SECRET_ACCESS_KEY 'wrong'", "InvalidAccessKeyId"),
        (
            "a key that may not read",
            "ACCESS_KEY_ID 'AKIANOGET' SECRET_ACCESS_KEY 'noget/secret'",
            "AccessDenied",
        ),
    ] {
        case(name);
        // The error is that of s3serviceexception-error.md, the DETAIL block that of 3scale/apisonator#196.
        let error = session.refusal(&format!("COPY t FROM 's3://{BUCKET}/f' {bad}")).await;
        assert!(error.code().code() == "XX000" && error.message().contains(word), "{name}: {error:?}");
        let detail = error.detail().unwrap();
        assert!(
            detail.contains("code:      8001") && detail.contains("error:  ") && detail.contains("process:"),
            "{name}: {detail}"
        );
    }
    for (name, bad) in [
        ("none", ""),
        ("two kinds", "IAM_ROLE default ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b'"),
        ("capitals", "CREDENTIALS 'AWS_IAM_ROLE=x'"),
    ] {
        case(name);
        assert_eq!(
            session.refused(&format!("COPY t FROM 's3://{BUCKET}/f' {bad}")).await.0,
            "42601",
            "{name}"
        );
    }
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "6");
}

/// GZIP must be given; COPY does not guess it (`copy-parameters-file-compression.md`).
#[tokio::test]
async fn gzip_is_inflated_when_asked() {
    let (stack, session) = with_table().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all("1|a|\n2|b|\n".repeat(10_000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    stack.put("f.gz", &gzip);
    session.run(&copy("t", "f.gz", "GZIP")).await;
    assert_eq!(session.only_row("SELECT count(*), sum(id) FROM t").await, "20000|30000");
    session.refused(&copy("t", "f.gz", "")).await;
    stack.put("cut.gz", &gzip[..gzip.len() / 2]);
    assert_eq!(session.refused(&copy("t", "cut.gz", "GZIP")).await.0, "XX000");
    stack.put("plain", "1|a|\n");
    assert_eq!(session.refused(&copy("t", "plain", "GZIP")).await.0, "XX000");
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "20000");
}

/// ZSTD must be given; COPY does not guess it (`copy-parameters-file-compression.md`).
#[tokio::test]
async fn zstd_is_unpacked_when_asked() {
    let (stack, session) = with_table().await;
    // As long as the text that is unpacked at once.
    let filling = ["1|a|\n".repeat(26_212), "1|aa|\n".repeat(2)].concat();
    assert_eq!(filling.len(), 128 * 1024);
    stack.put("filling.zst", zstd::bulk::compress(filling.as_bytes(), 3).unwrap());
    session.run(&copy("t", "filling.zst", "ZSTD")).await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "26214");
    session.run("DELETE FROM t").await;
    let text = "1|a|\n2|b|\n".repeat(100_000);
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    // Without a checksum, damaged bytes may unpack to another text.
    compressor.include_checksum(true).unwrap();
    let packed = compressor.compress(text.as_bytes()).unwrap();
    stack.put("f.zst", &packed);
    session.run(&copy("t", "f.zst", "ZSTD")).await;
    assert_eq!(session.only_row("SELECT count(*), sum(id) FROM t").await, "200000|300000");
    // A file may consist of several frames (RFC 8878).
    stack.put("two.zst", [packed.as_slice(), &packed].concat());
    session.run(&copy("t", "two.zst", "ZSTD")).await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "600000");
    session.refused(&copy("t", "f.zst", "")).await;
    let mut damaged = packed.clone();
    damaged[packed.len() / 2] ^= 1;
    for (name, bytes) in [
        ("cut.zst", &packed[..packed.len() - 1]),
        ("damaged.zst", &damaged),
        ("plain", b"1|a|\n"),
        ("nothing", b""),
        ("behind.zst", &[packed.as_slice(), b"1|a|\n"].concat()),
        ("gzip", b"\x1f\x8b\x08\x00"),
    ] {
        case(name);
        stack.put(name, bytes);
        assert_eq!(session.refused(&copy("t", name, "ZSTD")).await.0, "XX000", "{name}");
    }
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "600000");
}

/// COPY is atomic across its files (`copy-usage_notes-multiple-files.md`).
#[tokio::test]
async fn all_files_or_none() {
    let (stack, session) = with_table().await;
    stack.put("p/1", "1|a|\n".repeat(50_000));
    stack.put("p/2", "1|a|\nx|b|\n");
    assert_eq!(session.refused(&copy("t", "p/", "")).await, failed());
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
    stack.s3.inject(s3::Fault::on("GetObject", "p/1", s3::Action::CutBodyAfter(100_000)));
    let (code, message) = session.refused(&copy("t", "p/1", "")).await;
    assert!(code == "XX000" && message.starts_with("S3ServiceException"), "{message}");
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
}
