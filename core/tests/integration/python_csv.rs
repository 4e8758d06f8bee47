//! Compares tables with Python's own `csv` in strict mode. What Python refuses, or reads as rows of different
//! widths, is refused here; what is accepted here has the cells that Python reads.
//!
//! `CSV_CASES` sets the number of texts that are compared, and `CSV_SEED` chooses other texts than the usual
//! ones: `CSV_CASES=1000000 CSV_SEED=$RANDOM cargo test -p cmslite-core --test integration python_csv`.

use cmslite_core::config::{self, Dataset};
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::transform::Transform;

use crate::python;
use crate::random::Random;

type Rows = Vec<Vec<String>>;

/// The parts of cells. Characters with a meaning in CSV are more frequent than others.
const PIECES: [&str; 24] = [
    "a", "b", "7", "007", "1.5", " ", "  ", "\t", ",", ";", "|", "\"", "\"\"", "\\", "\\\"", "\n", "\r\n",
    "\r", "é", "🌲", "-", "x y", "'", "",
];

/// The texts that a mutation inserts.
const ODD: [&str; 16] = [
    ",", ";", "\"", "\"\"", "\n", "\r", "\r\n", "\\", " ", "\t", "x", "\u{feff}", "\u{1a}", ",,", "\n\n",
    " \"",
];

struct Question {
    text: String,
    delimiter: char,
    columns: usize,
    /// Whether the widths of the rows and the written text were left unchanged.
    is_sound: bool,
}

fn cell(random: &mut Random) -> String {
    (0..random.below(5)).map(|_| random.pick(&PIECES)).collect()
}

/// Returns rows as the `csv` crate writes them.
fn written(random: &mut Random, rows: &Rows, delimiter: char) -> String {
    let style =
        random.pick(&[csv::QuoteStyle::Necessary, csv::QuoteStyle::Always, csv::QuoteStyle::NonNumeric]);
    let end = random.pick(&[csv::Terminator::CRLF, csv::Terminator::Any(b'\n')]);
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter as u8)
        .quote_style(style)
        .terminator(end)
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

fn question(random: &mut Random) -> Question {
    let columns = 1 + random.below(4);
    let width = if random.one_in(5) { columns + 1 + random.below(2) } else { columns };
    let delimiter = random.pick(&[',', ',', ';', '|', '\t']);
    let mut rows: Rows = vec![(0..width).map(|at| format!("column {at}")).collect()];
    for _ in 0..random.below(5) {
        rows.push((0..width).map(|_| cell(random)).collect());
    }
    let mut is_sound = true;
    if random.one_in(4) {
        is_sound = false;
        let at = random.below(rows.len());
        if random.one_in(2) {
            rows[at].push(cell(random));
        } else if rows[at].len() > 1 {
            rows[at].pop();
        }
    }
    let mut text = written(random, &rows, delimiter);
    if random.one_in(2) {
        is_sound = false;
        for _ in 0..=random.below(3) {
            text = mutated(random, &text);
        }
    }
    Question { text, delimiter, columns, is_sound }
}

fn mutated(random: &mut Random, text: &str) -> String {
    let mut text: Vec<char> = text.chars().collect();
    let at = random.below(text.len() + 1);
    let end = (at + 1 + random.below(6)).min(text.len());
    match random.below(5) {
        0 => drop(text.drain(at..end)),
        1 => text.extend_from_within(at..end),
        2 if at < text.len() => {
            let other = random.below(text.len());
            text.swap(at, other);
        }
        3 => text.truncate(at),
        _ => drop(text.splice(at..at, random.pick(&ODD).chars())),
    }
    text.into_iter().collect()
}

fn ask_python(questions: &[Question]) -> Vec<Option<Rows>> {
    let asked: Vec<_> = questions.iter().map(|question| (&question.text, question.delimiter)).collect();
    let answers = python::ask(include_str!("python_csv.py"), &asked);
    assert_eq!(answers.len(), questions.len(), "python3 answers every question");
    answers.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn dataset(columns: usize, delimiter: char) -> Dataset {
    let names: Vec<String> = (0..columns).map(|at| format!("column {at}")).collect();
    let config = serde_json::json!({
        "bucket": "b", "source": "s", "destination": "d", "directory": "x", "doc": ".*", "schema": "t", "truncate": true,
        "delim": delimiter.to_string(),
        "files": {"m": {"dbtable": "m", "column_count": columns, "columns": names, "dateformat": []}}
    });
    config::parse("d.json", &config.to_string()).unwrap()
}

/// Returns the rows that are staged of a text, or why it is refused.
fn staged(question: &Question) -> Result<Rows, String> {
    let dataset = dataset(question.columns, question.delimiter);
    let table = dataset.table_of("m").unwrap();
    let (mut out, mut problems) = (Vec::new(), Problems::default());
    let progress = Progress::default();
    let transform = Transform { member: "m.csv", table, dataset: &dataset, limits: &[], progress: &progress };
    transform.run(question.text.as_bytes(), &mut out, &mut problems).unwrap();
    if !problems.is_empty() {
        return Err(problems.to_string());
    }
    let mut reader = csv::Reader::from_reader(out.as_slice());
    Ok(reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect())
}

/// Returns the rows of a table that are loaded; `None` if there is no header or it is too short, or if a row
/// does not fit it. Blank lines and rows of empty cells are not rows, and a row may have more cells than the
/// header if they are empty.
fn rectangular(rows: &Rows, columns: usize) -> Option<Rows> {
    let mut rows = rows.iter().filter(|row| !row.is_empty());
    let width = rows.next()?.len();
    let mut loaded = Rows::new();
    for row in rows.filter(|row| row.iter().any(|cell| !cell.is_empty())) {
        if row.len() < width || row.iter().skip(width).any(|cell| !cell.is_empty()) {
            return None;
        }
        loaded.push(row.iter().take(columns).cloned().collect());
    }
    (width >= columns).then_some(loaded)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn what_python_refuses_is_refused_and_what_is_accepted_is_what_it_reads() {
    let seed = number("CSV_SEED", 1);
    let count = number("CSV_CASES", 20_000);
    println!("CSV_SEED={seed} CSV_CASES={count}");
    let mut random = Random(seed);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..count.div_ceil(20_000) {
        let questions: Vec<Question> = (0..count.min(20_000)).map(|_| question(&mut random)).collect();
        for (question, answer) in questions.iter().zip(ask_python(&questions)) {
            let Question { text, columns, is_sound, .. } = question;
            // A byte order mark and an end-of-file mark are passed over here, but are text to Python.
            let is_marked = text.starts_with('\u{feff}') || text.ends_with('\u{1a}');
            let expected = answer.as_ref().and_then(|rows| rectangular(rows, *columns));
            match staged(question) {
                Ok(rows) if is_marked => drop(rows),
                Ok(rows) => {
                    accepted += 1;
                    assert_eq!(Some(rows), expected, "CSV_SEED={seed}, {text:?}: {answer:?}");
                }
                Err(problems) => {
                    refused += 1;
                    assert!(!is_sound, "CSV_SEED={seed}, {text:?} is refused: {problems}");
                }
            }
        }
    }
    println!("accepted {accepted}, refused {refused}");
    assert!(accepted > count / 4 && refused > count / 4, "accepted {accepted}, refused {refused}");
}
