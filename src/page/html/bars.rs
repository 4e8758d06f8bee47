//! Draws bars for the last loads, as SVG.

use maud::{Markup, html};

use crate::page::words::number;

/// The distance from the start of one bar to the next (`STEP`), and the width of a bar (`WIDTH`).
const STEP: usize = 10;
const WIDTH: usize = 8;

/// The heights of the highest and the lowest bar. The lowest also means no rows.
const HIGHEST: u64 = 32;
const LOWEST: u64 = 1;

/// Returns a bar for each known number, in order. The label has the numbers, for readers who cannot see the
/// bars.
pub fn bars(table: &str, rows: &[Option<u64>]) -> Markup {
    let most = rows.iter().flatten().copied().max().unwrap_or_default();
    let width = rows.len() * STEP;
    let told: Vec<String> = rows.iter().map(|rows| rows.map_or("not known".to_owned(), number)).collect();
    let label = format!("Rows of {table} in each of the last loads, oldest first: {}", told.join("; "));
    html! {
        svg.bars role="img" aria-label=(label) width=(width) height=(HIGHEST) viewBox={ "0 0 " (width) " " (HIGHEST) } {
            @for (n, rows) in rows.iter().enumerate() {
                @if let Some(rows) = rows {
                    @let height = height(*rows, most);
                    rect x=(n * STEP + (STEP - WIDTH) / 2) y=(HIGHEST - height) width=(WIDTH) height=(height) {}
                }
            }
        }
    }
}

/// Returns the height of a bar in proportion to `most`, which gets the highest bar.
fn height(rows: u64, most: u64) -> u64 {
    let share = u128::from(rows) * u128::from(HIGHEST) / u128::from(most.max(1));
    u64::try_from(share).unwrap_or(HIGHEST).clamp(LOWEST, HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_share_of_the_most() {
        for (rows, most, expected) in
            [(0, 0, 1), (0, 10, 1), (5, 10, 16), (10, 10, 32), (1, u64::MAX, 1), (u64::MAX, u64::MAX, 32)]
        {
            assert_eq!(height(rows, most), expected, "{rows} of {most}");
        }
        let svg = bars("s.t", &[Some(10), None, Some(1_000)]).into_string();
        assert_eq!(svg.matches("<rect").count(), 2, "{svg}");
        assert!(svg.contains("oldest first: 10; not known; 1,000\""), "{svg}");
    }
}
