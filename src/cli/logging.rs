//! Where the command's events go: info on stdout, debug in a file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Mutex;

use chrono::Local;
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as layer};

use super::progress_bar::LogWriter;
use crate::log_filter::own_events;

/// The command's log file.
const LOG_FILE: &str = "logs/cmslite_user_data_to_redshift.log";

/// Info on stdout, debug appended to the log file. Without the file the command goes on, and says so.
pub fn init() {
    let file = open(Path::new(LOG_FILE));
    let (file, unopened) = match file {
        Ok(file) => (Some(file), None),
        Err(error) => (None, Some(error)),
    };
    let stdout = layer::layer()
        .event_format(Line)
        .with_ansi(io::stdout().is_terminal())
        .with_writer(|| LogWriter)
        .with_filter(own_events(Level::INFO));
    let file = file.map(|file| {
        layer::layer()
            .event_format(Line)
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .with_filter(own_events(Level::DEBUG))
    });
    tracing_subscriber::registry().with(stdout).with(file).init();
    if let Some(error) = unopened {
        warn!("no log file {LOG_FILE}: {error}");
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// `LEVEL:target:YYYY-MM-DD HH:MM:SS,mmm:message`, as the script wrote it.
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
        context.field_format().format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}
