//! Recognises the form `YYYY-MM-DD HH:MM:SS[.f]`, eight bytes at a time. Most dates have this form, and it is
//! almost the form that is written.

/// The number of bytes of the form without its fraction.
const MOMENT_BYTES: usize = 19;

/// The number of digits of a fraction that is written.
const FRACTION_DIGITS: usize = 6;

/// A text of the form, with one to six digits of a fraction, if it has one. Zeros after these digits are not
/// part of it.
pub(crate) struct Canonical<'t> {
    text: &'t [u8],
    is_whole_second: bool,
}

impl<'t> Canonical<'t> {
    /// Accepts a text if it has the form and is certain to be a date: ASCII digits, with every field in range
    /// for any month of any year. Other texts may be dates, too.
    #[inline]
    pub(super) fn of(text: &'t [u8]) -> Option<Self> {
        let [date, clock, seconds] = [0, 8, 11].map(|at| text.get(at..)?.first_chunk::<8>());
        let date = Word::of(*date?, *b"0000-00-");
        let clock = Word::of(*clock?, *b"00 00:00");
        let seconds = Word::of(*seconds?, *b"00:00:00");
        let [century, _, year, _, _, month, ..] = date.pairs();
        let [day, _, _, hour, _, _, minute, _] = clock.pairs();
        let [.., second, _] = seconds.pairs();
        let is_date = (date.departs | clock.departs | seconds.departs) == 0
            && century | year != 0
            // Days 29 to 31 depend on month and year.
            && (1..=12).contains(&month)
            && (1..=28).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !is_date {
            return None;
        }
        // Further zeros are dropped.
        let (text, beyond) = text.split_at_checked(MOMENT_BYTES + 1 + FRACTION_DIGITS).unwrap_or((text, &[]));
        if beyond.iter().any(|byte| *byte != b'0') {
            return None;
        }
        match text.len() - MOMENT_BYTES {
            0 => Some(Self { text, is_whole_second: true }),
            length @ 2..=7 => {
                // The last eight bytes, without those before the fraction.
                let last = u64::from_le_bytes(*text.last_chunk()?) >> (8 * (8 - length));
                let fraction = Word::of((last | BEHIND[length]).to_le_bytes(), *b".0000000");
                (fraction.departs == 0).then_some(Self { text, is_whole_second: fraction.digits == 0 })
            }
            _ => None,
        }
    }

    /// Returns how many bytes of the text are written: without the fraction if it is all zeros.
    #[inline]
    pub(crate) fn kept_bytes(&self) -> usize {
        if self.is_whole_second { MOMENT_BYTES } else { self.text.len() }
    }

    /// Returns the zeros that are written after them, up to six digits of a fraction.
    #[inline]
    pub(crate) fn zeros(&self) -> &'static [u8] {
        let digits = if self.is_whole_second { FRACTION_DIGITS } else { self.text.len() - MOMENT_BYTES - 1 };
        b"000000".get(digits..).unwrap_or_default()
    }
}

/// The zeros that fill up a word, by the number of bytes before them: a dot and digits.
const BEHIND: [u64; 8] = {
    let mut behind = [0; 8];
    let mut length = 1;
    while length < 8 {
        behind[length] = u64::from_le_bytes(*b"00000000") << (8 * length);
        length += 1;
    }
    behind
};

/// Eight bytes of text, compared with a form in which `0` means a digit.
struct Word {
    /// The values of the digits, and 0 where there is no digit.
    digits: u64,
    /// A number that is not 0 if the text does not have the form.
    departs: u64,
}

impl Word {
    #[inline]
    fn of(text: [u8; 8], form: [u8; 8]) -> Self {
        // A digit becomes its value, and any other byte of the form becomes 0. With this added, no byte that
        // fits reaches 0x80.
        let most = form.map(|byte| if byte == b'0' { 0x80 - 10 } else { 0x80 - 1 });
        let digits = u64::from_le_bytes(text) ^ u64::from_le_bytes(form);
        let above = digits.wrapping_add(u64::from_le_bytes(most)) | digits;
        Self { digits, departs: above & u64::from_le_bytes([0x80; 8]) }
    }

    /// Returns at each position the number of the digit there and the next: at most 99, so that no byte
    /// carries over.
    #[inline]
    fn pairs(&self) -> [u8; 8] {
        self.digits.wrapping_mul(10).wrapping_add(self.digits >> 8).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Canonical;

    /// Returns what is written, computed byte by byte.
    fn by_the_letter(text: &[u8]) -> Option<Vec<u8>> {
        let form = b"0000-00-00 00:00:00";
        let (moment, behind) = text.split_at_checked(form.len())?;
        let is_formed = moment.iter().zip(form).all(|(byte, of)| match of {
            b'0' => byte.is_ascii_digit(),
            _ => byte == of,
        });
        let number = |at: usize| std::str::from_utf8(&moment[at..at + 2]).ok()?.parse::<u8>().ok();
        let is_date = is_formed
            && !moment.starts_with(b"0000")
            && (1..=12).contains(&number(5)?)
            && (1..=28).contains(&number(8)?)
            && number(11)? < 24
            && number(14)? < 60
            && number(17)? < 60;
        let fraction = match behind {
            [] => behind,
            [b'.', digits @ ..] if !digits.is_empty() && digits.iter().skip(6).all(|byte| *byte == b'0') => {
                &digits[..digits.len().min(6)]
            }
            _ => return None,
        };
        if !is_date || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let fraction = format!("{:0<6}", std::str::from_utf8(fraction).ok()?);
        let behind = if fraction == "000000" { String::new() } else { format!(".{fraction}") };
        Some([moment, behind.as_bytes()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_date_is_judged_as_by_the_letter(
            numbers in (0_u16..2, 0_u8..15, 0_u8..33, 0_u8..27, 0_u8..64, 0_u8..64),
            fraction in prop_oneof![Just(String::new()), "[.][0-9]{0,8}", "[.]0{1,8}", "[.][0-9]{6}0{0,4}", "[.,]?[0-9a/:]{0,7}"],
            change in prop::option::weighted(0.3, (0_usize..27, any::<u8>())),
        ) {
            let (year, month, day, hour, minute, second) = numbers;
            let year = u32::from(year) * 2024;
            let mut text =
                format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}").into_bytes();
            if let Some((at, byte)) = change
                && let Some(changed) = text.get_mut(at)
            {
                *changed = byte;
            }
            let written = Canonical::of(&text)
                .map(|date| [&text[..date.kept_bytes()], date.zeros()].concat());
            prop_assert_eq!(written, by_the_letter(&text));
        }

        #[test]
        fn any_other_text_is_judged_as_by_the_letter(text in "[0-9:. -]{0,30}") {
            prop_assert_eq!(Canonical::of(text.as_bytes()).is_some(), by_the_letter(text.as_bytes()).is_some());
        }
    }
}
