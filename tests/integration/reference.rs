//! Tests documents that are generated from the program: its help as a page and as manual pages, and the
//! schemas of its JSON. They are in `docs/reference/`, so that readers do not need the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use cmslite_user_data_to_redshift::cli;

use crate::harness::PROGRAM;

/// What renews them.
const RENEW: &str = "CMSLITE_RENEW=1 cargo test --test integration reference";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference")
}

/// Whether files of `docs/reference/` are as they would be made now; with [`RENEW`] they are made anew.
fn are_current(part: &str, files: &[(String, String)]) {
    let directory = directory().join(part);
    if env::var_os("CMSLITE_RENEW").is_some() {
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
    }
    for (name, text) in files {
        let path = directory.join(name);
        let there = fs::read_to_string(&path).unwrap_or_default();
        let line = there.lines().zip(text.lines()).position(|(there, made)| there != made);
        assert!(there == *text, "{} is stale, from line {line:?} on; {RENEW} makes it anew", path.display());
    }
    if !part.is_empty() {
        let there = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
        let needless: Vec<_> = there.filter(|name| !files.iter().any(|(made, _)| **made == **name)).collect();
        assert!(needless.is_empty(), "{}: nothing makes {needless:?}", directory.display());
    }
}

/// The command and its subcommands, with the options that all of them have.
fn commands() -> Vec<clap::Command> {
    let mut root = cli::command().term_width(80);
    root.build();
    let subcommands = root.get_subcommands().filter(|command| command.get_name() != "help").cloned();
    let subcommands: Vec<clap::Command> = subcommands.map(|command| command.term_width(80)).collect();
    [vec![root], subcommands].concat()
}

#[test]
fn schemas_are_those_of_the_types() {
    let text = |schema| serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let files =
        cli::schemas().into_iter().map(|(name, schema)| (format!("{name}.schema.json"), text(schema)));
    are_current("schemas", &files.collect::<Vec<_>>());
}

#[test]
fn the_page_of_the_command_is_its_help() {
    let mut page = "# The command line\n\n\
        Every subcommand and every option, as `--help` shows them. This page is made of the program.\n"
        .to_owned();
    for mut command in commands() {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }
    are_current("", &[("cli.md".to_owned(), page)]);
}

#[test]
fn manual_pages_are_the_help() {
    let page = |command: &clap::Command| {
        let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).title(name.clone()).render(&mut page).unwrap();
        (format!("{name}.1"), String::from_utf8(page).unwrap())
    };
    are_current("man", &commands().iter().map(page).collect::<Vec<_>>());
}

/// The help as it is printed, which is what people see.
#[test]
fn help_fits_eighty_columns_and_says_how_it_is_used_and_how_it_ends() {
    let names: Vec<String> = commands().iter().skip(1).map(|command| command.get_name().to_owned()).collect();
    assert!(names.iter().any(|name| name == "load"), "{names:?}");
    for name in [""].into_iter().chain(names.iter().map(String::as_str)) {
        for option in ["-h", "--help"] {
            let mut command = Command::new(PROGRAM);
            command.args([name, option].iter().filter(|argument| !argument.is_empty())).env_clear();
            let help = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let wide = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{name} {option}");
            for words in ["Usage: ", "Output:\n", "Exit status:\n  0  "] {
                assert!(help.contains(words), "{name} {option}: {words} is not in {help}");
            }
            let is_long = option == "--help";
            assert!(
                !is_long || help.contains("Examples:\n") || help.contains("First steps"),
                "{name}: {help}"
            );
        }
    }
}
