//! Limits what is unpacked. The guard is below the tar reader, where every byte passes.
//!
//! The tar reader keeps everything between two files in memory, skips the padding of a file without a check,
//! and reads until the input ends. The guard removes extended attributes and limits the rest between two
//! files, checks the padding, and ends the input.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use tar::{EntryType, Header};

use super::guard_error::{ENTRY_HEADERS_LIMIT_BYTES, GuardError};
use super::pax::essential_records;
use crate::config::SizeLimits;
use crate::file_type::HEAD_BYTES;

/// The block size of entries and their padding.
const BLOCK_BYTES: u64 = 512;

/// The state of the guard: what has passed, and what may follow.
pub struct Guard {
    limits: SizeLimits,
    /// The number of bytes of pax headers.
    pax_bytes: Cell<u64>,
    /// The number of bytes that were unpacked.
    unpacked: Cell<u64>,
    /// The number of bytes that the tar reader has received, without what the guard removed.
    position: Cell<u64>,
    /// The position of the next header, if it is known.
    next_header: Cell<Option<u64>>,
    head: RefCell<Vec<u8>>,
    /// The number of bytes that may still come before the next file; `None` while a file is read.
    between: Cell<Option<u64>>,
    padding: Cell<u64>,
    padding_used: Cell<bool>,
}

impl Guard {
    /// Creates a guard with these limits.
    pub fn new(limits: &SizeLimits) -> Rc<Self> {
        Rc::new(Self {
            limits: *limits,
            pax_bytes: Cell::new(0),
            unpacked: Cell::new(0),
            position: Cell::new(0),
            next_header: Cell::new(None),
            head: RefCell::default(),
            between: Cell::new(None),
            padding: Cell::new(0),
            padding_used: Cell::new(false),
        })
    }

    /// Tells the guard that the next bytes are between two files: `unread` bytes of the first file, its
    /// padding, and the headers of the next.
    pub fn expect_header(&self, unread: u64) {
        let position = self.position.get();
        let end = position.saturating_add(unread);
        let next = end.checked_next_multiple_of(BLOCK_BYTES);
        self.next_header.set(next);
        let distance = next.unwrap_or(u64::MAX) - position;
        self.between.set(Some(ENTRY_HEADERS_LIMIT_BYTES.saturating_add(distance)));
        // Unread bytes cannot be told from padding.
        self.padding.set(if unread == 0 { distance } else { 0 });
    }

    /// Tells the guard that the next bytes are a file, or whatever follows the last file.
    pub fn allow_anything(&self) {
        self.between.set(None);
        self.next_header.set(None);
        self.padding.set(0);
    }

    /// Returns whether any padding since the last call had a byte other than zero.
    pub fn take_padding_used(&self) -> bool {
        self.padding_used.take()
    }

    /// Returns the first bytes of the contents.
    pub fn head(&self) -> Vec<u8> {
        self.head.borrow().clone()
    }

    /// Checks unpacked bytes.
    fn unpack(&self, bytes: &[u8]) -> Result<(), GuardError> {
        let missing = HEAD_BYTES.saturating_sub(usize::try_from(self.unpacked.get()).unwrap_or(usize::MAX));
        if missing > 0 {
            self.head.borrow_mut().extend(bytes.iter().take(missing));
        }
        self.unpacked.set(self.unpacked.get().saturating_add(bytes.len() as u64));
        if self.unpacked.get() > self.limits.unpacked_bytes {
            return Err(GuardError::TooLarge(self.limits.unpacked_bytes));
        }
        Ok(())
    }

    /// Checks the size of a pax header before it is read.
    fn expect_pax(&self, size: u64) -> Result<(), GuardError> {
        let (found_bytes, limit_bytes) = (self.pax_bytes.get().saturating_add(size), self.limits.pax_bytes);
        self.pax_bytes.set(found_bytes);
        if found_bytes > limit_bytes {
            Err(GuardError::PaxTooLarge { limit_bytes, found_bytes })
        } else {
            Ok(())
        }
    }

