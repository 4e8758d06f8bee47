//! Generates the JSON Schemas of what `--json` prints from the printed types. The program itself does not use
//! them: a test compares them with `docs/reference/schemas/`.

use cmslite_core::config;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::completions::Completions;
use super::output::{Document, NoResult};
use crate::check::Check;
use crate::dry_run::DryRun;
use crate::init::Initialised;
use crate::report::{ErrorFile, ReportJson};
use crate::show::Archive;
use crate::status::Status;
use crate::validate::Validations;

/// Returns each schema with its name, which is that of the subcommand.
pub(super) fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("load", document::<ReportJson<'_>>("`load --json`")),
        ("load-dry-run", document::<DryRun>("`load --dry-run --json`")),
        ("check", document::<Check>("`check --json`")),
        ("status", document::<Status>("`status --json`")),
        ("validate", document::<Validations>("`validate --json`")),
        ("show", document::<Archive>("`show --json`")),
        ("init", document::<Initialised>("`init --json`")),
        ("completions", document::<Completions>("`completions --json`")),
        ("error", document::<NoResult>("any subcommand with `--json` that has no result")),
        ("error-file", of::<ErrorFile<'_>>("The object beside a bad marker: NAME.tgz.error.json")),
        // Made from the tables that the parser uses.
        ("dataset", config::schema().try_into().unwrap_or_default()),
    ]
}

/// Returns the schema of a subcommand's document.
fn document<T: JsonSchema>(of_what: &str) -> Schema {
    of::<Document<'_, T>>(&format!("What is printed by {of_what}"))
}

/// Returns the schema of a type as it is written, with a title.
fn of<T: JsonSchema>(title: &str) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema
}
