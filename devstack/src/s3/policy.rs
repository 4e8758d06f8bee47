//! Evaluates what an IAM policy of a role allows (IAM User Guide, "IAM JSON policy elements reference").
//!
//! It supports statements of effect `Allow` with `Action`, `Resource` and the conditions `StringLike` on
//! `s3:prefix` and `StringEquals` on `s3:ResourceAccount`. Other elements and effects are errors; another
//! condition key allows nothing.

use std::collections::BTreeMap;

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    /// The version, `2012-10-17`.
    pub version: String,
    /// The statements.
    pub statement: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Statement {
    /// The statement's id.
    #[serde(default)]
    pub sid: String,
    /// The statement's effect.
    pub effect: Effect,
    /// The actions that the statement allows.
    pub action: OneOrMany,
    /// The ARNs of the resources on which the statement allows the actions.
    pub resource: OneOrMany,
    /// The statement's condition.
    #[serde(default)]
    pub condition: Option<Condition>,
}

/// The effect of a statement; `Deny` is not supported here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Effect {
    /// The statement allows its actions.
    Allow,
}

/// One text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One text.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

/// The conditions, by operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Condition {
    /// The condition keys and the patterns for their values.
    #[serde(default)]
    pub string_like: BTreeMap<String, OneOrMany>,
    /// The condition keys and their values.
    #[serde(default)]
    pub string_equals: BTreeMap<String, OneOrMany>,
}

/// The account that owns every bucket here. It is also moto's account.
pub const ACCOUNT: &str = "123456789012";

impl OneOrMany {
    /// Returns the texts.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }

    fn matches(&self, text: &str) -> bool {
        self.texts().iter().any(|pattern| is_like(pattern, text))
    }
}

/// A permission that a request needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The action, such as `s3:GetObject`.
    pub action: &'static str,
    /// The ARN of the resource.
    pub resource: String,
    /// The prefix of a listing.
    pub prefix: Option<String>,
}

const ARN: &str = "arn:aws:s3:::";

impl Permission {
    fn on(action: &'static str, resource: &str) -> Self {
        Self { action, resource: format!("{ARN}{resource}"), prefix: None }
    }

    /// Returns the permission to list a bucket.
    pub(super) fn to_list(bucket: &str, prefix: Option<String>) -> Self {
        Self { prefix, ..Self::on("s3:ListBucket", bucket) }
    }

    /// Returns the permission to use a KMS key, by its ARN.
    pub(super) fn to_use(action: &'static str, kms_key: &str) -> Self {
        Self { action, resource: kms_key.to_owned(), prefix: None }
    }

    /// Returns the bucket and the key, if the permission concerns an object.
    pub(super) fn object(&self) -> Option<(&str, &str)> {
        self.resource.strip_prefix(ARN)?.split_once('/')
    }
}

impl Policy {
    /// Checks whether any statement of the policy allows the permission.
    pub fn allows(&self, permission: &Permission) -> bool {
        self.statement.iter().any(|statement| statement.allows(permission))
    }
}

impl Statement {
    /// Checks whether the statement allows the permission.
    pub fn allows(&self, permission: &Permission) -> bool {
        let likes = self.condition.iter().flat_map(|condition| &condition.string_like);
        let is_like = |(key, patterns): (&String, &OneOrMany)| {
            key == "s3:prefix" && permission.prefix.as_ref().is_some_and(|prefix| patterns.matches(prefix))
        };
        let equals = self.condition.iter().flat_map(|condition| &condition.string_equals);
        let is_equal = |(key, values): (&String, &OneOrMany)| {
            key == "s3:ResourceAccount" && values.texts().iter().any(|value| value == ACCOUNT)
        };
        self.action.matches(permission.action)
            && self.resource.matches(&permission.resource)
            && likes.into_iter().all(is_like)
            && equals.into_iter().all(is_equal)
    }
}

/// The properties of the objects and buckets that decide which permissions a request needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RequestContext {
    /// Whether the source of a copy has tags.
    pub(super) is_source_tagged: bool,
    /// The KMS key of the object that is read, or copied from.
    pub(super) source_kms_key: Option<String>,
    /// The KMS key of the object that is written: the one that the request names, else the bucket's.
    pub(super) kms_key: Option<String>,
}

/// Returns the bucket and the key that a request copies from.
pub(super) fn copy_source(headers: &HeaderMap) -> Option<(String, String)> {
    let source = headers.get("x-amz-copy-source")?.to_str().ok()?;
    let source = percent_decode_str(source.trim_start_matches('/')).decode_utf8_lossy().into_owned();
    let (bucket, key) = source.split_once('/')?;
    Some((bucket.to_owned(), key.to_owned()))
}

