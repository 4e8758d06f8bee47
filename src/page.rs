//! The status page of a dataset: one HTML file that needs nothing else.
//!
//! What it shows is a plain value, [`Overview`], of which [`Overview::html`] makes the page: without servers, clock or files.
//! `status --html` makes the value of a whole [`Status`](crate::status::Status), the function of what its run has read
//! anyway.

// The page that the function writes.
mod of_run;
// From a status to what the page shows.
mod of_status;

// The document.
mod html;
// The state in words, and what somebody has to do.
mod headline;
// Times, ages and numbers as text.
mod words;

// What the page shows.
mod overview;

pub use self::of_run::write_after;
pub use self::overview::{
    BAD_SHOWN, BadArchive, Counts, DISAGREEMENTS_SHOWN, LedgerSays, MadeBy, Overview, PASSED_OVER_SHOWN,
    WAITING_SHOWN,
};

#[cfg(test)]
mod tests;
