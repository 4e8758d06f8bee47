//! Serves a local S3 that is strict where S3 is strict.
//!
//! The `s3s` crate handles HTTP, `SigV4` and XML. The backend is the project's own, since the known local
//! servers accept requests that the loader relies on being refused: conditions on reads and copies, part
//! sizes and `ETag`s, session tokens.

// A module uses only modules listed below it.

/// The running server, for the stack and its tests.
mod server;

/// The connections: each request goes to `s3s`, and its answer goes back unless a fault withholds it.
mod connections;

/// The access check. The operation is known there, so it also logs every request and injects faults.
mod access;

/// S3's operations.
mod backend;

/// The state that all parts of the server share.
mod state;

/// The targets and the form of notifications.
mod notifications;

/// The conditions on reads, writes and copies.
mod conditions;

/// Pages of a listing.
mod listing;

/// The objects of each bucket, and unfinished multipart uploads.
mod buckets;

/// An object: the pieces of its bytes and its metadata.
mod object;

/// Bytes in files.
mod blob;

/// The checksums, which are computed and verified.
mod checksums;

/// The decisions of the access check about an answer.
mod exchange;

/// A connection that breaks after a certain byte.
mod disconnect;

/// The log of requests.
mod request_log;

/// Injected faults.
mod faults;

/// The options of the server.
mod options;

/// The keys that the server accepts.
mod credentials;

/// IAM policies.
pub mod policy;

/// Errors with S3's codes.
mod error;

pub use self::checksums::Algorithm;
pub use self::credentials::Credentials;
pub use self::faults::{Action, Bits, Fault};
pub use self::notifications::{Notification, Target};
pub use self::object::{ObjectSummary, TagsAndKey};
pub use self::options::Options;
pub use self::request_log::Request;
pub use self::server::S3;
pub use crate::fault::Gate;
