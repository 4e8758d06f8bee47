//! The status page, written to a file or to standard output.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use tracing::error;

use super::exit;

/// Writes a page to `file`, or to standard output for `-`, and says with which status the command ends; `has_failed` is
/// whether something else has failed that the page tells of.
pub fn write(file: &Path, page: &str, has_failed: bool) -> u8 {
    let is_printed = file.as_os_str() == "-";
    let written =
        if is_printed { io::stdout().lock().write_all(page.as_bytes()) } else { replace(file, page) };
    match written {
        // Whoever reads has seen enough.
        Err(error) if !(is_printed && error.kind() == io::ErrorKind::BrokenPipe) => {
            let place = if is_printed { "standard output".to_owned() } else { file.display().to_string() };
            error!("cannot write the status page to {place}: {error}");
            exit::FAILED
        }
        _ if has_failed => exit::FAILED,
        _ => exit::GOOD,
    }
}

/// Replaces a file at once: whoever reads it, such as a web server, has the former page or the new one. The new one is
/// written beside it, since a rename does not lead from one file system to another.
fn replace(file: &Path, page: &str) -> io::Result<()> {
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
