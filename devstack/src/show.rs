//! Prints reports, tables and keys of a stack for a person.

use devstack::lambda::{Invocation, Outcome};
use devstack::stack::{BUCKET, Error, Stack};
use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;

/// The number of rows of a table that are shown.
const ROWS: usize = 3;

/// The number of characters of a cell that are shown.
const CELL_CHARS: usize = 28;

pub fn title(text: &str) {
    println!("\n{text}\n{}", "=".repeat(text.chars().count()));
}

/// Prints the keys of the bucket.
pub fn keys(what: &str, stack: &Stack) {
    println!("\n{what}:");
    let objects = stack.s3.objects(BUCKET);
    if objects.is_empty() {
        println!("  (empty)");
    }
    for object in objects {
        println!("  {:>8}  {}", object.size, object.key);
    }
}

/// Prints the answer of an invocation.
pub fn invocation(invocation: &Invocation) {
    match &invocation.outcome {
        Outcome::Failed { error_type, message } => println!("\nThe function failed: {error_type}: {message}"),
        Outcome::Ok(answer) => {
            for report in answer["reports"].as_array().into_iter().flatten() {
                self::report(report);
            }
            for object in answer["ignored"].as_array().into_iter().flatten() {
                println!("\nIgnored: {object}");
            }
        }
    }
}

fn report(report: &Value) {
    let number = |name: &str| report[name].to_string();
    println!("\nThe function's report for {}:", text(&report["dataset"]));
    println!(
        "  found {}, processed {}, good {}, bad {}, tables loaded {}, rows {}",
        number("objects_found"),
        number("objects_processed"),
        number("objects_good"),
        number("objects_bad"),
        number("tables_loaded"),
        number("rows")
    );
    let seconds = &report["seconds"];
    println!(
        "  seconds: queue {}, stage {}, load {}, settle {}",
        seconds["queue"], seconds["stage"], seconds["load"], seconds["settle"]
    );
    for good in report["good"].as_array().into_iter().flatten() {
        println!("  good: {} ({}, {} rows)", text(&good["key"]), text(&good["outcome"]), good["rows"]);
    }
    for bad in report["bad"].as_array().into_iter().flatten() {
        println!("  bad:  {}", text(&bad["key"]));
        for problem in bad["problems"].as_array().into_iter().flatten() {
            let place = [&problem["member"], &problem["line"], &problem["column"]]
                .into_iter()
                .filter(|part| !part.is_null())
                .map(text)
                .collect::<Vec<_>>();
            println!("        {}: {}", place.join(", "), text(&problem["reason"]));
        }
    }
    for superseded in report["superseded"].as_array().into_iter().flatten() {
        println!("  superseded: {}", text(superseded));
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Prints the first rows and the counts of tables.
pub async fn tables(stack: &Stack, tables: &[String]) -> Result<(), Error> {
    let admin = stack.admin().await?;
    for table in tables {
        let count = admin.simple_query(&format!("SELECT count(*) FROM {table}")).await?;
        let count = rows(&count).into_iter().flatten().next().unwrap_or_default();
        println!("\n{table}: {count} rows");
        let first = admin.simple_query(&format!("SELECT * FROM {table} ORDER BY 1 LIMIT {ROWS}")).await?;
        for row in rows(&first) {
            println!("  {}", row.join(" | "));
        }
    }
    Ok(())
}

fn rows(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let cell = |text: Option<&str>| match text {
        None => "NULL".to_owned(),
        Some(text) => {
            let shown: String = text
                .escape_debug()
                .to_string()
                .replace("\\\\", "\\")
                .replace("\\\"", "\"")
                .replace("\\'", "'");
            if shown.chars().count() > CELL_CHARS {
                shown.chars().take(CELL_CHARS - 1).chain(['…']).collect()
            } else {
                shown
            }
        }
    };
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| cell(row.get(at))).collect()),
            _ => None,
        })
        .collect()
}
