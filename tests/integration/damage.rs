//! Tests damaged downloads: a good archive is never marked as bad, no wrong row is loaded, and a bad archive
//! has its own problems.
//!
//! `DAMAGE_SEED` sets another seed for the random bits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use cmslite_core::config::{Dataset, parse};
use cmslite_core::error::Error;
use cmslite_core::limits::TableLimits;
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::queue::{Object, Selection};
use cmslite_user_data_to_redshift::cancellation::Cancellation;
use cmslite_user_data_to_redshift::run_request::RunRequest;
use cmslite_user_data_to_redshift::s3::S3 as Client;
use cmslite_user_data_to_redshift::stage::stage;
use devstack::lambda::Outcome;
use devstack::s3::{Action, Algorithm, Fault, Options, S3};
use devstack::stack::BUCKET;
use serde_json::json;

use crate::faults::recovers;
use crate::harness::{Harness, SHIPPED, cases, expected, key, members, moment, sample, sample_with, words};

const GROUPS: &str = "analytics_group.csv";

/// What the store has to compare a download with.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// An `ETag` that is the MD5.
    Md5,
    /// An `ETag` of parts whose sizes nobody can know.
    Nothing,
    /// An `ETag` of one part.
    Md5OfOnePart,
    /// A checksum of the whole.
    Checksum(Algorithm),
    /// A checksum of parts whose sizes nobody can know.
    OfParts(Algorithm),
    /// A checksum of one part.
    OfOnePart(Algorithm),
}

fn put(s3: &S3, key: &str, archive: &[u8], kept: Kept) {
    match kept {
        Kept::Md5 | Kept::Checksum(_) => s3.put_at(BUCKET, key, archive, moment(1)).unwrap(),
        Kept::Nothing | Kept::OfParts(_) => {
            let (one, other) = archive.split_at(archive.len() / 3);
            s3.put_multipart_at(BUCKET, key, &[one, other], moment(1)).unwrap();
        }
        Kept::Md5OfOnePart | Kept::OfOnePart(_) => {
            s3.put_multipart_at(BUCKET, key, &[archive], moment(1)).unwrap();
        }
    }
    if let Kept::Checksum(algorithm) | Kept::OfParts(algorithm) | Kept::OfOnePart(algorithm) = kept {
        s3.keep_checksum(BUCKET, key, algorithm).unwrap();
    }
}

/// Bits of gzip's first two bytes, each time another one: what comes is no gzip file.
fn bits_of_the_magic() -> Action {
    let next = AtomicUsize::new(0);
    Action::FlipNextBit(Arc::new(move || next.fetch_add(1, Ordering::Relaxed) as u64 % 16))
}

fn reads(harness: &Harness) -> usize {
    let is_read = |operation: &str| operation == "GetObject";
    let requests = harness.stack.s3.requests();
    requests.iter().filter(|request| is_read(&request.operation) && request.key == Some(key("a"))).count()
}

/// An archive of which one download is damaged is read again; one of which each is damaged is left.
async fn is_read_again(kept: Kept) {
    let harness = Harness::start().await;
    put(&harness.stack.s3, &key("a"), &sample(3, 50), kept);
    harness.stack.s3.inject(Fault::on("GetObject", ".tgz", bits_of_the_magic()));
    match harness.invoke(&key("a")).await {
        Outcome::Failed { error_type, message } => {
            assert_eq!(error_type, "Retryable.DamagedDownload", "{message}");
        }
        Outcome::Ok(answer) => panic!("it went well: {answer}"),
    }
    assert!(harness.is_unsettled("a"), "{:?}", harness.keys());
    assert_eq!(reads(&harness), 5);

    harness.stack.s3.clear_faults();
    harness.stack.s3.clear_requests();
    harness.stack.s3.inject(Fault::on("GetObject", ".tgz", bits_of_the_magic()).times(1));
    recovers(&harness).await;
    assert_eq!(reads(&harness), 2);
}

cases! {
    async a_good_archive_whose_download_is_damaged_is_read_again: is_read_again {
        crc32(Kept::Checksum(Algorithm::Crc32));
        crc32c(Kept::Checksum(Algorithm::Crc32c));
        crc64nvme(Kept::Checksum(Algorithm::Crc64Nvme));
        sha1(Kept::Checksum(Algorithm::Sha1));
        sha256(Kept::Checksum(Algorithm::Sha256));
        crc32_of_one_part(Kept::OfOnePart(Algorithm::Crc32));
        sha256_of_parts(Kept::OfParts(Algorithm::Sha256));
        md5(Kept::Md5);
        md5_of_one_part(Kept::Md5OfOnePart);
        nothing(Kept::Nothing);
    }
}

