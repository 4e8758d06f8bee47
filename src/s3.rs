//! S3: the operations that the program uses, and what their failures mean.

// Conditional copies: markers.
mod copy;

// The bytes of one revision.
mod download;
// Uploads in parts.
mod multipart;

// One client: listing, reading, writing and deleting.
mod client;

// What failures mean.
mod error;

// How long requests may take.
mod limits;

pub use self::client::S3;
pub use self::multipart::{Upload, UploadedPart};
