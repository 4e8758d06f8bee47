//! Decides where colours are shown, and colours the words that begin certain lines.
//!
//! Texts are written without colours, so that a log or a mail can use them unchanged. The first words of
//! their lines are coloured here. None of these lines begins with untrusted text.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// The choice of when colours are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set; elsewhere if `CLICOLOR_FORCE` is set.
    #[default]
    Auto,
    /// Always, also where there is no terminal.
    Always,
    /// Never.
    Never,
}

impl When {
    /// Finds the choice of colours in the arguments. It also applies to clap's own messages, and if the
    /// command line is wrong.
    pub(super) fn said(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut said = Self::Auto;
        let mut is_next = false;
        for argument in arguments.skip(1).take_while(|argument| argument != "--") {
            let Some(argument) = argument.to_str() else { continue };
            let value = if is_next { Some(argument) } else { argument.strip_prefix("--color=") };
            is_next = argument == "--color";
            said = value.and_then(|value| Self::from_str(value, false).ok()).unwrap_or(said);
        }
        said
    }

    /// Applies the choice from now on.
    pub(super) fn keep(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Checks whether a stream shows colours.
fn is_shown(stream: &impl anstream::stream::RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Returns a text in the form for a stream.
pub(super) fn painted_for<'t>(stream: &impl anstream::stream::RawStream, text: &'t str) -> Cow<'t, str> {
    if is_shown(stream) { Cow::Owned(painted(text)) } else { Cow::Borrowed(text) }
}

const PLAIN: Style = Style::new();
const BOLD: Style = PLAIN.bold();
const RED: Style = BOLD.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const YELLOW: Style = PLAIN.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const GREEN: Style = PLAIN.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const CYAN: Style = PLAIN.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));

/// The beginnings of lines that are coloured, after their indentation.
const BEGINNINGS: [(&str, Style); 16] = [
    ("Report:", BOLD),
    ("Status:", BOLD),
    ("Check:", BOLD),
    ("Dry run:", BOLD),
    ("error:", RED),
    ("error[", RED),
    ("BAD ", RED),
    ("Bad:", RED),
    ("Ended early:", RED),
    ("WARNING:", YELLOW),
    ("note ", YELLOW),
    ("ok ", GREEN),
    ("good ", GREEN),
    ("->", CYAN),
    ("because:", BOLD),
    ("what to do:", CYAN),
];

/// The deepest indentation of a coloured line, except for remedies: deeper lines have untrusted names.
const DEEPEST: usize = 2;

fn painted(text: &str) -> String {
    let mut painted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let words = line.trim_start_matches(' ');
        let (indentation, words) = line.split_at(line.len() - words.len());
        let found = BEGINNINGS.iter().find(|(beginning, _)| words.starts_with(beginning));
        painted.push_str(indentation);
        match found {
            Some((beginning, style)) if indentation.len() <= DEEPEST || *beginning == "->" => {
                // The error's type is in its brackets.
                let end = if beginning.ends_with('[') { words.find("]:").map(|at| at + 2) } else { None };
                let (word, rest) = words.split_at(end.unwrap_or(beginning.len()));
                let _ = write!(painted, "{style}{word}{style:#}{rest}");
            }
            _ => painted.push_str(words),
        }
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_with_which_lines_begin_are_painted() {
        let text = "Check: x\n  BAD   login: no\n        -> do it\n    BAD name\n";
        let plain = painted(text).replace("\u{1b}[0m", "");
        let expected = "\u{1b}[1mCheck: x\n  \u{1b}[1m\u{1b}[31mBAD   login: no\n        \u{1b}[36m-> do it\n    BAD name\n";
        assert_eq!(plain, expected);
        let error = painted("error[Retryable.Unknown]: it ended\n");
        assert_eq!(error, "\u{1b}[1m\u{1b}[31merror[Retryable.Unknown]:\u{1b}[0m it ended\n");
    }

    #[test]
    fn what_the_command_line_says_of_colours_is_found_before_it_is_understood() {
        for (arguments, said) in [
            ("x status", When::Auto),
            ("x --color never status", When::Never),
            ("x load --no-such --color=always", When::Always),
            ("x load -- --color=always", When::Auto),
            ("x load --color=pink", When::Auto),
        ] {
            assert_eq!(When::said(arguments.split(' ').map(OsString::from)), said, "{arguments}");
        }
    }
}
