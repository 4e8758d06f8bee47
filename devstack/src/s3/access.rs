//! Who may do what; and, since every request passes here with its operation known, the log and the faults.

use std::str::FromStr as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::faults::Action;
use super::{Credentials, Hangup, Request, Shared};

/// What the backend is to do with a request's body.
#[derive(Clone, Copy)]
pub(super) struct CutBodyAfter(pub(super) u64);

pub(super) struct Gate(pub(super) Arc<Shared>);

impl Gate {
    fn known(&self, access_key_id: &str) -> Option<&Credentials> {
        self.0.options.credentials.iter().find(|known| known.access_key_id == access_key_id)
    }
}

#[async_trait::async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if let Some(known) = self.known(access_key) {
            return Ok(SecretKey::from(known.secret_access_key.clone()));
        }
        Err(forbidden("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."))
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        let (bucket, key) = match context.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let signer = context.credentials().map(|credentials| credentials.access_key.clone());
        let request = Request { operation: operation.clone(), bucket, key: key.clone(), access_key_id: signer.clone() };
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);

        let Some(known) = signer.as_deref().and_then(|signer| self.known(signer)) else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let token = context.headers().get("x-amz-security-token").and_then(|token| token.to_str().ok());
        if token != known.session_token.as_deref() {
            return Err(forbidden("InvalidToken", "The provided token is malformed or otherwise invalid."));
        }
        if known.denied.contains(&operation) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        match self.0.faults.of(&operation, key.as_deref().unwrap_or_default()) {
            None => Ok(()),
            Some(Action::Refuse(status, code)) => {
                let mut error = S3Error::with_message(code_named(&code), "a fault on demand");
                error.set_status_code(http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR));
                Err(error)
            }
            Some(Action::CutBodyAfter(bytes)) => {
                context.extensions_mut().insert(CutBodyAfter(bytes));
                Ok(())
            }
            Some(Action::CutBeforeAnswer) => {
                if let Some(hangup) = context.extensions_mut().get::<Hangup>() {
                    hangup.0.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
            Some(Action::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(Action::First(act)) => {
                act();
                Ok(())
            }
        }
    }
}

fn code_named(code: &str) -> S3ErrorCode {
    S3ErrorCode::from_str(code).unwrap_or(S3ErrorCode::InternalError)
}

fn forbidden(code: &str, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(code_named(code), message);
    error.set_status_code(http::StatusCode::FORBIDDEN);
    error
}
