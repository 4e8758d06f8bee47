//! Lists the members of an archive that has no configuration yet.

use std::io::{self, Read};

use tar::{Archive, EntryType};

use super::entry::{base_name, is_passed_over};
use super::guard::{Guard, GuardedReader};
use super::gunzip::inflate;
use super::io_reason::reason;
use super::tar::{Passed, no_entry};
use crate::config::SizeLimits;
use crate::problem::Problem;
use crate::text::printable;

/// A regular file in an archive.
pub struct SurveyedMember<'a> {
    /// The member's name in the archive, without directories.
    pub name: &'a str,
    /// The member's bytes. A read fails if the archive is damaged or cut off.
    pub body: &'a mut dyn Read,
}

/// Hands each regular file of an archive to `handle`, in the archive's order. Files that operating systems
/// add are skipped, and so is the part of a file that `handle` does not read.
///
/// # Errors
///
/// The first problem of the archive, which may be a file that `handle` could not read. The archive may have
/// more problems than are found here.
pub fn survey(
    reader: impl Read,
    mut handle: impl FnMut(SurveyedMember<'_>) -> io::Result<()>,
) -> Result<(), Problem> {
    let guard = Guard::new(&SizeLimits::default());
    let mut archive = Archive::new(GuardedReader::new(inflate(reader)?, &guard));
    let entries = archive.entries().map_err(|error| Problem::archive(reason(&error)))?;
    guard.expect_header(0);
    let mut behind: Option<Passed> = None;
    for entry in entries {
        let mut entry = entry.map_err(|error| no_entry(&error, &guard, behind.as_ref()))?;
        let path = entry.path_bytes().into_owned();
        let name = printable(base_name(&path));
        let in_member = |error: &io::Error| Problem::member(&name, reason(error));
        guard.allow_anything();
        let kind = entry.header().entry_type();
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if is_file && !is_passed_over(&entry, &path) {
            handle(SurveyedMember { name: &name, body: &mut entry }).map_err(|error| in_member(&error))?;
        }
        if kind.is_gnu_sparse() {
            // The holes of a sparse file may be endless; the stored bytes are not.
            guard.expect_header(entry.header().entry_size().unwrap_or_default());
        } else {
            io::copy(&mut entry, &mut io::sink()).map_err(|error| in_member(&error))?;
            guard.expect_header(0);
        }
        behind = Some(Passed { name, filled_bytes: None });
    }
    Ok(())
}
