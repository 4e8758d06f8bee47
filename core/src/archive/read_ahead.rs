//! Reads ahead of the consumer, on a separate thread, by a few buffers.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, Scope};

/// The number of bytes handed over at once. It is large enough to make the cost of the handover negligible,
/// and small enough to stay in a core's cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// The number of buffers: one being filled, one being read, and two in between.
const BUFFERS: usize = 4;

/// A reader of another reader's bytes, in their order, with that reader's error.
pub struct ReadAhead {
    filled: Receiver<io::Result<Vec<u8>>>,
    emptied: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    has_ended: bool,
}

impl ReadAhead {
    /// Reads `reader` on a thread of `scope`, to its end, to its first error, or until the consumer stops.
    ///
    /// # Errors
    ///
    /// The system's error when it cannot start a thread.
    pub fn start<'scope, R: Read + Send + 'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut reader: R,
    ) -> io::Result<Self> {
        let (to_reader, filled) = sync_channel(BUFFERS - 2);
        let (emptied, from_reader) = channel();
        for _ in 0..BUFFERS {
            let _ = emptied.send(vec![0; BUFFER_BYTES]);
        }
        Builder::new()
            .name("read-ahead".to_owned())
            .spawn_scoped(scope, move || run(&mut reader, &from_reader, &to_reader))?;
        Ok(Self { filled, emptied, current: Vec::new(), at: 0, has_ended: false })
    }
}

/// Fills empty buffers and sends them. An empty buffer marks the end.
fn run(reader: &mut impl Read, emptied: &Receiver<Vec<u8>>, filled: &SyncSender<io::Result<Vec<u8>>>) {
    while let Ok(mut buffer) = emptied.recv() {
        // Only the last buffers are shorter, so that hardly any byte is set before it is read.
        buffer.resize(BUFFER_BYTES, 0);
        let (count, result) = fill(reader, &mut buffer);
        buffer.truncate(count);
        if count > 0 && filled.send(Ok(buffer)).is_err() {
            return;
        }
        if count < BUFFER_BYTES {
            let _ = filled.send(result.map(|()| Vec::new()));
            return;
        }
    }
}

/// Fills a buffer up to its end, the end of the input, or an error. The bytes before the error are in the
/// buffer.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut at = 0;
    while let Some(rest) = buffer.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}

impl Read for ReadAhead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() && !self.has_ended {
            let next = self
                .filled
                .recv()
                .map_err(|_| io::Error::other("the thread that reads ahead ended before its reader did"))?;
            let emptied = std::mem::replace(&mut self.current, next.inspect_err(|_| self.has_ended = true)?);
            self.at = 0;
            self.has_ended = self.current.is_empty();
            let _ = self.emptied.send(emptied);
        }
        let count = self.current.get(self.at..).unwrap_or_default().read(into)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::thread::scope;

    /// A source of random-looking bytes in small portions, followed by an error if there is one.
    struct Source {
        left: usize,
        crumb: usize,
        error: bool,
        number: u32,
    }

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.number = self.number.wrapping_mul(0x9e37_79b9).wrapping_add(1);
            if self.number.is_multiple_of(7) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = buffer.len().min(self.left).min(1 + self.number as usize % self.crumb);
            if count == 0 && self.error {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "corrupt"));
            }
            for byte in &mut buffer[..count] {
                self.left -= 1;
                *byte = self.left.wrapping_mul(31).to_le_bytes()[1];
            }
            Ok(count)
        }
    }

    fn all(mut reader: impl Read) -> (Vec<u8>, Option<String>) {
        let mut bytes = Vec::new();
        let error = reader.read_to_end(&mut bytes).err().map(|error| error.to_string());
        (bytes, error)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_is_read_ahead_is_what_the_reader_gives(
            left in 0_usize..3_000_000,
            crumb in 1_usize..900_000,
            error in any::<bool>(),
            whole in 0_usize..6,
        ) {
            for left in [left, whole * BUFFER_BYTES] {
                let source = || Source { left, crumb, error, number: 1 };
                let ahead = scope(|scope| all(ReadAhead::start(scope, source()).unwrap()));
                prop_assert!(ahead == all(source()));
            }
        }
    }

    #[test]
    fn a_reader_without_end_is_left_when_nobody_reads() {
        scope(|scope| {
            let mut first = [0; 10];
            ReadAhead::start(scope, io::repeat(7)).unwrap().read_exact(&mut first).unwrap();
            assert_eq!(first, [7; 10]);
        });
    }

    #[test]
    fn no_more_is_read_than_the_buffers_hold() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        struct Counting(Arc<AtomicUsize>);
        impl Read for Counting {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.fetch_add(buffer.len(), Ordering::SeqCst);
                Ok(buffer.len())
            }
        }
        let count = Arc::new(AtomicUsize::new(0));
        scope(|scope| {
            let mut ahead = ReadAhead::start(scope, Counting(Arc::clone(&count))).unwrap();
            ahead.read_exact(&mut vec![0; 10 * BUFFER_BYTES]).unwrap();
        });
        assert!(count.load(Ordering::SeqCst) <= (10 + BUFFERS) * BUFFER_BYTES, "{count:?}");
    }
}
