//! Decides what a marker keeps of its archive: everything that S3 stores about it except its storage class.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{SOURCE_ETAG, SOURCE_SHA256};

/// The metadata of a note that names the archive's key, percent-encoded.
pub(super) const SOURCE_KEY: &str = "source-key";

/// The metadata of a note that names the archive's version.
pub(super) const SOURCE_VERSION: &str = "source-version-id";

/// The names of the program's own metadata, which say what a marker is a copy of.
const OURS: [&str; 4] = [SOURCE_ETAG, SOURCE_SHA256, SOURCE_KEY, SOURCE_VERSION];

/// The limit for metadata: "the user-defined metadata is limited to 2 KB in size", by "the number of bytes in
/// the UTF-8 encoding of each key and value" (Amazon S3 User Guide, "Working with object metadata").
const METADATA_LIMIT_BYTES: usize = 2048;

/// The prefix of each metadata name as a header. AWS does not document whether it counts; here it does.
const METADATA_PREFIX: &str = "x-amz-meta-";

/// What a marker keeps of its archive.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptAttributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) expires: Option<DateTime>,
    /// The program's metadata, and the uploader's if it fits.
    pub(super) metadata: HashMap<String, String>,
    /// A description of each thing that could not be kept.
    pub(super) missing: Vec<String>,
}

/// Adds the kept headers and metadata to a request: the SDK's builders have these methods, but no trait for
/// them.
macro_rules! with_kept {
    ($request:expr, $kept:expr) => {{
        let kept: $crate::s3::kept::KeptAttributes = $kept;
        $request
            .set_content_type(kept.content_type)
            .set_content_encoding(kept.content_encoding)
            .set_content_disposition(kept.content_disposition)
            .set_content_language(kept.content_language)
            .set_cache_control(kept.cache_control)
            .set_expires(kept.expires)
            .set_metadata(Some(kept.metadata))
    }};
}

pub(super) use with_kept;

impl KeptAttributes {
    /// Returns what to keep of an archive with the answer `head`. The program's metadata `ours` has priority:
    /// it says what the marker is a copy of.
    ///
    /// Text beyond ASCII arrives as encoded by RFC 2047, and S3 decodes it again (same page of the User
    /// Guide).
    pub(super) fn of(head: HeadObjectOutput, ours: &[(&str, &str)]) -> Self {
        let mut missing = Vec::new();
        let mut theirs = head.metadata.unwrap_or_default();
        // Only the program may say which revision a marker is a copy of.
        theirs.retain(|key, _| !OURS.contains(&key.as_str()));
        let unfit = theirs.values().filter(|value| !is_ascii(value)).count();
        theirs.retain(|_, value| is_ascii(value));
        if unfit > 0 {
            missing.push(format!("{unfit} entries of metadata with characters beyond ASCII"));
        }
        let (metadata, left_out) = fit(ours, theirs);
        let mut header = |name: &str, value: Option<String>| {
            let value = value?;
            if is_ascii(&value) {
                return Some(value);
            }
            missing.push(format!("{name}, which has characters beyond ASCII"));
            None
        };
        let content_type = header("Content-Type", head.content_type);
        let content_encoding = header("Content-Encoding", head.content_encoding);
        let content_disposition = header("Content-Disposition", head.content_disposition);
        let content_language = header("Content-Language", head.content_language);
        let cache_control = header("Cache-Control", head.cache_control);
        if !left_out.is_empty() {
            missing.push(format!(
                "metadata that does not fit into 2 KB beside the program's: {}",
                left_out.join(", ")
            ));
        }
        // `x-amz-missing-meta`: "metadata entries not returned in x-amz-meta headers" (API Reference,
        // `HeadObject`).
        if let Some(count) = head.missing_meta.filter(|count| *count > 0) {
            missing.push(format!("{count} entries of metadata that S3 cannot show"));
        }
        let expires = head.expires_string.map(|text| {
            DateTime::from_str(&text, DateTimeFormat::HttpDate)
                .map_err(|_| "Expires, which is not a date".to_owned())
        });
        let expires = expires.transpose().unwrap_or_else(|unreadable| {
            missing.push(unreadable);
            None
        });
        Self {
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            metadata,
            missing,
        }
    }
}

