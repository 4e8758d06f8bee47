//! S3: the operations that the program uses, and what their failures mean.

// Conditional copies: markers.
mod copy;

// Small objects that several functions write, and looks at markers.
mod conditional;
// What an archive is encrypted with, and its tags.
mod attributes;

// The bytes of one revision.
mod download;
// Whether they are those that S3 holds.
mod verify;
// Uploads in parts.
mod multipart;
// What a marker keeps of its archive.
mod kept;

// Listings, page by page.
mod pages;

// One client: reading, writing and deleting.
mod client;

// What failures mean.
mod error;
// S3's codes, each with its remedy.
mod known_errors;

// How long requests may take.
mod limits;
// Whose bucket it must be.
mod owner;
// What everything written is encrypted by.
mod encryption;
// What of what is written is signed.
mod payload;

pub use self::attributes::Attributes;
pub use self::client::S3;
pub use self::conditional::{SmallObject, WriteIf};
pub use self::error::{credentials_error, is_unanswered};
pub use self::pages::Pages;
pub use self::verify::Downloaded;
