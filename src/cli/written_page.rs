//! Writes the status page to a file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::failure::Failure;

/// Writes the page to a file, which is replaced in one step. A symbolic link is followed; a pipe, a terminal
/// or a device is not replaced but written to.
///
/// # Errors
///
/// A failure of usage, since the command line names the file.
pub(super) fn write(file: &Path, page: &str) -> Result<(), Failure> {
    written(file, page).map_err(|error| {
        let message = format!("cannot write the page to {}: {error}", file.display());
        Failure::usage(message).with_remedy("name a file in an existing directory that you may write to")
    })
}

fn written(file: &Path, page: &str) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(there) if there.is_file() => replaced(&fs::canonicalize(file)?, page),
        Ok(_) => File::options().write(true).open(file)?.write_all(page.as_bytes()),
        // A link to a file that does not exist yet: nobody reads it while it is written.
        Err(_) if file.is_symlink() => fs::write(file, page),
        Err(_) => replaced(file, page),
    }
}

/// Replaces a file in one step: a reader such as a web server sees the former page or the new one. The new
/// page is first written to a file beside it, since a rename does not work between file systems.
fn replaced(file: &Path, page: &str) -> io::Result<()> {
    let Some(name) = file.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "that is not a file name"));
    };
    let mut beside = name.to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = file.with_file_name(beside);
    let written = fs::write(&beside, page).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // The file may not exist.
        let _ = fs::remove_file(&beside);
    }
    written
}
