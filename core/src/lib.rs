//! What the loader decides: bytes and values in, bytes and values out.
//!
//! No network, no file system, no clock, no runtime: everything here is tested and fuzzed without a server. The
//! data goes one way:
//!
//! ```text
//! event ---> queue: which archives, in which order
//!              |
//!              v
//!            archive: gunzip -> tar -> member -> transform: records -> cells -> staged file
//!                                                   |
//!                                                   v
//!                                                problem: what is wrong, where, and the remedy
//! ```
//!
//! The modules stand in the order in which they import each other: a file names only modules further down.
//! Where to put what: a rule about an archive's bytes goes into [`archive`], one about a member's text into
//! [`transform`] (one about its CSV into [`csv`]), each with a reason, its code and its remedy in
//! [`problem::Reason`]; which archives are loaded in which order is [`queue`]'s.

// From an archive's bytes to its members' staged files.
pub mod archive;
// From a member's text to the staged file's text.
pub mod transform;

// From an event to what it asks for.
pub mod event;
// From the listings of S3 to the archives to load, in their order.
pub mod queue;

// What the tables' columns take.
pub mod limits;
// From a configuration's text to a dataset; a dataset's keys in S3.
pub mod config;
// Dates as Python's strptime reads them.
pub mod strptime;

// Failures by who must act.
pub mod error;
// What is wrong with an archive: the problems, their reasons and remedies.
pub mod problem;

// Records of CSV, read strictly, and written.
pub mod csv;
// How far the archive being read is.
pub mod progress;
// Text by strangers, made safe to show.
pub mod text;
