//! Tests the local S3 with AWS's own command line, as a second opinion.

use devstack::python;

use super::support::{BUCKET, LIMIT, operations, start, temporary};

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_command_line_copies_lists_and_removes() {
    let (s3, _client) = start().await;
    let bin = tokio::task::spawn_blocking(|| python::venv("awscli-1.46.3", &["awscli==1.46.3"]))
        .await
        .unwrap()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let keys = temporary();
    let endpoint = s3.endpoint();
    let aws = async |arguments: &[&str]| {
        let output = tokio::process::Command::new(bin.join("aws"))
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("AWS_REGION", "ca-central-1")
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            .env("AWS_SESSION_TOKEN", keys.session_token.as_deref().unwrap_or_default())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, output).await.expect("aws hangs").unwrap();
        assert!(output.status.success(), "aws {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let small = b"small".to_vec();
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 1000) as u8).collect();
    std::fs::write(home.path().join("small"), &small).unwrap();
    std::fs::write(home.path().join("large"), &large).unwrap();
    aws(&["s3", "cp", "small", "s3://uploads/client/a b+ü.tgz"]).await;
    aws(&["s3", "cp", "large", "s3://uploads/client/large.tgz"]).await;
    assert_eq!(s3.read(BUCKET, "client/a b+ü.tgz").unwrap(), small);
    assert!(s3.read(BUCKET, "client/large.tgz").unwrap() == large);
    assert!(s3.objects(BUCKET)[1].etag.ends_with("-3"));
    assert_eq!(operations(&s3).iter().filter(|operation| *operation == "UploadPart").count(), 3);
    assert_eq!(s3.unfinished_uploads(), 0);

    let listed = aws(&["s3", "ls", "s3://uploads/client/"]).await;
    let lines: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().skip(2).collect()).collect();
    assert_eq!(lines, [vec!["5", "a", "b+ü.tgz"], vec!["20000000", "large.tgz"]]);
    assert!(aws(&["s3", "ls"]).await.trim_end().ends_with(" uploads"));

    aws(&["s3", "cp", "s3://uploads/client/large.tgz", "down"]).await;
    assert!(std::fs::read(home.path().join("down")).unwrap() == large);
    aws(&["s3", "cp", "s3://uploads/client/large.tgz", "s3://uploads/copied"]).await;
    assert!(s3.read(BUCKET, "copied").unwrap() == large);
    aws(&["s3", "rm", "s3://uploads/client/", "--recursive"]).await;
    assert_eq!(s3.objects(BUCKET).iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["copied"]);
}
