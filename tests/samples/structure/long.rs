//! Longer than the twelve lines that a file of the sample may have.

pub const LINES: &[u8] = &[
    1, //
    2, //
    3, //
    4, //
    5, //
    6, //
    7, //
    8, //
    9, //
];

#[cfg(test)]
mod tests {
    #[test]
    fn a_test_is_no_line() {
        assert_eq!(super::LINES.len(), 9);
    }
}
