//! Tests what the core promises: its messages word for word, and its results against Python's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

// Ways in which an archive can be bad, or unusual but good.
mod bad_archives;
// What is guessed of an archive, and whether the archive is good by that guess.
mod guess;
// Questions to the machine's `python3`.
mod python;
// Tables, compared with Python's `csv`.
mod python_csv;
// Random numbers that depend only on a seed.
mod random;
// Dates, compared with Python's `strptime`.
mod strptime;
// Which texts are tables, one case on each line.
mod table_rules;
