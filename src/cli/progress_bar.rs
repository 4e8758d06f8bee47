//! Shows a person the progress of a run: a bar if standard error is a terminal, otherwise a line of the log
//! at intervals.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use cmslite_core::key::Key;
use cmslite_core::progress::{Progress, Reading};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, interval, interval_at};
use tracing::info;

/// The interval at which the bar is redrawn.
const REDRAWN_EVERY: Duration = Duration::from_millis(100);

/// The interval between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The bars on the terminal, kept so that other lines are written above them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Stops drawing.
pub fn hide() {
    BARS.set_draw_target(ProgressDrawTarget::hidden());
}

/// Shows `progress` for as long as `work` takes.
pub async fn during<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    let show = async { if BARS.is_hidden() { write_lines(progress).await } else { draw(progress).await } };
    let done = tokio::select! {
        done = work => done,
        never = show => match never {},
    };
    let _ = BARS.clear();
    done
}

async fn draw(progress: &Progress) -> Infallible {
    let style = ProgressStyle::with_template(
        "{wide_msg}\n[{bar:40}] {bytes} of {total_bytes}, {prefix} rows, {binary_bytes_per_sec}, {eta} left",
    );
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
    let mut shown: Option<(Key, ProgressBar)> = None;
    let mut ticks = interval(REDRAWN_EVERY);
    loop {
        ticks.tick().await;
        let reading = progress.reading();
        if let Some((_, bar)) =
            shown.take_if(|(key, _)| reading.as_ref().is_none_or(|reading| reading.key != *key))
        {
            bar.finish_and_clear();
        }
        if let Some(Reading { key, size_bytes, read_bytes, rows }) = reading {
            let (_, bar) = shown.get_or_insert_with(|| {
                let bar = BARS.add(
                    ProgressBar::new(size_bytes).with_style(style.clone()).with_message(key.to_string()),
                );
                (key, bar)
            });
            bar.set_prefix(rows.to_string());
            bar.set_position(read_bytes);
        }
    }
}

async fn write_lines(progress: &Progress) -> Infallible {
    let mut ticks = interval_at(Instant::now() + LINE_EVERY, LINE_EVERY);
    let mut before: Option<Reading> = None;
    loop {
        ticks.tick().await;
        let reading = progress.reading();
        if let Some(Reading { key, size_bytes, read_bytes, rows }) = &reading {
            let since = before.filter(|before| before.key == *key).map_or(0, |before| before.read_bytes);
            let bytes_per_second = (read_bytes - since.min(*read_bytes)) / LINE_EVERY.as_secs();
            info!(%key, size_bytes, read_bytes, rows, bytes_per_second, "reading");
        }
        before = reading;
    }
}

/// Writes lines above what is drawn.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// A writer to standard error whose lines go above what is drawn.
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
