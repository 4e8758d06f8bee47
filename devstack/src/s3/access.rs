//! Checks the access of every request. The operation is known here, so this module also logs requests and
//! injects faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3Result, s3_error};

use super::credentials::Credentials;
use super::error::error_named;
use super::exchange::{EndBody, Exchange, FlipBit, ReversePage};
use super::faults::Action;
use super::policy::{self, ACCOUNT, Permission, Policy, RequestContext};
use super::request_log::Request;
use super::state::State;

const WRONG_TOKEN: &str = "The provided token is malformed or otherwise invalid.";

pub(super) struct AccessControl(pub(super) Arc<State>);

impl AccessControl {
    fn known(&self, access_key_id: &str) -> Option<&Credentials> {
        self.0.options.credentials.iter().find(|known| known.access_key_id == access_key_id)
    }

    /// Returns the properties of the objects and the bucket that decide which permissions a request needs.
    fn request_context(
        &self,
        (bucket, key): (&str, Option<&str>),
        headers: &http::HeaderMap,
    ) -> RequestContext {
        let source = policy::copy_source(headers).or_else(|| Some((bucket.to_owned(), key?.to_owned())));
        let buckets = self.0.buckets();
        let source = source.and_then(|(bucket, key)| buckets.get(&bucket)?.get(&key));
        let named = headers.get("x-amz-server-side-encryption-aws-kms-key-id");
        let named = named.and_then(|key| key.to_str().ok()).or_else(|| buckets.kms_key(bucket));
        RequestContext {
            is_source_tagged: source.is_some_and(|source| !source.tags.is_empty()),
            source_kms_key: source.and_then(|source| source.encryption.1.clone()),
            kms_key: named.map(str::to_owned),
        }
    }

    /// Checks whether an object does not exist and the caller may not learn that. Without permission to list
    /// the bucket, S3 answers 403 for a missing object, otherwise 404 (Amazon S3 API Reference, GetObject).
    /// Permission to list certain prefixes does not count, since a read names no prefix.
    fn is_hidden(&self, policy: &Policy, permission: &Permission) -> bool {
        let Some((bucket, key)) = permission.object().filter(|_| permission.action == "s3:GetObject") else {
            return false;
        };
        let is_there = self.0.buckets().get(bucket).is_some_and(|objects| objects.contains_key(key));
        !is_there && !policy.allows(&Permission::to_list(bucket, None))
    }
}

