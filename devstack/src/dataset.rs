//! Prepares a stack for a dataset: the shipped one, or one of the user's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use tempfile::TempDir;

use crate::redshift::postgresql_ddl;
use crate::stack::{self, LOADER, Stack};

/// The reason why a dataset cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file's path.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The configuration lacks something that is needed here. The loader reports more about it.
    #[error("{path}: {source}; `check --offline` says more")]
    Configuration {
        /// The file's path.
        path: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// Redshift would refuse the statements that create the tables.
    #[error("{path}: {reason}")]
    Statements {
        /// The file's path.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The database failed.
    #[error("{0}")]
    Stack(#[from] stack::Error),
}

/// The part of a configuration that the local stack needs.
#[derive(Debug)]
pub struct Dataset {
    /// The dataset's name: that of its file.
    pub name: String,
    /// The key of its status page.
    pub page: String,
    /// The bucket's name.
    pub bucket: String,
    /// The prefix of its archives' keys, with a `/` at the end.
    pub prefix: String,
    /// The tables that it fills, with their schemas, in the order of the files' names.
    pub tables: Vec<String>,
}

#[derive(Deserialize)]
struct Configuration {
    bucket: String,
    source: String,
    destination: String,
    directory: String,
    schema: String,
    files: BTreeMap<String, Member>,
}

#[derive(Deserialize)]
struct Member {
    dbtable: String,
}

impl Dataset {
    /// Returns the shipped dataset, whose bucket and tables every stack has.
    ///
    /// # Errors
    ///
    /// The shipped configuration is not a configuration.
    pub fn shipped() -> Result<Self, Error> {
        Self::parse(
            "cmslite_user_group_metadata.json",
            include_str!("../../config.d/cmslite_user_group_metadata.json"),
        )
    }

    /// Reads the dataset of a configuration file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or lacks something that is needed here.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&path.display().to_string(), &text(path)?)
    }

    fn parse(path: &str, text: &str) -> Result<Self, Error> {
        let configuration = serde_json::from_str(text)
            .map_err(|source| Error::Configuration { path: path.to_owned(), source })?;
        let Configuration { bucket, source, destination, directory, schema, files } = configuration;
        let table = |Member { dbtable }: Member| {
            if dbtable.contains('.') { dbtable } else { format!("{schema}.{dbtable}") }
        };
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            page: format!("{destination}/status/{name}.html"),
            name,
            bucket,
            prefix: format!("{source}/{directory}/"),
            tables: files.into_values().map(table).collect(),
        })
    }

    /// Creates the bucket and, with the `CREATE TABLE` statements in `ddl`, the tables; grants the loader's
    /// user its privileges on them.
    ///
    /// # Errors
    ///
    /// The statements cannot be read, or are refused.
    pub async fn set_up(&self, stack: &Stack, ddl: &Path) -> Result<(), Error> {
        let statements = postgresql_ddl(&text(ddl)?)
            .map_err(|reason| Error::Statements { path: ddl.display().to_string(), reason })?;
        stack.s3.create_bucket(&self.bucket);
        let admin = stack.admin().await?;
        let schemas: BTreeSet<String> =
            self.tables.iter().filter_map(|table| table.split('.').next()).map(quoted).collect();
        let schema = schemas.iter().map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {schema};"));
        let usage =
            schemas.iter().map(|schema| format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {LOADER};"));
        let tables =
            self.tables.iter().map(|table| table.split('.').map(quoted).collect::<Vec<_>>().join("."));
        let rights = tables.map(|table| format!("GRANT INSERT, DELETE ON {table} TO {LOADER};"));
        let all: Vec<String> = schema.chain([format!("{statements};")]).chain(usage).chain(rights).collect();
        admin.batch_execute(&all.join("\n")).await.map_err(stack::Error::from)?;
        Ok(())
    }
}

/// Creates a directory that has only this configuration, for `CONFIG_DIR`.
///
/// # Errors
///
/// The directory cannot be created, or the file cannot be copied.
pub fn directory_of(config: &Path) -> Result<TempDir, Error> {
    let failed = |source| Error::File { path: config.display().to_string(), source };
    let directory = tempfile::tempdir().map_err(failed)?;
    let name = config.file_name().unwrap_or_default();
    fs::copy(config, directory.path().join(name)).map_err(failed)?;
    Ok(directory)
}

/// Returns a name in lower case and quoted, so that it may be a word of SQL. Redshift folds the letters of
/// all names; PostgreSQL folds only those of unquoted ones.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.to_ascii_lowercase().replace('"', "\"\""))
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_dataset_is_read() {
        let dataset = Dataset::shipped().unwrap();
        assert_eq!(
            (dataset.bucket.as_str(), dataset.prefix.as_str(), dataset.page.as_str()),
            (stack::BUCKET, "client/cmslite_gdx/", "processed/status/cmslite_user_group_metadata.html")
        );
        let tables = ["cms_group", "user_activity", "user_group", "user_status"];
        assert_eq!(dataset.tables, tables.map(|table| format!("cmslite.{table}")));
    }

    #[test]
    fn a_table_may_bear_its_schema() {
        let text = r#"{"bucket": "b", "source": "s", "destination": "p", "directory": "d", "schema": "x", "files": {"a": {"dbtable": "y.t"}, "b": {"dbtable": "u"}}}"#;
        assert_eq!(Dataset::parse("c", text).unwrap().tables, ["y.t", "x.u"]);
        assert!(matches!(Dataset::parse("c", "{}"), Err(Error::Configuration { .. })));
    }
}
