//! Makes one page of a listing, without I/O.

use s3s::{S3Result, s3_error};

use super::buckets::Objects;

/// The characters that a URL-encoded listing leaves unencoded.
const KEY_IN_URL: percent_encoding::AsciiSet =
    percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Encodes a key as a listing with `encoding-type=url` does. A space becomes `+` (boto/boto#2654,
/// boto/botocore#264).
pub(super) fn encode_url(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, &KEY_IN_URL).to_string().replace("%20", "+")
}

/// Returns a continuation token with the last name on the page. The token is opaque to clients.
pub(super) fn encode_token(last: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(last)
}

/// Returns the name in a continuation token.
pub(super) fn decode_token(token: &str) -> S3Result<String> {
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token);
    bytes
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// One page of a listing.
#[derive(Default)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    pub(super) prefixes: Vec<String>,
    /// The last name on the page, if another page follows.
    pub(super) last: Option<String>,
}

/// Returns the page after the name `after`. Keys that contain the delimiter after the prefix are grouped by
/// their text up to that delimiter.
pub(super) fn page(objects: &Objects, prefix: &str, delimiter: &str, after: &str, limit: usize) -> Page {
    let mut page = Page::default();
    if limit == 0 {
        // The page for "max-keys=0" is empty and is not followed by another.
        return page;
    }
    for (key, _) in objects.range(prefix.max(after).to_owned()..) {
        if !key.starts_with(prefix) {
            break;
        }
        let group = match delimiter {
            "" => None,
            delimiter => {
                key[prefix.len()..].find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
            }
        };
        let name = group.unwrap_or(key);
        if name <= after || page.prefixes.last().is_some_and(|last| Some(last.as_str()) == group) {
            continue;
        }
        if page.keys.len() + page.prefixes.len() == limit {
            page.last = page.keys.last().max(page.prefixes.last()).cloned();
            break;
        }
        match group {
            Some(group) => page.prefixes.push(group.to_owned()),
            None => page.keys.push(key.clone()),
        }
    }
    page
}