#[async_trait::async_trait]
impl S3Auth for AccessControl {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.known(access_key) {
            Some(known) => Ok(SecretKey::from(known.secret_access_key.clone())),
            None => Err(unknown_key()),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for AccessControl {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        let (bucket, key) = match context.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let signer = context.credentials().map(|credentials| credentials.access_key.clone());
        let query = context.uri().query().unwrap_or_default();
        let place = (bucket.as_deref().unwrap_or_default(), key.as_deref());
        let request_context = self.request_context(place, context.headers());
        let required = policy::required_permissions(
            &operation,
            place.0,
            place.1,
            query,
            context.headers(),
            &request_context,
        );
        let header =
            |name| context.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let expected_owners =
            [header("x-amz-expected-bucket-owner"), header("x-amz-source-expected-bucket-owner")];
        let [expected_bucket_owner, expected_source_bucket_owner] = expected_owners.clone();
        let logged = self.0.requests.add(Request {
            operation: operation.clone(),
            bucket,
            key: key.clone(),
            access_key_id: signer.clone(),
            required_permissions: required.clone(),
            expected_bucket_owner,
            expected_source_bucket_owner,
            headers: own_headers(context.headers()),
            at: Instant::now(),
            status: None,
        });
        let exchange = context.extensions_mut().get::<Exchange>().cloned().unwrap_or_default();
        exchange.set_logged(logged);

        let Some(known) = signer.as_deref().and_then(|signer| self.known(signer)) else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        match (known.session_token.as_deref(), token(context).as_deref()) {
            (wanted, given) if wanted == given => {}
            // The status is that of a missing permission. S3 itself has been seen to answer
            // InvalidAccessKeyId, also with 403.
            (Some(_), None) => {
                return Err(error_named("InvalidToken", http::StatusCode::FORBIDDEN, WRONG_TOKEN));
            }
            _ => return Err(s3_error!(InvalidToken, "{WRONG_TOKEN}")),
        }
        check_owners(expected_owners.iter().flatten())?;
        let is_allowed = known
            .policy
            .as_ref()
            .is_none_or(|policy| required.iter().all(|permission| policy.allows(permission)));
        let is_denied = |permission: &Permission| {
            let action = permission.action.trim_start_matches("s3:");
            action.ends_with("Tagging") && known.denied.iter().any(|denied| denied == action)
        };
        if known.denied.contains(&operation) || !is_allowed || required.iter().any(is_denied) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let passed = match self.0.faults.of(&operation, key.as_deref().unwrap_or_default()) {
            None => Ok(()),
            Some(Action::Refuse(status, code)) => {
                let status =
                    http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
                Err(refusal(&code, status))
            }
            Some(Action::CutBodyAfter(bytes)) => {
                context.extensions_mut().insert(EndBody { after_bytes: bytes, is_silent: false });
                Ok(())
            }
            Some(Action::FlipBit(bit)) => {
                context.extensions_mut().insert(FlipBit(bit));
                Ok(())
            }
            Some(Action::FlipNextBit(bits)) => {
                context.extensions_mut().insert(FlipBit(bits()));
                Ok(())
            }
            Some(Action::SilenceAfter(bytes)) => {
                context.extensions_mut().insert(EndBody { after_bytes: bytes, is_silent: true });
                Ok(())
            }
            Some(Action::ReversePage) => {
                context.extensions_mut().insert(ReversePage);
                Ok(())
            }
            Some(Action::AnswerHeader(name, value)) => {
                exchange.add_header(name, value);
                Ok(())
            }
            Some(Action::Silence) => std::future::pending().await,
            Some(Action::CutAfter) => {
                exchange.withhold_answer();
                Ok(())
            }
            Some(Action::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(Action::RunBefore(callback)) => {
                callback();
                Ok(())
            }
            Some(Action::RunInstead(callback)) => {
                callback();
                exchange.withhold_answer();
                Err(s3_error!(InternalError, "a fault on demand"))
            }
            Some(Action::RunAfter(callback)) => {
                exchange.run_after(callback);
                Ok(())
            }
            Some(Action::Wait(gate)) => {
                gate.pass().await;
                Ok(())
            }
        };
        if let Some(policy) = &known.policy
            && required.iter().any(|permission| self.is_hidden(policy, permission))
        {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        passed
    }
}

/// Returns an injected refusal, with S3's own message or headers where a client may read them.
fn refusal(code: &str, status: http::StatusCode) -> S3Error {
    let message = match code {
        // S3's message for an object encrypted with a customer's key (velero-io/velero#8025).
        "InvalidRequest" => {
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
        }
        _ => "a fault on demand",
    };
    let mut error = error_named(code, status, message);
    if code == "PermanentRedirect" {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-amz-bucket-region", http::HeaderValue::from_static("eu-west-1"));
        error.set_headers(headers);
    }
    error
}

/// Returns the `x-amz-` headers without the token, which is a secret.
fn own_headers(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    let own = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-amz-") && name.as_str() != "x-amz-security-token");
    own.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// Checks that a bucket belongs to the accounts that a request names (Amazon S3 User Guide, "Verifying bucket
/// ownership with bucket owner condition").
fn check_owners<'a>(accounts: impl Iterator<Item = &'a String>) -> S3Result<()> {
    for account in accounts {
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error_named(
                "InvalidBucketOwnerAWSAccountID",
                http::StatusCode::BAD_REQUEST,
                "The value of the expected bucket owner parameter must be an AWS Account ID",
            ));
        }
        if account != ACCOUNT {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
    }
    Ok(())
}

fn unknown_key() -> S3Error {
    error_named(
        "InvalidAccessKeyId",
        http::StatusCode::FORBIDDEN,
        "The AWS Access Key Id you provided does not exist in our records.",
    )
}

/// Returns the session token of a request, from its header or a presigned URL.
fn token(context: &S3AccessContext<'_>) -> Option<String> {
    if let Some(token) = context.headers().get("x-amz-security-token") {
        return token.to_str().ok().map(str::to_owned);
    }
    let in_url =
        context.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Security-Token="))?;
    Some(percent_encoding::percent_decode_str(in_url).decode_utf8_lossy().into_owned())
}
