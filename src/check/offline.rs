//! Checks a configuration by itself, without asking S3 or Redshift.

use cmslite_core::config::{Dataset, Staging, Table};
use cmslite_core::key::Key;
use cmslite_core::text::one_line;

use super::finding::{Check, Finding};
use crate::report::FORMAT_VERSION;

/// Describes how a configuration is understood, and what only a check with S3 and Redshift can try.
pub fn check_offline(dataset: &Dataset) -> Check {
    let mut findings = Vec::new();
    findings.push(bucket(dataset));
    findings.push(archives(dataset));
    findings.push(Finding::good(
        "markers",
        format!(
            "good archives are copied below {}, bad ones below {}",
            shown(&dataset.good_prefix()),
            shown(&dataset.bad_prefix())
        ),
    ));
    findings.push(Finding::good("staged files", staged(dataset)));
    findings.push(Finding::good(
        "load",
        if dataset.truncate {
            "each replaces the rows of the tables; only the newest archive is loaded"
        } else {
            "each appends rows to the tables; every archive is loaded, oldest first"
        },
    ));
    findings.push(Finding::good(
        "ledger",
        one_line(&format!("{}, {} and {}", dataset.ledger, dataset.ledger_tables, dataset.ledger_lock)),
    ));
    findings.push(Finding::good("cells", cells(dataset)));
    findings.extend(dataset.tables.iter().map(table));
    findings.push(Finding::note(
        "not tried",
        "S3, the login to Redshift, the ledger, the tables with their columns, permissions",
        "run `check` without --offline on a machine that reaches AWS and Redshift",
    ));
    Check { version: FORMAT_VERSION, dataset: dataset.name.clone(), is_offline: true, findings }
}

fn bucket(dataset: &Dataset) -> Finding {
    let bucket = one_line(&dataset.bucket);
    if dataset.has_placeholder() {
        return Finding::bad(
            "bucket",
            format!("{bucket} is a placeholder for the bucket's name"),
            "write the bucket's name in \"bucket\"",
        );
    }
    Finding::good("bucket", bucket)
}

fn archives(dataset: &Dataset) -> Finding {
    let prefix = shown(&dataset.source_prefix());
    let doc = dataset.doc.as_str();
    let doc = one_line(doc.strip_suffix('$').unwrap_or(doc));
    match dataset.example_key() {
        Some(key) => Finding::good(
            "archives",
            format!("objects below {prefix} whose keys end with a match of {doc}, such as {}", shown(&key)),
        ),
        None => Finding::note(
            "archives",
            format!("objects below {prefix} whose keys end with a match of {doc}; no such key was found"),
            "compare \"doc\" with the key of a real archive: it is matched against the whole key, from any place in it to its end",
        ),
    }
}

fn staged(dataset: &Dataset) -> String {
    let how = match dataset.staging {
        Some(Staging::Plain) => "as plain CSV",
        Some(Staging::Zstd) => "compressed",
        None => "compressed if they are large",
    };
    format!("below {}, {how}", shown(&dataset.batch_prefix()))
}

fn cells(dataset: &Dataset) -> String {
    let delimiter = char::from(dataset.delimiter);
    let null = match &dataset.null_as {
        Some(null) => format!("a cell {:?} becomes NULL", one_line(null)),
        None => "no text becomes NULL".to_owned(),
    };
    format!("separated by {delimiter:?}; {null}")
}

fn table(table: &Table) -> Finding {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| match &column.date {
            Some(_) => format!("{} (a date)", column.name),
            None => column.name.clone(),
        })
        .collect();
    let derived = table.derived.iter().map(|derived| {
        let from = table.columns.get(derived.from).map_or("", |column| column.name.as_str());
        format!("{} (part {} of {from}, split at {:?})", derived.name, derived.index, derived.split)
    });
    let listed: Vec<String> = columns.into_iter().chain(derived).collect();
    let header = if table.exact_header { "; its header must be these names" } else { "" };
    let rows = if table.min_rows > 0 { format!("; at least {} rows", table.min_rows) } else { String::new() };
    let text =
        format!("fills {} with {} columns: {}{header}{rows}", table.name, listed.len(), listed.join(", "));
    Finding::good(format!("member {}", one_line(&table.member)), one_line(&text))
}

fn shown(key: &str) -> String {
    Key::from(key).to_string()
}
