//! How large an archive the function loads within its time, by its memory setting: computed from what was measured.
//! Tested by `tests/integration/reach.rs`.

/// Lambda gives a function of so many MB "the equivalent of one vCPU", and "allocates CPU power in proportion to the
/// amount of memory configured" (AWS Lambda Developer Guide, "Configure Lambda function memory").
pub const MB_OF_ONE_PROCESSOR: f64 = 1769.0;

/// What a function's network carries, both ways together here: 625 Mbit/s, in bytes (AWS Lambda quotas).
pub const WIRE_BYTES_PER_SECOND: f64 = 78e6;

/// What of the longest timeout of a function (AWS Lambda quotas) staging may take: reading ends 15 seconds before it.
pub const SECONDS_FOR_STAGING: f64 = 900.0 - 15.0;

/// What was measured, for each GB (1,000,000,000 bytes) of CSV.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Staging it on one core.
    pub seconds_on_one_core: f64,
    /// Staging it on all cores of the machine, which the local S3 works on too.
    pub seconds_on_all_cores: f64,
    /// Bytes at the socket, both ways.
    pub wire_bytes: f64,
    /// Bytes of the archive.
    pub packed_bytes: f64,
    /// Requests that write.
    pub puts: f64,
}

/// What staging is held up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The share of a processor.
    Processor,
    /// The network.
    Wire,
    /// What the machine of the measurement reached with all of its cores.
    Measured,
}

/// How far a memory setting reaches.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// For each GB of CSV.
    pub seconds: f64,
    pub limit: Limit,
    /// The largest archive's CSV, in GB.
    pub csv_gigabytes: f64,
    /// The largest archive, in GB.
    pub packed_gigabytes: f64,
    /// Requests that write it.
    pub puts: f64,
    /// GB-seconds (2^30 bytes, as Lambda's memory is counted) for each GB of CSV.
    pub gigabyte_seconds: f64,
}

/// How far a setting of so many MB reaches, COPY not counted.
pub fn reach(measured: &Measured, memory_mb: f64) -> Reach {
    let limits = [
        (measured.seconds_on_one_core * MB_OF_ONE_PROCESSOR / memory_mb, Limit::Processor),
        (measured.wire_bytes / WIRE_BYTES_PER_SECOND, Limit::Wire),
        (measured.seconds_on_all_cores, Limit::Measured),
    ];
    let longest = |a: (f64, Limit), b: (f64, Limit)| if b.0 > a.0 { b } else { a };
    let (seconds, limit) = limits.into_iter().fold((0.0, Limit::Processor), longest);
    let csv_gigabytes = SECONDS_FOR_STAGING / seconds;
    Reach {
        seconds,
        limit,
        csv_gigabytes,
        packed_gigabytes: csv_gigabytes * measured.packed_bytes / 1e9,
        puts: csv_gigabytes * measured.puts,
        gigabyte_seconds: seconds * memory_mb / 1024.0,
    }
}
