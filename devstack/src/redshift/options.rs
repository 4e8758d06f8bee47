//! Defines how to start the stand-in.

use std::path::PathBuf;

use crate::certificates::Certificate;

/// How the stand-in asks for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// MD5 (tag 5).
    Md5,
    /// In clear (tag 3).
    Cleartext,
    /// Redshift's own SHA-256 digest (tag 13), which PostgreSQL's drivers do not answer.
    Sha256Digest,
}

/// Whether the stand-in speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// To whom asks for it: "plain accepted unless `require_SSL`" (Management Guide, connecting-ssl-support).
    Optional,
    /// To everybody.
    Required,
    /// To nobody.
    Disabled,
}

/// Which conflicts there are (`c_serial_isolation.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The default of clusters made before 2024-05-22.
    Serializable,
    /// The default since.
    Snapshot,
}

/// A role that COPY may take.
#[derive(Clone)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Its keys: id, secret, token.
    pub credentials: (String, String, Option<String>),
}

/// How to start the stand-in.
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
    /// Who may log in, with which password; `postgres` is the superuser.
    pub users: Vec<(String, String)>,
    /// How the password is asked for.
    pub auth: Auth,
    /// Whether TLS is spoken.
    pub tls: Tls,
    /// What the server shows of itself in TLS.
    pub certificate: Certificate,
    /// The host names that the certificate is made out for.
    pub host_names: Vec<String>,
    /// The roles that COPY may take.
    pub roles: Vec<Role>,
    /// Whether the first of them is the default role.
    pub default_role: bool,
    /// Which conflicts there are.
    pub isolation: Isolation,
    /// Whether `SYS_LOAD_ERROR_DETAIL` exists; older clusters have `STL_LOAD_ERRORS` only.
    pub sys_tables: bool,
}

impl Options {
    /// A stand-in before the PostgreSQL of a socket directory, with one superuser.
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
