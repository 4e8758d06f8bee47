//! Measures staging to the local S3, by size, staging and connection.

use super::Bench;
use super::archives::Archive;
use super::function::{Connection, Staged, Way, stage};
use super::reading::Reading;
use super::table::{Table, megabytes, number};

/// Prints the measurements.
pub async fn print(bench: &Bench) {
    let table = Table::begin(
        "Staging to the local S3 on the same cores, by a fresh process of the function:",
        &[
            "CSV, MB",
            "staging",
            "connection",
            "MB/s",
            "of inflate",
            "processor, s/GB",
            "bytes sent per byte of CSV",
            "requests",
            "peak memory, MiB",
        ],
    );
    for archive in bench.archives() {
        let inflating = Reading::of(&archive, &bench.dataset).inflating;
        for staging in &bench.arguments.stagings {
            for connection in [Connection::Http, Connection::SignedTls, Connection::Tls] {
                let staged = stage(bench, &archive, &Way::new(connection, staging)).await;
                row(&table, &archive, staging, connection, &staged, inflating);
            }
        }
    }
}

fn row(
    table: &Table,
    archive: &Archive,
    staging: &str,
    connection: Connection,
    staged: &Staged,
    inflating: f64,
) {
    let sent = number(archive.per_byte(staged.wire.received), 3);
    let (connection, sent) = match connection {
        Connection::Http => ("HTTP, signed", "-".to_owned()),
        Connection::SignedTls => ("TLS, signed", sent),
        Connection::Tls => ("TLS, unsigned", sent),
    };
    table.row(&[
        megabytes(archive.csv_bytes),
        staging.to_owned(),
        connection.to_owned(),
        number(archive.rate(staged.seconds), 0),
        number(inflating / staged.seconds, 2),
        number(archive.per_gigabyte(staged.processor_seconds), 2),
        sent,
        staged.requests.to_string(),
        number(staged.memory_mebibytes, 1),
    ]);
}
