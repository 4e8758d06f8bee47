//! Holds the settings that the answers depend on: names, and values that a test changes.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use crate::redshift::Issuer;
use crate::s3::policy::Policy;

/// The region of everything.
pub const REGION: &str = "ca-central-1";

/// The cluster's identifier.
pub const CLUSTER: &str = "analytics";

/// The workgroup's name.
pub const WORKGROUP: &str = "analytics-wg";

/// The workgroup's id, which is in its ARN instead of the name.
pub const WORKGROUP_ID: &str = "6a5b0000-1111-4222-8333-c0ffee000001";

/// The caller's role.
pub const ROLE: &str = "cmslite-loader-role";

/// The settings that the answers depend on.
#[derive(Clone)]
pub(super) struct Settings {
    /// The stand-in: the issuer that it trusts, and its port on localhost.
    pub(super) redshift: Option<(Issuer, u16)>,
    pub(super) policy: Option<Policy>,
    /// The time for which a password is valid, in seconds; negative for one that has expired.
    pub(super) seconds: i64,
    /// The password, if it is always the same.
    pub(super) password: Option<String>,
    given: u64,
    /// The status of the cluster and the workgroup.
    pub(super) status: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { redshift: None, policy: None, seconds: 900, password: None, given: 0, status: "available" }
    }
}

impl Settings {
    /// Issues a new password for a user, and returns its expiry.
    pub(super) fn give(&mut self, user: &str) -> (String, DateTime<Utc>) {
        self.given += 1;
        let until = DateTime::<Utc>::from(SystemTime::now()) + chrono::TimeDelta::seconds(self.seconds);
        if let Some(password) = &self.password {
            return (password.clone(), until);
        }
        let password = format!("temporary-Passw0rd-{}", self.given);
        if let Some((issuer, _)) = &self.redshift {
            let until = u64::try_from(until.timestamp()).unwrap_or_default();
            issuer.give(user, &password, SystemTime::UNIX_EPOCH + Duration::from_secs(until));
        }
        (password, until)
    }
}