/// A damage that leaves the archive readable is found nevertheless, by the checksum alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_flip_that_only_a_checksum_shows_is_found() {
    let harness = Harness::start().await;
    put(&harness.stack.s3, &key("a"), &sample(3, 50), Kept::Checksum(Algorithm::Crc64Nvme));
    // gzip's byte 4 is of the time at which it was made.
    harness.stack.s3.inject(Fault::on("GetObject", ".tgz", Action::FlipBit(4 * 8)).times(1));
    recovers(&harness).await;
    assert_eq!(reads(&harness), 2);
    assert!(harness.log().await.contains("DamagedDownload"));
}

/// A resumed download is compared over all that came.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_download_is_compared_as_a_whole() {
    let harness = Harness::start().await;
    let bad = sample_with(GROUPS, "a,b,c,d\n1\n");
    put(&harness.stack.s3, &key("a"), &bad, Kept::Checksum(Algorithm::Crc32));
    harness.stack.s3.inject(Fault::on("GetObject", ".tgz", Action::CutBodyAfter(300)).times(1));
    Harness::report(harness.invoke(&key("a")).await);
    assert!(harness.is_bad("a"));
    assert_eq!(reads(&harness), 2);
}

/// Reads of a bad archive, of which the first is damaged.
async fn stays_bad(kept: Kept, expected_reads: usize) {
    let harness = Harness::start().await;
    put(&harness.stack.s3, &key("a"), &sample_with(GROUPS, "id,name,active,site_key\n1,one\n"), kept);
    harness.stack.s3.inject(Fault::on("GetObject", ".tgz", bits_of_the_magic()).times(1));
    Harness::report(harness.invoke(&key("a")).await);
    let error = harness.error_json("a");
    let problems = error["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{error}");
    assert_eq!(json!([problems[0]["code"], problems[0]["line"]]), json!(["too_few_columns", 2]), "{error}");
    assert_eq!(reads(&harness), expected_reads);
}

cases! {
    async a_bad_archive_whose_download_is_damaged_is_bad_for_its_own_problem: stays_bad {
        checksum(Kept::Checksum(Algorithm::Crc64Nvme), 2);
        md5(Kept::Md5, 2);
        nothing(Kept::Nothing, 3);
    }
}

/// What Redshift refuses, it refuses of staged files: the download that they were made of is confirmed.
async fn refusal_is_confirmed(kept: Kept, expected_reads: usize) {
    let harness = Harness::start().await;
    put(&harness.stack.s3, &key("a"), &sample_with(GROUPS, "id,name,active,site_key\n1,one,on,k\n"), kept);
    if expected_reads > 1 {
        // The confirming download comes otherwise: nobody knows what S3 holds.
        let flipped = Fault::on("GetObject", ".tgz", Action::FlipBit(4 * 8)).after(1).times(1);
        harness.stack.s3.inject(flipped);
        let Outcome::Failed { error_type, .. } = harness.invoke(&key("a")).await else { panic!() };
        assert_eq!(error_type, "Retryable.DamagedDownload");
        assert!(harness.is_unsettled("a"));
        harness.stack.s3.clear_requests();
    }
    Harness::report(harness.invoke(&key("a")).await);
    assert!(harness.is_bad("a"));
    assert_eq!(harness.error_json("a")["problems"][0]["code"], json!("refused_by_redshift"));
    assert_eq!(reads(&harness), expected_reads);
}

cases! {
    async what_redshift_refuses_is_confirmed_where_the_download_was_not_compared: refusal_is_confirmed {
        compared(Kept::Checksum(Algorithm::Crc64Nvme), 1);
        not_compared(Kept::Nothing, 2);
    }
}

/// A part of a staged file that is damaged on its way is refused by S3.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_upload_is_refused_and_passes() {
    let harness = Harness::start().await;
    harness.stack.s3.inject(Fault::on("PutObject", ".csv", Action::FlipBit(77)).times(1));
    crate::faults::fails(&harness, "Retryable.S3Unavailable", &["BadDigest"]).await;
    recovers(&harness).await;
}

/// S3 and the program's own client for it.
async fn s3() -> (S3, Client) {
    let options = Options::default();
    let keys = options.credentials[0].clone();
    let s3 = S3::start(options).await.unwrap();
    s3.create_bucket(BUCKET);
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(s3.endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(
            keys.access_key_id,
            keys.secret_access_key,
            None,
            None,
            "test",
        ));
    let client = Client::new(aws_sdk_s3::Client::from_conf(config.build()));
    (s3, client)
}

