//! Provides the S3 operations that the program uses, and the meaning of their failures.

// Markers: conditional copies of archives.
mod copy;

// Small objects that several functions write, and lookups of markers.
mod conditional;
// The encryption and the tags of an archive.
mod attributes;

// The bytes of one revision.
mod download;
// The comparison with the checksums that S3 stores.
mod verify;
// Uploads in parts.
mod multipart;
// What a marker keeps of its archive.
mod kept;

// Listings, page by page.
mod pages;

// The client: reading, writing and deleting.
mod client;

// The meaning of failures.
mod error;
// S3's codes, each with its remedy.
mod known_errors;

// The time limits of requests.
mod limits;
// The bucket's owner.
mod owner;
// The encryption of everything written.
mod encryption;
// The signing of payloads.
mod payload;

pub use self::attributes::Attributes;
pub use self::client::S3;
pub use self::conditional::{SmallObject, WriteIf};
pub use self::error::{credentials_error, is_unanswered};
pub use self::pages::Pages;
pub use self::verify::Downloaded;
