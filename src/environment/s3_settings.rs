//! Holds the settings of every request to S3.

use cmslite_core::error::{Deployment, Error};

/// The settings of every request to S3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The account that the bucket must belong to, if one is given: 12 digits.
    pub bucket_owner: Option<String>,
    /// The KMS key that encrypts everything written, if one is given: its ARN or id, or an alias.
    pub kms_key: Option<String>,
}

impl S3Settings {
    /// Reads the process's variables, for a caller that needs nothing else of the environment.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] names the variable that is wrong.
    pub fn from_process() -> Result<Self, Error> {
        Self::read(&|name| std::env::var(name).ok().filter(|value| !value.is_empty())).map_err(|mistake| {
            Error::deployment(Deployment::Configuration, format!("environment: {mistake}"))
        })
    }

    /// Reads the variables through `var`, which returns `None` for an empty one; or returns what is wrong.
    pub(super) fn read(var: &impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let bucket_owner = var("S3_BUCKET_OWNER");
        if let Some(account) = &bucket_owner
            && !(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(format!("S3_BUCKET_OWNER: {account:?} is not an AWS account, which has 12 digits"));
        }
        let kms_key = var("S3_KMS_KEY_ID");
        if let Some(key) = &kms_key
            && !is_kms_key(key)
        {
            return Err(format!(
                "S3_KMS_KEY_ID: {key:?} is neither the ARN nor the id of a KMS key, nor alias/ and a name"
            ));
        }
        Ok(Self { bucket_owner, kms_key })
    }
}

/// Checks the form of a KMS key: "Key ID, Key ARN, or Key Alias" (Amazon S3 API Reference, `PutObject`); an
/// id is a UUID, or `mrk-` and 32 digits (AWS KMS Developer Guide, "Key identifiers").
fn is_kms_key(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte))
    };
    let is_hex = |id: &str, length| {
        id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    let is_id = |id: &str| is_hex(id, 36) || id.strip_prefix("mrk-").is_some_and(|id| is_hex(id, 32));
    let is_alias = |text: &str| text.strip_prefix("alias/").is_some_and(is_word);
    match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "kms", _, _, named] => named.strip_prefix("key/").is_some_and(is_id) || is_alias(named),
        [id] => is_id(id) || is_alias(id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kms_key_is_named_by_arn_id_or_alias() {
        for (text, expected) in [
            ("arn:aws:kms:ca-central-1:123456789012:key/11111111-2222-3333-4444-555555555555", true),
            ("arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/loader", true),
            ("11111111-2222-3333-4444-555555555555", true),
            ("mrk-1234abcd12ab34cd56ef1234567890ab", true),
            ("alias/aws/s3", true),
            ("loader", false),
            ("alias/", false),
            ("arn:aws:s3:::bucket", false),
            ("arn:aws:kms:ca-central-1:123456789012:key/loader", false),
            ("alias/a b", false),
            ("alias/a\r\nx: y", false),
        ] {
            let read = S3Settings::read(&|name| (name == "S3_KMS_KEY_ID").then(|| text.to_owned()));
            assert_eq!(read.is_ok(), expected, "{text}: {read:?}");
        }
    }
}
