//! The status page in a file.

use std::fs;
use std::io;
use std::path::Path;

use super::failure::Failure;

/// Replaces a file at once: whoever reads it, such as a web server, has the former page or the new one. The new one is
/// written beside it, since a rename does not lead from one file system to another.
///
/// # Errors
///
/// One of usage, since the command line names the file.
pub(super) fn replace(file: &Path, page: &str) -> Result<(), Failure> {
    written(file, page).map_err(|error| {
        let message = format!("cannot write the page to {}: {error}", file.display());
        Failure::usage(message).with_remedy("name a file in a directory that is there and may be written to")
    })
}

fn written(file: &Path, page: &str) -> io::Result<()> {
    let Some(name) = file.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "that is no name of a file"));
    };
    let mut beside = name.to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = file.with_file_name(beside);
    let written = fs::write(&beside, page).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&beside);
    }
    written
}
