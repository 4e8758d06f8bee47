//! CSV: a strict reader of records, and the writer of staged files.

mod reader;

mod record;
mod structural;

mod writer;

pub use self::reader::{BYTE_ORDER_MARK, RecordReader};
pub use self::record::{Cell, Flaw, Record, RecordError};
pub use self::writer::{FIRST_ROW_LINE, RowSink};
pub(crate) use self::writer::{RowWriter, push_quoted};