    /// Checks the bytes that go to the tar reader.
    fn pass(&self, bytes: &[u8]) -> Result<(), GuardError> {
        let count = bytes.len() as u64;
        self.position.set(self.position.get().saturating_add(count));
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

/// A reader that a guard checks, and that removes the extended attributes of entries.
pub struct GuardedReader<R> {
    input: UnpackedReader<R>,
    /// A header and the records that belong to it, which go to the tar reader from `at` on.
    header: Vec<u8>,
    at: usize,
}

/// The underlying reader, which counts each byte.
struct UnpackedReader<R> {
    reader: R,
    guard: Rc<Guard>,
}

impl<R> GuardedReader<R> {
    /// Lets `guard` check what is read from `reader`.
    pub fn new(reader: R, guard: &Rc<Guard>) -> Self {
        let input = UnpackedReader { reader, guard: Rc::clone(guard) };
        Self { input, header: Vec::new(), at: 0 }
    }
}

impl<R: Read> Read for UnpackedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.guard.unpack(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

impl<R: Read> Read for GuardedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let guard = Rc::clone(&self.input.guard);
        if self.at == self.header.len() && guard.next_header.get() == Some(guard.position.get()) {
            self.at = 0;
            self.header = self.read_header()?;
        }
        let count = if self.at < self.header.len() {
            let count = (self.header.get(self.at..).unwrap_or_default()).read(buffer)?;
            self.at += count;
            count
        } else {
            let distance = guard.next_header.get().map_or(u64::MAX, |next| next - guard.position.get());
            self.input.by_ref().take(distance).read(buffer)?
        };
        guard.pass(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

impl<R: Read> GuardedReader<R> {
    /// Reads a header, and the records of a pax header.
    fn read_header(&mut self) -> io::Result<Vec<u8>> {
        let guard = Rc::clone(&self.input.guard);
        guard.next_header.set(None);
        let mut block = Vec::with_capacity(BLOCK_BYTES as usize);
        loop {
            self.input.by_ref().take(BLOCK_BYTES).read_to_end(&mut block)?;
            if !is_volume_label(&block) {
                break;
            }
            block.clear();
        }
        let Some(Extension { mut header, kind, size }) = Extension::of(&block) else { return Ok(block) };
        if let ExtensionKind::GnuName = kind {
            let end = guard.position.get().saturating_add(BLOCK_BYTES).saturating_add(size);
            guard.next_header.set(end.checked_next_multiple_of(BLOCK_BYTES));
            return Ok(block);
        }
        guard.expect_pax(size)?;
        let padding = size.next_multiple_of(BLOCK_BYTES) - size;
        let records = essential_records(&mut self.input, size)?;
        let Some(records) = records else {
            // The tar reader finds the same: the archive ends in this header.
            return Ok(block);
        };
        io::copy(&mut self.input.by_ref().take(padding), &mut io::sink())?;
        header.set_size(records.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES as usize), 0);
        if let ExtensionKind::Pax = kind {
            guard.next_header.set(guard.position.get().checked_add(bytes.len() as u64));
        }
        Ok(bytes)
    }
}

/// Checks whether a block is a volume label without a size, as `tar --label` writes it. The tar reader would
/// take it for damage.
fn is_volume_label(block: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK_BYTES as usize]>::try_from(block) else { return false };
    let header = Header::from_byte_slice(block);
    header.entry_type().as_byte() == b'V'
        && header.as_old().size.iter().all(|byte| matches!(byte, 0 | b' ' | b'0'))
        && is_sound(header)
}

/// Checks whether a header's checksum is right.
fn is_sound(header: &Header) -> bool {
    let mut summed = header.clone();
    summed.set_cksum();
    matches!((header.cksum(), summed.cksum()), (Ok(found), Ok(expected)) if found == expected)
}

/// A header that describes the next entry, or all later entries.
struct Extension {
    header: Header,
    kind: ExtensionKind,
    size: u64,
}

enum ExtensionKind {
    /// The name or the link of the next entry.
    GnuName,
    /// The records for the next entry.
    Pax,
    /// The records for all later entries. The tar reader returns this header as an entry.
    PaxGlobal,
}

impl Extension {
    /// Returns the extension that the tar reader would see. A damaged header is left to the tar reader.
    fn of(block: &[u8]) -> Option<Self> {
        let block: &[u8; BLOCK_BYTES as usize] = block.try_into().ok()?;
        let header = Header::from_byte_slice(block);
        let is_of_known_form = header.as_gnu().is_some() || header.as_ustar().is_some();
        let kind = match header.entry_type() {
            EntryType::GNULongName | EntryType::GNULongLink if is_of_known_form => ExtensionKind::GnuName,
            EntryType::XHeader if is_of_known_form => ExtensionKind::Pax,
            EntryType::XGlobalHeader => ExtensionKind::PaxGlobal,
            _ => return None,
        };
        let size = header.entry_size().ok()?;
        is_sound(header).then(|| Self { header: header.clone(), kind, size })
    }
}
