//! The status page in a file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::failure::Failure;

/// Writes the page to a file, which is replaced at once. Behind a symbolic link is the file that is meant; a pipe, a terminal or
/// a device stays what it is and is written to.
///
/// # Errors
///
/// One of usage, since the command line names the file.
pub(super) fn write(file: &Path, page: &str) -> Result<(), Failure> {
    written(file, page).map_err(|error| {
        let message = format!("cannot write the page to {}: {error}", file.display());
        Failure::usage(message).with_remedy("name a file in a directory that is there and may be written to")
    })
}

fn written(file: &Path, page: &str) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(there) if there.is_file() => replaced(&fs::canonicalize(file)?, page),
        Ok(_) => File::options().write(true).open(file)?.write_all(page.as_bytes()),
        // A link to a file that is not there yet: nobody reads that while it is written.
        Err(_) if file.is_symlink() => fs::write(file, page),
        Err(_) => replaced(file, page),
    }
}

/// Replaces a file at once: whoever reads it, such as a web server, has the former page or the new one. The new one is
/// written beside it, since a rename does not lead from one file system to another.
fn replaced(file: &Path, page: &str) -> io::Result<()> {
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
