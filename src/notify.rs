//! Who uploads is told of a bad archive, through an SNS topic.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use tracing::{info, warn};

use crate::config::Dataset;
use crate::error::chain;
use crate::report::BadArchive;

/// How long a message may take, its retries included: a function in a subnet from which SNS cannot be reached
/// would else wait for as long as it lives.
const WITHIN: Duration = Duration::from_secs(5);

/// A subject is "less than 100 characters long" (Amazon SNS API Reference, Publish).
const SUBJECT_CHARS: usize = 99;

/// A message is at most 262,144 bytes (Amazon SNS API Reference, Publish); some are left for the subject and
/// for what is added where a message is cut.
const BODY_BYTES: usize = 261_000;

/// A topic to which bad archives are told.
pub struct Notifier {
    client: Client,
    topic: String,
}

impl Notifier {
    /// Tells the topic with the ARN `topic`.
    pub fn new(config: &SdkConfig, topic: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(WITHIN).build();
        Self {
            client: Client::from_conf(Builder::from(config).timeout_config(timeouts).build()),
            topic: topic.to_owned(),
        }
    }

    /// Tells of an archive that was found bad. A message that cannot be sent is logged: what becomes of the
    /// archive does not depend on who hears of it, and its `error.json` is there in any case.
    pub async fn bad_archive(&self, dataset: &Dataset, archive: &BadArchive) {
        let Message { subject, body } = message(dataset, archive);
        match self.client.publish().topic_arn(&self.topic).subject(subject).message(body).send().await {
            Ok(_) => info!(topic = self.topic, "told of the bad archive"),
            Err(error) => warn!(
                topic = self.topic,
                "cannot tell of the bad archive (BAD_ARCHIVE_TOPIC_ARN): {}",
                chain(&error)
            ),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Message {
    subject: String,
    body: String,
}

fn message(dataset: &Dataset, archive: &BadArchive) -> Message {
    let BadArchive { key, etag, problems_found, problems } = archive;
    let bucket = &dataset.bucket;
    let name = key.rsplit('/').next().unwrap_or(key);
    let mut lines = vec![
        "This archive is bad. Nothing of it was loaded, and it is not tried again as it is.".to_owned(),
        String::new(),
        format!("Dataset: {}", dataset.name),
        format!("Archive: s3://{bucket}/{key} (ETag {etag})"),
        format!("Reasons: s3://{bucket}/{}", dataset.error_key(key)),
        String::new(),
        "What to do: correct the archive and upload it again under the same name; it is then loaded by itself.".to_owned(),
        String::new(),
        format!("Problems found: {problems_found}"),
    ];
    lines.extend(problems.iter().map(|problem| format!("- {problem}")));
    let untold = problems_found.saturating_sub(problems.len() as u64);
    if untold > 0 {
        lines.push(format!("and {untold} more"));
    }
    let mut body: String = lines.iter().map(|line| printable(line) + "\n").collect();
    if body.len() > BODY_BYTES {
        body.truncate(body.floor_char_boundary(BODY_BYTES));
        body.push_str("\n... cut here; the rest stands under Reasons.\n");
    }
    Message { subject: subject(&format!("Bad archive in {}: {name}", dataset.name)), body }
}

/// A line without what SNS refuses in a message (Amazon SNS FAQs: the characters of XML) and without line
/// ends.
fn printable(line: &str) -> String {
    line.chars()
        .map(|letter| {
            if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { letter }
        })
        .collect()
}

/// ASCII without control characters, cut at its end.
fn subject(text: &str) -> String {
    let mut subject: String = text
        .chars()
        .map(|letter| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' })
        .collect();
    if subject.len() > SUBJECT_CHARS {
        subject.truncate(SUBJECT_CHARS - 3);
        subject.push_str("...");
    }
    subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Problem, Problems, Reason};

    fn dataset() -> Dataset {
        crate::config::parse("cmslite.json", include_str!("../config.d/cmslite_user_group_metadata.json"))
            .unwrap()
    }

    fn archive(key: &str, problems: Vec<Problem>) -> BadArchive {
        let mut all = Problems::default();
        for problem in problems {
            all.push(problem);
        }
        BadArchive::new(key, "abc", &all)
    }

    #[test]
    fn a_message_says_what_is_wrong_and_what_to_do() {
        let problem = Problem::member("a.csv", Reason::NulByte)
            .at_line(7)
            .in_column("id")
            .with_text("é\u{1}".as_bytes());
        let Message { subject, body } =
            message(&dataset(), &archive("client/cmslite_gdx/a.tgz", vec![problem]));
        assert_eq!(subject, "Bad archive in cmslite: a.tgz");
        for part in [
            "Dataset: cmslite\n",
            "Archive: s3://sp-ca-bc-gov-131565110619-12-microservices/client/cmslite_gdx/a.tgz (ETag abc)\n",
            "Reasons: s3://sp-ca-bc-gov-131565110619-12-microservices/processed/bad/client/cmslite_gdx/a.tgz.error.json\n",
            "upload it again under the same name",
            "Problems found: 1\n- a.csv, line 7, column id: a NUL byte",
        ] {
            assert!(body.contains(part), "{part:?} is not in:\n{body}");
        }
        assert!(body.chars().all(|letter| letter == '\n' || !letter.is_control()));
    }

    #[test]
    fn any_key_gives_a_subject_that_is_taken() {
        for (key, expected) in [
            ("x/ü\n+.tgz", "Bad archive in cmslite: ??+.tgz".to_owned()),
            ("x/", "Bad archive in cmslite: ".to_owned()),
        ] {
            assert_eq!(message(&dataset(), &archive(key, Vec::new())).subject, expected);
        }
        let long = message(&dataset(), &archive(&"x".repeat(1000), Vec::new())).subject;
        assert!(long.len() == SUBJECT_CHARS && long.ends_with("x..."), "{long}");
    }

    #[test]
    fn a_body_is_cut_to_what_a_message_holds() {
        let refused =
            |_| Problem::member("a.csv", Reason::Refused { code: None, message: "é\r\n".repeat(30_000) });
        let body = message(&dataset(), &archive("a.tgz", (0..20).map(refused).collect())).body;
        assert!(
            body.len() <= 262_144
                && body.len() > BODY_BYTES - 10
                && body.ends_with("stands under Reasons.\n")
        );
    }
}
