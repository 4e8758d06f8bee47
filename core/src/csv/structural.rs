//! Finds the bytes that have a meaning in CSV, 64 at a time.

use wide::u8x16;

/// The number of bytes checked together: as many as a word has bits.
pub(super) const BLOCK_BYTES: usize = 64;

/// One bit for each byte of a buffer: whether it is a delimiter, a comma, a quote, a CR or an LF.
pub(crate) struct StructuralIndex {
    delimiter: u8,
    words: Vec<u64>,
}

/// The positions of the marks in the buffer, from a position on.
pub(crate) struct Cursor<'a> {
    words: &'a [u64],
    index: usize,
    bits: u64,
}

impl StructuralIndex {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, words: Vec::new() }
    }

    /// Indexes `buffer` from `from` to `to`. Everything before `from` is indexed already, and nothing after
    /// it.
    pub(super) fn extend(&mut self, buffer: &[u8], from: usize, to: usize) {
        let first = from / BLOCK_BYTES;
        self.words.truncate(first);
        let begin = first * BLOCK_BYTES;
        let (blocks, rest) = buffer.get(begin..to).unwrap_or_default().as_chunks();
        self.words.extend(blocks.iter().map(|block| marks(block, self.delimiter)));
        if !rest.is_empty() {
            let mut block = [0; BLOCK_BYTES];
            block[..rest.len()].copy_from_slice(rest);
            let within = (1 << rest.len()) - 1;
            self.words.push(marks(&block, self.delimiter) & within);
        }
    }

    /// Forgets the first `blocks` blocks.
    pub(super) fn forget(&mut self, blocks: usize) {
        self.words.drain(..blocks.min(self.words.len()));
    }

    /// Returns the marks from a position on.
    #[inline]
    pub(crate) fn from(&self, at: usize) -> Cursor<'_> {
        let index = at / BLOCK_BYTES;
        let bits = self.words.get(index).map_or(0, |word| word & (u64::MAX << (at % BLOCK_BYTES)));
        Cursor { words: &self.words, index, bits }
    }
}

impl Iterator for Cursor<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.index += 1;
            self.bits = *self.words.get(self.index)?;
        }
        let at = self.index * BLOCK_BYTES + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(at)
    }
}

fn marks(block: &[u8; BLOCK_BYTES], delimiter: u8) -> u64 {
    let wanted = [delimiter, b',', b'"', b'\r', b'\n'].map(u8x16::splat);
    let (lanes, _) = block.as_chunks();
    let masks = lanes.iter().map(|lane| {
        let lane = u8x16::new(*lane);
        let hits = wanted.iter().fold(u8x16::ZERO, |hits, byte| hits | lane.simd_eq(*byte));
        u64::from(hits.to_bitmask())
    });
    masks.enumerate().fold(0, |word, (at, bits)| word | bits << (16 * at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_mark_is_found_and_nothing_else(
            text in "[a|,\"\r\n\u{0}é]{0,300}",
            steps in prop::collection::vec(1_usize..100, 1..9),
            from in 0_usize..300,
        ) {
            let text = text.as_bytes();
            let mut index = StructuralIndex::new(b'|');
            let mut seen = 0;
            for step in steps.iter().cycle() {
                let to = text.len().min(seen + step);
                // The bytes after `to` do not count, whatever the buffer contains.
                index.extend(&[&text[..to], b",,,".as_slice()].concat(), seen, to);
                seen = to;
                if seen == text.len() {
                    break;
                }
            }
            let expected: Vec<usize> = (from..text.len()).filter(|at| b"|,\"\r\n".contains(&text[*at])).collect();
            prop_assert_eq!(index.from(from).collect::<Vec<_>>(), expected);
        }
    }
}
