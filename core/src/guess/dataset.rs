//! Guesses the dataset of a whole archive.

use std::collections::BTreeSet;
use std::io::Read;

use schemars::JsonSchema;
use serde::Serialize;

use super::column::{MARKERS, PLAIN_MARKERS};
use super::delimiter::delimiter;
use super::error::GuessError;
use super::head::{Head, member_name};
use super::member::{MemberGuess, MemberSeen};
use super::name::{identifier, unique_name};
use crate::archive::survey;

/// The table names of the ledger.
const LEDGER: [&str; 3] = ["load_ledger", "load_ledger_tables", "load_ledger_lock"];

/// The guess for an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Guess {
    /// The character between cells.
    pub delimiter: char,
    /// The text that means NULL, if there is one.
    pub null_as: Option<String>,
    /// The archive's members, by name.
    pub members: Vec<MemberGuess>,
}

/// Guesses a dataset from one of its archives, which is read a second time.
///
/// # Errors
///
/// [`GuessError`].
pub fn guess(heads: &[Head], reader: impl Read) -> Result<Guess, GuessError> {
    let delimiter = delimiter(heads)?;
    let mut seen = Vec::new();
    survey(reader, |member| {
        seen.push(MemberSeen::read(member.name, member.body, delimiter)?);
        Ok(())
    })?;
    seen.sort_by(|a, b| a.file.cmp(&b.file));
    let null = null_marker(&seen);
    let mut tables: BTreeSet<String> = LEDGER.iter().map(|name| (*name).to_owned()).collect();
    let members = seen.into_iter().map(|seen| {
        if seen.header.is_empty() {
            return Err(GuessError::NoHeader { member: seen.file });
        }
        let member = member_name(&seen.file).to_owned();
        let name = Some(identifier(&member)).filter(|name| !name.is_empty());
        let table = unique_name(name.unwrap_or_else(|| "member".to_owned()), |name| !tables.contains(name));
        tables.insert(table.clone());
        Ok(seen.guess(member, table, null))
    });
    let members = members.collect::<Result<_, _>>()?;
    let null_as = null.and_then(|null| MARKERS.get(null)).map(|marker| (*marker).to_owned());
    Ok(Guess { delimiter: char::from(delimiter), null_as, members })
}

/// Returns the marker that means NULL: one without which columns would be dates or truth values, or the most
/// frequent of those that hardly ever mean anything else.
fn null_marker(seen: &[MemberSeen]) -> Option<usize> {
    let columns = || seen.iter().flat_map(|member| &member.columns);
    let explained = |marker: usize| columns().filter(|column| column.is_explained_by(marker)).count();
    let count = |marker: usize| columns().map(|column| column.markers[marker]).sum::<u64>();
    let best =
        (0..MARKERS.len()).rev().max_by_key(|marker| explained(*marker)).filter(|best| explained(*best) > 0);
    best.or_else(|| {
        (0..PLAIN_MARKERS).rev().max_by_key(|marker| count(*marker)).filter(|best| count(*best) > 0)
    })
}