/// What an archive comes to: the bytes of its staged files, or what is wrong with it.
async fn staged(s3: &S3, client: &Client, dataset: &Arc<Dataset>, archive: &Object) -> Staged {
    let request = RunRequest {
        left_to_task_above: None,
        dataset: Arc::clone(dataset),
        selection: Selection::WholeQueue,
        uploads: Vec::new(),
        request_id: "test".to_owned(),
        limit: None,
        cancellation: Cancellation::default(),
        progress: Progress::default(),
        given_up: Arc::default(),
    };
    match stage(client, &request, archive, TableLimits::default()).await {
        Ok((tables, _)) => {
            let pieces =
                tables.iter().flat_map(|table| (0..table.pieces.count()).map(|at| table.keys.piece(at)));
            Staged::Good(pieces.map(|key| s3.read(BUCKET, &key).unwrap()).collect())
        }
        Err(Error::BadInput(problems)) => Staged::Bad(problems),
        Err(error) => panic!("{}", error.chain()),
    }
}

#[derive(Debug, PartialEq)]
enum Staged {
    Good(Vec<Vec<u8>>),
    Bad(Problems),
}

/// Good and bad archives, of each of which up to three downloads have one random bit flipped: each comes to what
/// it comes to without.
async fn random_flips(kept: Kept, number: u64) {
    const FLIPS: usize = 130;
    let seed = std::env::var("DAMAGE_SEED").map_or(1, |seed| seed.parse::<u64>().unwrap());
    let (s3, client) = s3().await;
    let dataset = Arc::new(parse("test.json", SHIPPED).unwrap());
    let flipped = Arc::new(AtomicUsize::new(0));
    let random = Mutex::new(words(seed.wrapping_mul(1_000).wrapping_add(number)));
    let bits: devstack::s3::Bits = {
        let flipped = Arc::clone(&flipped);
        Arc::new(move || {
            flipped.fetch_add(1, Ordering::Relaxed);
            random.lock().unwrap().next().unwrap()
        })
    };
    let archives = [
        sample(3, 20),
        sample_with(GROUPS, "id,name,active,site_key\n1,one\n2,two,t,k\n3\n"),
        sample(4, 200),
        b"no archive at all, and no gzip file".to_vec(),
    ];
    for (n, archive) in archives.iter().enumerate() {
        let name = key(&n.to_string());
        put(&s3, &name, archive, kept);
        let object = client.head(BUCKET, &name).await.unwrap().unwrap();
        let clean = staged(&s3, &client, &dataset, &object).await;
        assert_eq!(matches!(clean, Staged::Good(_)), n % 2 == 0, "{clean:?}");
        let enough = FLIPS.div_ceil(archives.len()) * (n + 1);
        for round in 0.. {
            if flipped.load(Ordering::Relaxed) >= enough {
                break;
            }
            let fault = Fault::on("GetObject", ".tgz", Action::FlipNextBit(Arc::clone(&bits)));
            s3.inject(fault.times(1 + round % 3));
            let found = staged(&s3, &client, &dataset, &object).await;
            s3.clear_faults();
            assert!(found == clean, "DAMAGE_SEED={seed}, {kept:?}, archive {n}, round {round}: {found:?}");
        }
    }
    println!("DAMAGE_SEED={seed}: {} flips, {kept:?}", flipped.load(Ordering::Relaxed));
}

cases! {
    async random_flips_change_nothing: random_flips {
        crc64nvme(Kept::Checksum(Algorithm::Crc64Nvme), 1);
        sha256_of_one_part(Kept::OfOnePart(Algorithm::Sha256), 2);
        md5(Kept::Md5, 3);
        crc32_of_parts(Kept::OfParts(Algorithm::Crc32), 4);
        nothing(Kept::Nothing, 5);
    }
}

/// What is loaded after flips is what was uploaded.
#[tokio::test(flavor = "multi_thread")]
async fn rows_loaded_after_flips_are_those_uploaded() {
    let harness = Harness::start().await;
    for (round, bit) in (1..=10).zip(words(7)) {
        let name = format!("r{round:02}");
        put(&harness.stack.s3, &key(&name), &sample(round, 30), Kept::Md5);
        harness.stack.s3.inject(Fault::on("GetObject", ".tgz", Action::FlipBit(bit)).times(1));
        Harness::report(harness.invoke(&key(&name)).await);
        assert!(harness.is_good(&name), "round {round}");
        assert_eq!(harness.tables().await, expected(&members(round, 30)), "round {round}");
        harness.stack.s3.clear_faults();
    }
}
