//! Reads the commands in the documents: the blocks marked `sh`, `console` and `sql`.
//!
//! A test runs each block, or the line before it has a comment: `<!-- not run here: REASON -->`, or `<!-- run
//! by TEST -->` if another test runs the block as a whole.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

const LANGUAGES: [&str; 3] = ["sh", "console", "sql"];

/// The commands under a heading of a page, in order. A test must take all of them.
pub struct Section {
    title: String,
    lines: VecDeque<&'static str>,
}

impl Section {
    /// Returns the commands under a heading of a page below `docs/`.
    #[track_caller]
    pub fn of(page: &str, title: &str) -> Self {
        let (_, lines) = sections(read(&root().join("docs").join(page)).leak())
            .into_iter()
            .find(|(known, _)| *known == title)
            .unwrap_or_else(|| panic!("{page} has no commands below {title:?}"));
        Self { title: format!("{page}, {title}"), lines: lines.into() }
    }

    /// Returns the next command as it is printed. `part` says which command the test expects.
    #[track_caller]
    pub fn take(&mut self, part: &str) -> &'static str {
        let line = self
            .lines
            .pop_front()
            .unwrap_or_else(|| panic!("{} has no further command with {part:?}", self.title));
        assert!(line.contains(part), "{}: {part:?} is not in {line:?}", self.title);
        line
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        assert!(
            std::thread::panicking() || self.lines.is_empty(),
            "{}: nobody ran {:?}",
            self.title,
            self.lines
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Finds the files with one of these extensions in a directory and below it.
pub fn files(directory: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extensions, found);
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known))
        {
            found.push(path);
        }
    }
}

/// The mark in the comment before a block.
#[derive(Clone, Copy)]
enum Mark<'a> {
    NotRun(&'a str),
    RunBy(&'a str),
}

impl<'a> Mark<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let comment = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
        let not_run = comment.strip_prefix("not run here: ").map(Mark::NotRun);
        not_run.or_else(|| comment.strip_prefix("run by ").map(Mark::RunBy))
    }
}

/// Returns the blocks of a page that are commands: the heading, the mark and the lines.
fn blocks(text: &str) -> Vec<(&str, Option<Mark<'_>>, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut heading = "";
    let mut before = "";
    let mut open: Option<(bool, Option<Mark<'_>>, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some((LANGUAGES.contains(&language), Mark::of(before), Vec::new()));
            }
            (Some(_), Some(_)) => {
                if let Some((true, mark, lines)) = open.take() {
                    blocks.push((heading, mark, lines));
                }
                open = None;
            }
            (None, Some((_, _, lines))) => lines.push(line.trim()),
            (None, None) if line.starts_with('#') => heading = line.trim_start_matches('#').trim(),
            (None, None) => {}
        }
        before = line;
    }
    blocks
}

/// Returns the headings whose commands a test must run, with one command for each line.
fn sections(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for (heading, _, lines) in blocks(text).into_iter().filter(|(_, mark, _)| mark.is_none()) {
        match sections.last_mut().filter(|(known, _)| *known == heading) {
            Some((_, known)) => known.extend(lines),
            None => sections.push((heading, lines)),
        }
    }
    sections
}

/// A test types what a reader should type, or the page says why not.
#[test]
fn every_command_of_a_document_is_followed() {
    let mut sources = Vec::new();
    files(&root().join("tests"), &["rs"], &mut sources);
    let tests: String = sources.iter().map(|path| read(path)).collect();
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    files(&root().join("docs"), &["md"], &mut pages);
    let (mut followed, mut missing) = (0, Vec::new());
    for path in pages {
        let text = read(&path);
        let page = path.strip_prefix(root().join("docs")).unwrap_or(&path).display().to_string();
        for (heading, mark, lines) in blocks(&text) {
            let is_followed = match mark {
                Some(Mark::NotRun(reason)) => !reason.is_empty(),
                Some(Mark::RunBy(name)) => tests.contains(&format!("fn {name}(")),
                None => tests.contains(&format!("Section::of({page:?}, {heading:?})")),
            };
            followed += usize::from(is_followed);
            if !is_followed {
                missing.push(format!("{page}, {heading}: {lines:?}"));
            }
        }
    }
    assert!(missing.is_empty(), "no test follows\n{}", missing.join("\n"));
    assert!(followed > 30, "{followed}");
}

#[test]
fn marks_and_headings_are_read() {
    let page = "# A\n```sh\none\ntwo\n```\n```json\n{}\n```\n## B\n<!-- not run here: why -->\n```sh\nthree\n```\n   <!-- run by four -->\n   ```sql\n   # no heading\n   ```\n```sql\nfive\n```\n";
    assert_eq!(sections(page), [("A", vec!["one", "two"]), ("B", vec!["five"])]);
    let marks: Vec<bool> = blocks(page).iter().map(|(_, mark, _)| mark.is_some()).collect();
    assert_eq!(marks, [false, true, true, false]);
}
