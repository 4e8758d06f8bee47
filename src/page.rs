//! Builds the status page of a dataset: one HTML file that needs no other files.
//!
//! Its contents are a plain value, [`Overview`], from which [`Overview::html`] makes the page without
//! servers, clock or files. `status --html` makes the value from a whole [`Status`](crate::status::Status);
//! the function makes it from what its run has already read.

// The page that the function writes.
mod of_run;
// From a status to the page's contents.
mod of_status;

// The document.
mod html;
// The state in words, and the tasks.
mod headline;
// Times, ages and numbers as text.
mod words;

// The page's contents.
mod overview;

pub use self::of_run::write_after;
pub use self::overview::{
    BAD_SHOWN, BadArchive, Counts, DISAGREEMENTS_SHOWN, LedgerState, MadeBy, Overview, PASSED_OVER_SHOWN,
    WAITING_SHOWN,
};

#[cfg(test)]
mod tests;
