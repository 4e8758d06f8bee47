//! Generates scripts that complete the command in a shell: subcommands, options, files, and the names of
//! datasets.

use std::fmt;

use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use schemars::JsonSchema;
use serde::Serialize;

use super::args::Arguments;
use crate::report::FORMAT_VERSION;

/// The argument that names a dataset or its configuration file.
const CONFIG: &str = "config";

/// A completion script for a shell.
#[derive(Serialize, JsonSchema)]
pub(super) struct Completions {
    /// The version of this form.
    version: u32,
    /// The shell's name.
    shell: String,
    /// The script.
    script: String,
}

impl Completions {
    /// Generates the script that completes the command in a shell, with the names of the present datasets.
    pub(super) fn new(shell: Shell, datasets: Vec<String>) -> Self {
        Self { version: FORMAT_VERSION, shell: shell.to_string(), script: script(shell, datasets) }
    }
}

impl fmt::Display for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)
    }
}

fn script(shell: Shell, datasets: Vec<String>) -> String {
    // A shell reads the names, so characters with a special meaning are left out.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let datasets: Vec<String> = datasets.into_iter().filter(|name| name.chars().all(is_plain)).collect();
    let names = datasets.join(" ");
    let mut command = Arguments::command();
    let has_config = |command: &&Command| command.get_arguments().any(|argument| argument.get_id() == CONFIG);
    let subcommands: Vec<String> =
        command.get_subcommands().filter(has_config).map(|command| command.get_name().to_owned()).collect();
    if !datasets.is_empty() {
        for subcommand in &subcommands {
            command = command.mut_subcommand(subcommand, |command| {
                command.mut_arg(CONFIG, |config| {
                    config.value_parser(PossibleValuesParser::new(datasets.clone()))
                })
            });
        }
    }
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, env!("CARGO_PKG_NAME"), &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6.11 has two names for a subcommand of a command with a hyphen in its name, so that
        // nothing after the subcommand is completed. If no dataset's name matches, bash completes files.
        Shell::Bash => {
            let name = env!("CARGO_PKG_NAME");
            script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
        }
        _ if datasets.is_empty() => script,
        // Without this replacement, zsh would complete only names, and no files.
        Shell::Zsh => script.replace(
            &format!(":({names})' \\"),
            &format!(":{{_alternative \"datasets:dataset:({names})\" \"files:file:_files\"}}' \\"),
        ),
        // clap_complete does not support positional arguments here.
        Shell::Fish => {
            let name = env!("CARGO_PKG_NAME");
            let subcommands = subcommands.join(" ");
            let condition = format!("__fish_seen_subcommand_from {subcommands}");
            format!("{script}complete -c {name} -n \"{condition}\" -a \"{names}\" -d 'Dataset'\n")
        }
        _ => script,
    }
}
