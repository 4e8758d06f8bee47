//! Writes the command's events to standard error, and to a file if there is one.

use std::fmt::{self, Write as _};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Mutex;

use chrono::Local;
use cmslite_core::text::{one_line, printable};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as layer};

use super::failure;
use super::progress_bar::LogWriter;
use crate::log_filter::own_events;

/// The path of the log file that a load keeps.
pub const LOG_FILE: &str = "logs/cmslite_user_data_to_redshift.log";

/// The size in bytes at which the log file is rotated when a command begins: a few thousand loads.
const ROTATED_BYTES: u64 = 10_000_000;

/// The number of former log files that are kept.
const ROTATED_FILES: u32 = 5;

/// Writes events at `level` and above to standard error, and from debug on to the log file. If the file
/// cannot be opened, the command continues and says so.
pub fn init(level: Level, path: Option<&Path>) {
    let (file, unopened) = match path.map(|path| open(path).map_err(|error| (path, error))) {
        None => (None, None),
        Some(Ok(file)) => (Some(file), None),
        Some(Err(error)) => (None, Some(error)),
    };
    let stderr = layer::layer()
        .event_format(Line)
        .with_ansi(false)
        .with_writer(|| LogWriter)
        .with_filter(own_events(level).with_target(failure::TARGET, LevelFilter::OFF));
    let file = file.map(|file| {
        layer::layer()
            .event_format(Line)
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .with_filter(own_events(Level::DEBUG))
    });
    tracing_subscriber::registry().with(stderr).with(file).init();
    if let Some((path, error)) = unopened {
        warn!("no log file {}: {error}", printable(path.as_os_str().as_encoded_bytes()));
    }
}

/// Opens the log file to append to it, after rotating it if it is large. Only its owner may read it: it
/// quotes cells of archives.
fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let is_large = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() >= ROTATED_BYTES);
    if is_large {
        rotate(path)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    // A file of an earlier version is readable by everyone. The permissions of anything but a regular file,
    // such as /dev/null, are left alone: others use it too.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Renames `NAME` to `NAME.1`, `NAME.1` to `NAME.2` and so on; the last one is replaced.
fn rotate(path: &Path) -> io::Result<()> {
    let numbered = |number: u32| path.with_added_extension(number.to_string());
    for number in (1..ROTATED_FILES).rev().filter(|number| numbered(*number).exists()) {
        fs::rename(numbered(number), numbered(number + 1))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    fs::rename(path, numbered(1))
}

/// Formats an event as `LEVEL:target:YYYY-MM-DD HH:MM:SS,mmm:message`, as the script did. An event is one
/// line, whatever it quotes.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        write!(
            writer,
            "{}:{}:{}:",
            metadata.level(),
            metadata.target(),
            Local::now().format("%Y-%m-%d %H:%M:%S,%3f")
        )?;
        // Without ANSI sequences, which could not be told from those in keys and errors.
        let mut said = String::new();
        context.field_format().format_fields(Writer::new(&mut said), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(said, " {fields}")?;
            }
        }
        writeln!(writer, "{}", one_line(&said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_an_earlier_version_becomes_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (bytes, now) in [(1, path.clone()), (ROTATED_BYTES, path.with_added_extension("1"))] {
            fs::write(&path, "").unwrap();
            OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            open(&path).unwrap();
            assert_eq!((mode(&path), mode(&now)), (0o600, 0o600), "{bytes}");
        }
    }

    #[test]
    fn the_log_is_its_owners_and_is_rotated_by_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/a.log");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        open(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let size = |path: &Path| fs::metadata(path).map(|file| file.len()).ok();
        for n in 0..u64::from(ROTATED_FILES) + 2 {
            OpenOptions::new().write(true).open(&path).unwrap().set_len(ROTATED_BYTES + n).unwrap();
            open(&path).unwrap();
            assert_eq!(size(&path), Some(0));
        }
        let kept = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(kept, 1 + ROTATED_FILES as usize);
        let last = path.with_added_extension(ROTATED_FILES.to_string());
        assert_eq!(size(&last), Some(ROTATED_BYTES + 2));
        // A file that is not large is appended to.
        OpenOptions::new().write(true).open(&path).unwrap().set_len(ROTATED_BYTES - 1).unwrap();
        open(&path).unwrap();
        assert_eq!(size(&path), Some(ROTATED_BYTES - 1));
    }
}
