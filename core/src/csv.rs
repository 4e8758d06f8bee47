//! Reads records strictly, and writes staged files, as CSV.

mod reader;

mod record;
mod structural;

mod writer;

#[cfg(test)]
mod dribble;

#[cfg(test)]
pub(crate) use self::dribble::Dribble;
pub(crate) use self::reader::Ahead;
pub use self::reader::{BYTE_ORDER_MARK, RecordReader};
pub(crate) use self::record::KEPT_CELLS;
pub use self::record::{Cell, Flaw, Record, RecordError};
pub(crate) use self::structural::{Cursor, StructuralIndex};
pub(crate) use self::writer::{BUFFER_BYTES, RowWriter, needs_quotes, push_quoted};
pub use self::writer::{FIRST_ROW_LINE, RowSink};