/// Returns the permissions that an operation needs ("Required permissions for Amazon S3 API operations",
/// Amazon S3 User Guide).
///
/// To copy an object that has tags, without replacing them, a caller needs `s3:GetObjectTagging` for it and
/// `s3:PutObjectTagging` for the copy. An object without tags needs neither (AWS re:Post, "Troubleshoot
/// copying objects between buckets"; seen in nasa/cumulus-orca#530). To write with a KMS key, a caller needs
/// `kms:GenerateDataKey`, and for an upload in parts also `kms:Decrypt`. To read, a caller needs
/// `kms:Decrypt` (Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys").
pub(super) fn required_permissions(
    operation: &str,
    bucket: &str,
    key: Option<&str>,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Vec<Permission> {
    let mut required = in_s3(operation, bucket, key, query, headers, context);
    let reads = matches!(operation, "GetObject" | "CopyObject" | "UploadPartCopy");
    if let (true, Some(key)) = (reads, &context.source_kms_key) {
        required.push(Permission::to_use("kms:Decrypt", key));
    }
    let writes = matches!(operation, "PutObject" | "CopyObject" | "CreateMultipartUpload");
    if let (true, Some(key)) = (writes, &context.kms_key) {
        required.push(Permission::to_use("kms:GenerateDataKey", key));
        if operation == "CreateMultipartUpload" {
            required.push(Permission::to_use("kms:Decrypt", key));
        }
    }
    required
}

fn in_s3(
    operation: &str,
    bucket: &str,
    key: Option<&str>,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Vec<Permission> {
    let object = format!("{bucket}/{}", key.unwrap_or_default());
    let is_tagged = headers.get("x-amz-tagging").is_some_and(|tags| !tags.is_empty());
    match operation {
        "ListObjectsV2" => {
            let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix="));
            let prefix = prefix.map(|prefix| percent_decode_str(prefix).decode_utf8_lossy().into_owned());
            vec![Permission::to_list(bucket, prefix)]
        }
        "GetObject" | "HeadObject" => vec![Permission::on("s3:GetObject", &object)],
        "GetObjectTagging" => vec![Permission::on("s3:GetObjectTagging", &object)],
        "PutObject" | "CreateMultipartUpload" if is_tagged => {
            vec![Permission::on("s3:PutObject", &object), Permission::on("s3:PutObjectTagging", &object)]
        }
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            vec![Permission::on("s3:PutObject", &object)]
        }
        "CopyObject" | "UploadPartCopy" => {
            let (bucket, key) = copy_source(headers).unwrap_or_default();
            let source = format!("{bucket}/{key}");
            let mut required =
                vec![Permission::on("s3:GetObject", &source), Permission::on("s3:PutObject", &object)];
            let replaces =
                headers.get("x-amz-tagging-directive").is_some_and(|directive| directive == "REPLACE");
            let copies_tags = operation == "CopyObject" && context.is_source_tagged && !replaces;
            if copies_tags {
                required.push(Permission::on("s3:GetObjectTagging", &source));
            }
            if copies_tags || (operation == "CopyObject" && replaces && is_tagged) {
                required.push(Permission::on("s3:PutObjectTagging", &object));
            }
            required
        }
        "AbortMultipartUpload" => vec![Permission::on("s3:AbortMultipartUpload", &object)],
        "DeleteObject" => vec![Permission::on("s3:DeleteObject", &object)],
        _ => vec![Permission::on("unknown", &object)],
    }
}

/// Checks whether a text matches a pattern in which `*` means any text, and `?` any one character.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_at_checked(pattern.find(['*', '?']).unwrap_or(pattern.len()))
    else {
        return false;
    };
    let Some(rest) = text.strip_prefix(head) else { return false };
    match tail.chars().next() {
        None => rest.is_empty(),
        Some('?') => {
            rest.chars().next().is_some_and(|skipped| is_like(&tail[1..], &rest[skipped.len_utf8()..]))
        }
        Some(_) => (0..=rest.len())
            .filter(|at| rest.is_char_boundary(*at))
            .any(|at| is_like(&tail[1..], &rest[at..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(action: &'static str, resource: &str, prefix: Option<&str>) -> Permission {
        Permission { action, resource: resource.to_owned(), prefix: prefix.map(str::to_owned) }
    }

    #[test]
    fn patterns_are_those_of_iam() {
        for (name, pattern, text, fits) in [
            ("anything, even nothing", "*", "", true),
            ("nothing behind", "a*", "a", true),
            ("something between", "a*c", "abc", true),
            ("nothing between", "a*c", "ac", true),
            ("one character of two bytes", "a?c", "aéc", true),
            ("two asterisks", "*/x/*", "a/x/", true),
            ("the same", "a", "a", true),
            ("an empty pattern", "", "a", false),
            ("another end", "a*c", "ab", false),
            ("no character for a question mark", "a?c", "ac", false),
            ("a longer text", "a", "ab", false),
            ("a shorter text", "a/*", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{name}: {pattern} {text}");
        }
    }

    #[test]
    fn a_statement_allows_what_it_names() {
        let policy: Policy = serde_json::from_str(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b", "Condition": {"StringLike": {"s3:prefix": ["c/*"]}}},
                {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/c/*"],
                 "Condition": {"StringEquals": {"s3:ResourceAccount": "123456789012"}}},
                {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/c/*",
                 "Condition": {"StringEquals": {"s3:ResourceAccount": "999999999999"}}}]}"#,
        )
        .unwrap();
        assert!(
            policy.allows(&permission("s3:ListBucket", "arn:aws:s3:::b", Some("c/")))
                && policy.allows(&permission("s3:GetObject", "arn:aws:s3:::b/c/x", None))
        );
        for (name, refused) in [
            ("another prefix", permission("s3:ListBucket", "arn:aws:s3:::b", Some("d/"))),
            ("no prefix", permission("s3:ListBucket", "arn:aws:s3:::b", None)),
            ("another bucket", permission("s3:ListBucket", "arn:aws:s3:::other", Some("c/"))),
            ("another key", permission("s3:GetObject", "arn:aws:s3:::b/d/x", None)),
            ("another action", permission("s3:DeleteObject", "arn:aws:s3:::b/c/x", None)),
            ("another account", permission("s3:PutObject", "arn:aws:s3:::b/c/x", None)),
        ] {
            assert!(!policy.allows(&refused), "{name}: {refused:?}");
        }
        assert!(
            serde_json::from_str::<Policy>(
                r#"{"Version": "x", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}"#
            )
            .is_err()
        );
    }
}