/// Checks whether S3 accepts a text as a header of a signed request: for other texts the signature is wrong.
fn is_ascii(value: &str) -> bool {
    value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Returns the program's metadata with the uploader's entries that fit, in the order of their names; and the
/// names of those that do not fit.
fn fit(ours: &[(&str, &str)], theirs: HashMap<String, String>) -> (HashMap<String, String>, Vec<String>) {
    let bytes = |key: &str, value: &str| METADATA_PREFIX.len() + key.len() + value.len();
    let mut left = METADATA_LIMIT_BYTES;
    let mut metadata = HashMap::new();
    for (key, value) in ours {
        left = left.saturating_sub(bytes(key, value));
        metadata.insert((*key).to_owned(), (*value).to_owned());
    }
    let mut theirs: Vec<(String, String)> =
        theirs.into_iter().filter(|(key, _)| !metadata.contains_key(key)).collect();
    theirs.sort();
    let mut left_out = Vec::new();
    for (key, value) in theirs {
        match left.checked_sub(bytes(&key, &value)) {
            Some(rest) => {
                left = rest;
                metadata.insert(key, value);
            }
            None => left_out.push(key),
        }
    }
    (metadata, left_out)
}

/// Returns tags in the form of `x-amz-tagging`: URL query parameters (Amazon S3 API Reference, `PutObject`).
pub(super) fn tagging<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = tags.map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_metadata_has_priority() {
        let theirs = |entries: &[(&str, usize)]| {
            entries.iter().map(|(key, bytes)| ((*key).to_owned(), "v".repeat(*bytes))).collect()
        };
        let names = |metadata: &HashMap<String, String>| {
            let mut names: Vec<String> = metadata.keys().cloned().collect();
            names.sort();
            names
        };
        let ours = [("source-etag", "an etag")];
        for (name, entries, kept, left_out) in [
            ("nothing", vec![], vec!["source-etag"], vec![]),
            ("some", vec![("a", 10), ("b", 10)], vec!["a", "b", "source-etag"], vec![]),
            ("one too large", vec![("a", 2048), ("b", 10)], vec!["b", "source-etag"], vec!["a"]),
            // The program's entry takes 29 bytes; the name of the other takes 12, with its prefix.
            ("all that fits", vec![("a", 2048 - 29 - 12)], vec!["a", "source-etag"], vec![]),
            ("a byte more", vec![("a", 2048 - 29 - 11)], vec!["source-etag"], vec!["a"]),
            ("ours by name", vec![("source-etag", 3)], vec!["source-etag"], vec![]),
        ] {
            let (metadata, missing) = fit(&ours, theirs(&entries));
            assert_eq!(
                (names(&metadata), missing),
                (
                    kept.iter().map(ToString::to_string).collect(),
                    left_out.iter().map(ToString::to_string).collect()
                ),
                "{name}"
            );
            assert_eq!(metadata["source-etag"], "an etag", "{name}");
        }
    }

    /// The request for a copy is signed with the uploader's texts, which are untrusted.
    #[test]
    fn non_ascii_and_reserved_metadata_are_dropped() {
        let head = HeadObjectOutput::builder()
            .content_disposition("attachment; filename=\"données.tgz\"")
            .content_language("fr")
            .metadata("a", "é")
            .metadata("b", "b")
            .metadata("source-sha256", "00")
            .metadata("source-key", "another")
            .build();
        let kept = KeptAttributes::of(head, &[("source-etag", "an etag")]);
        assert_eq!((kept.content_disposition, kept.content_language.as_deref()), (None, Some("fr")));
        let mut names: Vec<&str> = kept.metadata.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["b", "source-etag"]);
        assert_eq!(kept.missing.len(), 2, "{:?}", kept.missing);
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let head = HeadObjectOutput::builder().expires_string("tomorrow").missing_meta(2).build();
        let kept = KeptAttributes::of(head, &[]);
        assert_eq!(kept.expires, None);
        assert_eq!(
            kept.missing,
            ["2 entries of metadata that S3 cannot show", "Expires, which is not a date"]
        );
        let head = HeadObjectOutput::builder().expires_string("Thu, 01 Dec 2044 16:00:00 GMT").build();
        assert_eq!(KeptAttributes::of(head, &[]).expires, Some(DateTime::from_secs(2_364_220_800)));
    }

    #[test]
    fn tags_are_query_parameters() {
        assert_eq!(tagging([].into_iter()), None);
        let tags = [("class", "personal data"), ("a=b&c", "")];
        assert_eq!(tagging(tags.into_iter()).as_deref(), Some("class=personal%20data&a%3Db%26c="));
    }
}
