//! Sends a message about a bad archive to an SNS topic.

use cmslite_core::config::Dataset;
use cmslite_core::key::Key;
use cmslite_core::text::one_line;
use tracing::{info, warn};

use crate::report::BadArchive;
use crate::sns::Topic;

/// The maximum length of a subject: "less than 100 characters long" (Amazon SNS API Reference, Publish).
const SUBJECT_CHARS: usize = 99;

/// The maximum size of the body. A message has at most 262,144 bytes (Amazon SNS API Reference, Publish);
/// some are left for the subject and for the note that a message is cut.
const BODY_BYTES: usize = 261_000;

/// Publishes that an archive was found bad. A message that cannot be sent is logged: the archive's result
/// does not depend on it, and its `error.json` exists in any case. Returns whether it was sent.
pub async fn bad_archive(topic: &Topic, dataset: &Dataset, archive: &BadArchive) -> bool {
    let Message { subject, body } = message(dataset, archive);
    match topic.publish(subject, body).await {
        Ok(()) => {
            info!(topic = topic.arn(), "message about the bad archive sent");
            true
        }
        Err(error) => {
            warn!(
                topic = topic.arn(),
                "cannot send the message about the bad archive (BAD_ARCHIVE_TOPIC_ARN): {error}"
            );
            false
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Message {
    subject: String,
    body: String,
}

fn message(dataset: &Dataset, archive: &BadArchive) -> Message {
    let BadArchive { key, etag, problems_found, incomplete, problems } = archive;
    let bucket = &dataset.bucket;
    let name = key.rsplit('/').next().unwrap_or(key);
    let mut lines = vec![
        "This archive is bad. Nothing of it was loaded, and this upload is not tried again.".to_owned(),
        String::new(),
        format!("Dataset: {}", dataset.name),
        format!("Archive: s3://{bucket}/{key} (ETag {etag})"),
        format!("Reasons: s3://{bucket}/{}", Key::from(dataset.error_key(key))),
        String::new(),
        "What to do: correct the archive and upload it again under the same name; it is then loaded automatically.".to_owned(),
        String::new(),
        format!("Problems found: {problems_found}"),
    ];
    lines.extend(problems.iter().map(|problem| format!("- {problem}")));
    let unreported = problems_found.saturating_sub(problems.len() as u64);
    if unreported > 0 {
        lines.push(format!("and {unreported} more"));
    }
    lines.extend(incomplete.as_ref().map(|why| format!("There may be more: {why}")));
    // A message may not have characters that XML does not allow (Amazon SNS FAQs), so they are escaped.
    let mut body: String = lines.iter().map(|line| one_line(line).into_owned() + "\n").collect();
    if body.len() > BODY_BYTES {
        body.truncate(body.floor_char_boundary(BODY_BYTES));
        body.push_str("\n... cut here; the rest is under Reasons.\n");
    }
    Message { subject: subject(&format!("Bad archive in {}: {name}", dataset.name)), body }
}

/// Returns a text as ASCII without control characters, cut at its end.
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
    use cmslite_core::problem::{Problem, Problems, Quote, Reason};

    use super::*;

    fn dataset() -> Dataset {
        cmslite_core::config::parse(
            "cmslite.json",
            include_str!("../../config.d/cmslite_user_group_metadata.json"),
        )
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
        let refused = |_| {
            Problem::member(
                "a.csv",
                Reason::Refused { code: None, message: Quote::new("", "é\r\n".repeat(30_000)) },
            )
        };
        let body = message(&dataset(), &archive("a.tgz", (0..20).map(refused).collect())).body;
        assert!(
            body.len() <= 262_144 && body.len() > BODY_BYTES - 10 && body.ends_with("is under Reasons.\n")
        );
    }
}
