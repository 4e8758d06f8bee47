//! Writes the function's events to standard output as JSON lines.

use std::{fmt, io};

use chrono::{SecondsFormat, Utc};
use cmslite_core::text::{start_of, visible_json};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as layer};

use crate::log_filter::own_events;
use crate::report::MAX_BYTES;

/// Writes events at info and above to standard output as JSON lines: `timestamp`, `level`, then the context
/// of the line (`request_id`, `dataset`, `archive`, `phase`, if it has them), `message`, and the event's own
/// fields.
pub fn init() {
    let json = layer::layer().fmt_fields(JsonFields::new()).event_format(JsonLine).with_writer(io::stdout);
    tracing_subscriber::registry().with(json.with_filter(own_events(Level::INFO))).init();
}

/// Formats an event as one flat object, so that the context can be searched by name.
struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Fields::default();
        line.set("timestamp", Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true));
        line.set("level", metadata.level().as_str());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(fields)
            {
                fields.into_iter().for_each(|(name, value)| line.set(&name, value));
            }
        }
        event.record(&mut line);
        line.set("target", metadata.target());
        writeln!(writer, "{}", line.that_fits())
    }
}

/// The members of an object, in the order in which they were first set.
#[derive(Default)]
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.0.push((name.to_owned(), value.into())),
        }
    }
}

/// The lengths to which texts of an event that is too long are cut. The first that makes it short enough is
/// used.
const TEXT_BYTES: [usize; 4] = [64_000, 16_000, 4_000, 400];

impl Fields {
    /// Returns the event as a line of visible characters. Its texts are cut if it would be longer than
    /// [`MAX_BYTES`].
    fn that_fits(&self) -> String {
        let mut line = visible_json(&self.to_string()).into_owned();
        for most_bytes in TEXT_BYTES {
            if line.len() < MAX_BYTES {
                break;
            }
            let cut = |value: &Value| match value {
                Value::String(text) => Value::String(start_of(text, most_bytes)),
                other => other.clone(),
            };
            let cut = Self(self.0.iter().map(|(name, value)| (name.clone(), cut(value))).collect());
            line = visible_json(&cut.to_string()).into_owned();
        }
        line
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{}:{value}", if at == 0 { '{' } else { ',' }, Value::from(name.as_str()))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_fits_whatever_its_texts_are() {
        for (length, is_cut) in [(10, false), (40_000, true), (10_000_000, true)] {
            let mut line = Fields::default();
            for name in ["message", "error", "report"] {
                line.set(name, "\u{1}".repeat(length));
            }
            let text = line.that_fits();
            assert!(text.len() < MAX_BYTES, "{length}: {}", text.len());
            assert_eq!(text != line.to_string(), is_cut, "{length}");
            assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap()["message"].as_str().map(str::is_empty),
                Some(false)
            );
        }
    }
}
