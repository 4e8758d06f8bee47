//! CSV: a strict reader of records, and the writer of staged files.

mod reader;

mod record;
mod structural;

mod writer;

pub use self::reader::RecordReader;
pub use self::record::{Cell, Record, RecordError, has_lone_return};
pub(crate) use self::writer::{RowWriter, push_quoted};
