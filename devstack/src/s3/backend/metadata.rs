//! Checks the metadata and parses the tags that a writer gives to an object.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use s3s::{S3Result, s3_error};

/// The maximum size of metadata: "the user-defined metadata is limited to 2 KB in size. The size of
/// user-defined metadata is measured by taking the sum of the number of bytes in the UTF-8 encoding of each
/// key and value" (Amazon S3 User Guide, "Working with object metadata").
const LIMIT_BYTES: usize = 2048;

/// Returns the writer's own metadata, or an error if it is too large.
pub(super) fn check(metadata: Option<HashMap<String, String>>) -> S3Result<HashMap<String, String>> {
    let metadata = metadata.unwrap_or_default();
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > LIMIT_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size"
        ));
    }
    Ok(metadata)
}

/// Parses the tags of a header, which has the form of URL query parameters.
pub(super) fn tags_of(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}
