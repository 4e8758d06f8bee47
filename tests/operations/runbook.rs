//! docs/runbook.md as a list of what it has its reader type.

use std::collections::VecDeque;

const TEXT: &str = include_str!("../../docs/runbook.md");

/// The commands under a heading, in their order. All of them must be taken.
pub struct Section {
    title: &'static str,
    lines: VecDeque<&'static str>,
}

impl Section {
    pub fn of(title: &str) -> Self {
        let (title, lines) = sections()
            .into_iter()
            .find(|(known, _)| *known == title)
            .unwrap_or_else(|| panic!("no commands below {title:?}"));
        Self { title, lines: lines.into() }
    }

    /// The next command, as it is documented; `part` says which one the test takes it for.
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

/// The headings with commands below them, each line of a block a command.
fn sections() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut sections = Vec::new();
    let mut is_code = false;
    for line in TEXT.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && line.starts_with('#') {
            sections.push((line.trim_start_matches('#').trim(), Vec::new()));
        } else if let Some((_, lines)) = sections.last_mut().filter(|_| is_code) {
            lines.push(line.trim());
        }
    }
    sections.retain(|(_, lines)| !lines.is_empty());
    sections
}

/// The lines of a page's blocks in one language, in their order: each is a command or a statement.
pub fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut is_wanted = None;
    for line in text.lines() {
        if let Some(begin) = line.trim_start().strip_prefix("```") {
            is_wanted = if is_wanted.is_none() { Some(begin == language) } else { None };
        } else if is_wanted == Some(true) {
            lines.push(line.trim());
        }
    }
    lines
}

/// A section that is new in the runbook needs a test that follows it.
#[test]
fn every_section_with_commands_is_followed() {
    let tests = [
        include_str!("reader.rs"),
        include_str!("alarms.rs"),
        include_str!("by_hand.rs"),
        include_str!("moving_over.rs"),
    ]
    .concat();
    let sections = sections();
    assert!(sections.len() > 8);
    for (title, _) in sections {
        assert!(tests.contains(&format!("Section::of({title:?})")), "no test follows {title:?}");
    }
}
