//! Defines the keys that the server accepts, and what they may be used for.

use std::sync::Arc;

use super::policy::Policy;

/// Keys that the server accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key's id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: String,
    /// The session token of temporary keys, which are refused without it.
    pub session_token: Option<String>,
    /// The operations that these keys may not use, such as `PutObject`. Denying a permission for tags, such
    /// as `PutObjectTagging`, also denies the operations that need it.
    pub denied: Vec<String>,
    /// The policy that limits the keys, if there is one.
    pub policy: Option<Arc<Policy>>,
}

impl Credentials {
    /// Creates long-term keys without limits.
    pub fn long_term(access_key_id: &str, secret_access_key: &str) -> Self {
        let (access_key_id, secret_access_key) = (access_key_id.to_owned(), secret_access_key.to_owned());
        Self { access_key_id, secret_access_key, session_token: None, denied: Vec::new(), policy: None }
    }

    /// Creates temporary keys, like those of a Lambda function or a role.
    pub fn temporary(access_key_id: &str, secret_access_key: &str, session_token: &str) -> Self {
        Self {
            session_token: Some(session_token.to_owned()),
            ..Self::long_term(access_key_id, secret_access_key)
        }
    }

    /// Removes the permission for an operation.
    #[must_use]
    pub fn denying(mut self, operation: &str) -> Self {
        self.denied.push(operation.to_owned());
        self
    }

    /// Limits the keys to what a policy allows.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }
}
