//! What the core promises, held against others: word for word, and against Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

// Every way known to us in which an archive can be bad, or odd and yet good.
mod bad_archives;
// What is guessed of an archive, and whether the same archive is then good.
mod guess;
// Another opinion: the machine's python3.
mod python;
// Tables against Python's own csv.
mod python_csv;
// Numbers that look random.
mod random;
// Dates against Python's own strptime.
mod strptime;
// What is a table and what is not, a case on each line.
mod table_rules;
