//! Holds the settings that the answers depend on: names, and values that a test changes.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use crate::redshift::Issuer;
use crate::s3::policy::Policy;

/// The region in ARNs and in the signatures of requests.
pub const REGION: &str = "ca-central-1";

/// The cluster's identifier.
pub const CLUSTER: &str = "analytics";

/// The workgroup's name.
pub const WORKGROUP: &str = "analytics-wg";

/// The workgroup's id, which its ARN contains instead of the name.
pub const WORKGROUP_ID: &str = "6a5b0000-1111-4222-8333-c0ffee000001";

/// The caller's role.
pub const ROLE: &str = "cmslite-loader-role";

/// The settings that the answers depend on.
#[derive(Clone)]
pub(super) struct Settings {
    /// The stand-in for which logins are issued: the issuer that it trusts, and its port on localhost.
    pub(super) redshift: Option<(Issuer, u16)>,
    pub(super) policy: Option<Policy>,
    /// The number of seconds for which a password is valid. If it is negative, the password has already
    /// expired.
    pub(super) seconds: i64,
    /// The fixed password, if one is set.
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
    /// Returns a password for a user, and its expiry. The stand-in is told of a new password, but not of the
    /// fixed one.
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
