//! Serves a local S3 that is strict where S3 is strict.
//!
//! The `s3s` crate speaks HTTP, `SigV4` and XML; the backend is our own, since the known local servers let
//! pass what the loader relies on being refused: conditions on reads and copies, part sizes and `ETag`s,
//! session tokens.

// A module names only those below it.

/// The running server, as the stack and its tests use it.
mod server;

/// Connections: each request goes to `s3s`, and its answer back unless a fault withholds it.
mod connections;

/// Who may do what. Every request passes here with its operation known, so here it is logged and meets faults.
mod access;

/// S3's operations.
mod backend;

/// What all parts of the server share.
mod state;

/// Which objects are told to whom, and in which form.
mod notifications;

/// Conditions on reads, writes and copies.
mod conditions;

/// Pages of a listing.
mod listing;

/// The objects of each bucket, and unfinished multipart uploads.
mod buckets;

/// An object: its bytes' pieces and its metadata.
mod object;

/// Bytes in files.
mod blob;

/// Checksums, computed and verified.
mod checksums;

/// What the access check decides about an answer.
mod exchange;

/// A connection that breaks behind a certain byte.
mod disconnect;

/// The requests so far.
mod request_log;

/// Faults on demand.
mod faults;

/// How to start the server.
mod options;

/// The keys that the server accepts.
mod credentials;

/// What an IAM policy allows.
pub mod policy;

/// Errors with codes of S3's.
mod error;

pub use self::checksums::Algorithm;
pub use self::credentials::Credentials;
pub use self::faults::{Action, Bits, Fault};
pub use self::notifications::{Notification, Target};
pub use self::object::{Kept, ObjectSummary};
pub use self::options::Options;
pub use self::request_log::Request;
pub use self::server::S3;
pub use crate::fault::Gate;
