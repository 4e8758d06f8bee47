//! Defines the options of the stand-in.

use std::path::PathBuf;

use crate::certificates::Certificate;

/// The method with which the stand-in asks for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// MD5 (tag 5).
    Md5,
    /// Clear text (tag 3).
    Cleartext,
    /// Redshift's own SHA-256 digest (tag 13), which PostgreSQL's drivers do not support.
    Sha256Digest,
}

/// Whether the stand-in offers TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Offered to clients that ask for it: "plain accepted unless `require_SSL`" (Management Guide,
    /// connecting-ssl-support).
    Optional,
    /// Required from every client.
    Required,
    /// Not offered.
    Disabled,
}

/// The kind of conflicts between transactions (`c_serial_isolation.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The default of clusters made before 2024-05-22.
    Serializable,
    /// The default of clusters made since then.
    Snapshot,
}

/// A role that COPY may use.
#[derive(Clone)]
pub struct Role {
    /// The role's ARN.
    pub arn: String,
    /// The role's keys: id, secret, token.
    pub credentials: (String, String, Option<String>),
}

/// The options of the stand-in.
#[derive(Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The directory of PostgreSQL's socket.
    pub postgres_socket_directory: PathBuf,
    /// S3's URL.
    pub s3_endpoint: String,
    /// The cluster's region.
    pub region: String,
    /// The users who may log in, with their passwords; `postgres` is the superuser.
    pub users: Vec<(String, String)>,
    /// The method with which the password is asked for.
    pub auth: Auth,
    /// Whether TLS is offered.
    pub tls: Tls,
    /// The certificate that the server presents.
    pub certificate: Certificate,
    /// The host names of the certificate.
    pub host_names: Vec<String>,
    /// The roles that COPY may use.
    pub roles: Vec<Role>,
    /// Whether the first of `roles` is the default role.
    pub default_role: bool,
    /// The kind of conflicts.
    pub isolation: Isolation,
    /// Whether `SYS_LOAD_ERROR_DETAIL` exists; older clusters have only `STL_LOAD_ERRORS`.
    pub sys_tables: bool,
}

impl Options {
    /// Returns the options for a stand-in in front of the PostgreSQL of a socket directory, with one
    /// superuser.
    pub fn new(
        postgres_socket_directory: impl Into<PathBuf>,
        s3_endpoint: impl Into<String>,
        superuser_password: &str,
    ) -> Self {
        Self {
            port: 0,
            postgres_socket_directory: postgres_socket_directory.into(),
            s3_endpoint: s3_endpoint.into(),
            region: "ca-central-1".to_owned(),
            users: vec![("postgres".to_owned(), superuser_password.to_owned())],
            auth: Auth::Md5,
            tls: Tls::Optional,
            certificate: Certificate::Issued,
            host_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            roles: Vec::new(),
            default_role: false,
            isolation: Isolation::Snapshot,
            sys_tables: true,
        }
    }
}
