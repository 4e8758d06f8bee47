//! Prints the tables of docs/explanation/performance.md.

/// A Markdown table whose columns are aligned right.
pub struct Table {
    columns: usize,
}

impl Table {
    /// Prints its head, below the text that describes it.
    pub fn begin(says: &str, columns: &[&str]) -> Self {
        println!("\n{says}\n");
        println!("| {} |", columns.join(" | "));
        println!("|{}", "--:|".repeat(columns.len()));
        Self { columns: columns.len() }
    }

    /// Prints a row.
    pub fn row(&self, cells: &[String]) {
        assert_eq!(cells.len(), self.columns, "{cells:?}");
        println!("| {} |", cells.join(" | "));
    }
}

/// Returns a number with this many digits after the decimal point, and separators between thousands.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut apart = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart + fraction
}

/// Returns a number of bytes in megabytes of 1,000,000.
pub fn megabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    number(megabytes, usize::from(megabytes < 99.95))
}
