//! A guard on what is unpacked, beneath the tar reader: it alone sees every byte.
//!
//! The tar reader holds whatever stands between two files in memory, skips the padding of a file unseen, and
//! reads as long as there is something. The guard bounds the first, looks at the second, and ends the third.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use super::file_type::HEAD_BYTES;

/// Entries and their padding come in blocks of this size.
const BLOCK_BYTES: u64 = 512;

/// The most that names and attributes of one entry may take. Paths have some thousand bytes at most,
/// attributes some ten thousand.
pub const ENTRY_HEADERS_LIMIT_BYTES: u64 = 1024 * 1024;

/// Why nothing further is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Bytes that are no padding behind the last gzip member.
    #[error("there is data behind the end of the gzip")]
    DataBehindGzip,
    /// More was unpacked than may be.
    #[error("the archive unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// What stands in front of a file takes more than it may.
    #[error("name and attributes of an entry take more than {ENTRY_HEADERS_LIMIT_BYTES} bytes")]
    EntryHeadersTooLong,
}

impl From<GuardError> for io::Error {
    fn from(error: GuardError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl GuardError {
    /// The guard's error that an I/O error carries.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

/// What was seen, and what may come.
pub struct Guard {
    limit_bytes: u64,
    position: Cell<u64>,
    head: RefCell<Vec<u8>>,
    /// Bytes that may still come before the next file does; none while a file is read.
    between: Cell<Option<u64>>,
    padding: Cell<u64>,
    padding_used: Cell<bool>,
}

impl Guard {
    /// Lets at most `limit_bytes` pass.
    pub fn new(limit_bytes: u64) -> Rc<Self> {
        Rc::new(Self {
            limit_bytes,
            position: Cell::new(0),
            head: RefCell::default(),
            between: Cell::new(None),
            padding: Cell::new(0),
            padding_used: Cell::new(false),
        })
    }

    /// What comes next stands between two files: the padding of the one, where it was read to its end, and
    /// what tells of the next.
    pub fn expect_padding_and_header(&self) {
        let position = self.position.get();
        self.between.set(Some(ENTRY_HEADERS_LIMIT_BYTES));
        self.padding.set(position.next_multiple_of(BLOCK_BYTES) - position);
    }

    /// What comes next stands between two files, `unread` bytes of the one included.
    pub fn expect_unread_and_header(&self, unread: u64) {
        self.between.set(Some(ENTRY_HEADERS_LIMIT_BYTES.saturating_add(unread)));
        self.padding.set(0);
    }

    /// What comes next is a file, or what is behind the last one.
    pub fn allow_anything(&self) {
        self.between.set(None);
        self.padding.set(0);
    }

    /// Whether there was something in a padding that was passed since the last call.
    pub fn take_padding_used(&self) -> bool {
        self.padding_used.take()
    }

    /// With which the contents begin.
    pub fn head(&self) -> Vec<u8> {
        self.head.borrow().clone()
    }

    fn see(&self, bytes: &[u8]) -> Result<(), GuardError> {
        let missing = HEAD_BYTES.saturating_sub(usize::try_from(self.position.get()).unwrap_or(usize::MAX));
        if missing > 0 {
            self.head.borrow_mut().extend(bytes.iter().take(missing));
        }
        let count = bytes.len() as u64;
        self.position.set(self.position.get().saturating_add(count));
        if self.position.get() > self.limit_bytes {
            return Err(GuardError::TooLarge(self.limit_bytes));
        }
        if let Some(between) = self.between.get() {
            let padding = self.padding.get().min(count);
            if bytes.iter().take(padding as usize).any(|byte| *byte != 0) {
                self.padding_used.set(true);
            }
            self.padding.set(self.padding.get() - padding);
            self.between.set(Some(between.checked_sub(count).ok_or(GuardError::EntryHeadersTooLong)?));
        }
        Ok(())
    }
}

/// A reader that a guard looks at.
pub struct GuardedReader<R> {
    reader: R,
    guard: Rc<Guard>,
}

impl<R> GuardedReader<R> {
    /// Has `guard` look at what is read from `reader`.
    pub fn new(reader: R, guard: &Rc<Guard>) -> Self {
        Self { reader, guard: Rc::clone(guard) }
    }
}

impl<R: Read> Read for GuardedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.guard.see(&buffer[..count])?;
        Ok(count)
    }
}
