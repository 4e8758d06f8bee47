//! Writes the guess as text for a person.

use std::fmt;

use cmslite_core::guess::{ColumnGuess, ColumnKind, MemberGuess};
use cmslite_core::text::one_line;

use super::Initialised;

impl fmt::Display for Initialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (config, ddl) = (one_line(&self.config), one_line(&self.ddl));
        let archive = one_line(&self.validation.key);
        writeln!(f, "Wrote {config} and {ddl} from the contents of {archive}.")?;
        writeln!(f, "Guessed; check each line, and edit what is wrong:")?;
        writeln!(f, "  delimiter: {:?}", self.guess.delimiter)?;
        match &self.guess.null_as {
            Some(null_as) => writeln!(f, "  NULL: a cell that is {null_as:?}")?,
            None => writeln!(f, "  NULL: no text means NULL")?,
        }
        writeln!(f, "  archives: keys that end with a match of {}", one_line(&self.doc))?;
        if self.truncate {
            writeln!(f, "  truncate: a load replaces the rows of the tables (--append: it adds to them)")?;
        } else {
            writeln!(f, "  truncate: a load adds to the rows of the tables")?;
        }
        for member in &self.guess.members {
            write_member(f, member)?;
        }
        if self.validation.is_bad() {
            writeln!(f, "With these files the archive is bad:")?;
            write!(f, "{}", self.validation)?;
        } else {
            writeln!(f, "With these files the archive is good.")?;
        }
        if !self.to_fill_in.is_empty() {
            writeln!(f, "To be filled in, in {config}: {}", self.to_fill_in.join(", "))?;
        }
        writeln!(f, "Next:")?;
        writeln!(f, "  check --offline {config}")?;
        writeln!(f, "          checks the configuration, and shows what it means")?;
        writeln!(f, "  validate {config} FILE... --ddl {ddl}")?;
        writeln!(f, "          checks other archives")?;
        writeln!(f, "  check {config}")?;
        writeln!(f, "          after you run {ddl}: checks everything that a load needs")
    }
}

fn write_member(f: &mut fmt::Formatter<'_>, member: &MemberGuess) -> fmt::Result {
    let MemberGuess { file, table, rows, columns, .. } = member;
    writeln!(f, "  {} -> table {table}: {rows} rows, {} columns", one_line(file), columns.len())?;
    for column in columns {
        writeln!(f, "    {}", described(column))?;
    }
    Ok(())
}

fn described(column: &ColumnGuess) -> String {
    let ColumnGuess { header, name, kind, longest_bytes, filled } = column;
    let named = if header == name { String::new() } else { format!(" (in the header {header:?})") };
    let what = match kind {
        _ if *filled == 0 => format!("{}, since it has no value", kind.sql()),
        ColumnKind::Text { .. } => format!("{}, the longest text has {longest_bytes} bytes", kind.sql()),
        ColumnKind::Boolean => kind.sql(),
        ColumnKind::Date { format, or } if or.is_empty() => format!("{}, written {format}", kind.sql()),
        ColumnKind::Date { format, or } => {
            format!("{}, written {format}, or is it {}?", kind.sql(), or.join(" or "))
        }
    };
    format!("{name}{named}: {what}")
}
