//! Defines the options of the server.

use super::credentials::Credentials;

/// The options of the server.
#[derive(Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The keys that the server accepts.
    pub credentials: Vec<Credentials>,
    /// The maximum number of keys on a page of a listing; S3 has 1000.
    pub max_keys: usize,
    /// The region that buckets and notifications name. Any region is accepted in a signature.
    pub region: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            credentials: vec![Credentials::long_term(
                "AKIADEVSTACK00000000",
                "devstack/not/a/secret/0000000000000000000",
            )],
            max_keys: 1000,
            region: "ca-central-1".to_owned(),
        }
    }
}
