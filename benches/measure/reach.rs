//! Computes, from the measurements, how large an archive the function loads within its time, by its memory
//! setting. `tests/integration/reach.rs` tests it.

/// The memory in MB with which a function has "the equivalent of one vCPU". Lambda "allocates CPU power in
/// proportion to the amount of memory configured" (AWS Lambda Developer Guide, "Configure Lambda function
/// memory").
pub const MB_OF_ONE_PROCESSOR: f64 = 1769.0;

/// The bandwidth of a function's network, both directions together: 625 Mbit/s, in bytes (AWS Lambda quotas).
pub const WIRE_BYTES_PER_SECOND: f64 = 78e6;

/// The part of a function's longest timeout (AWS Lambda quotas) that staging may take: reading ends 15
/// seconds before it.
pub const SECONDS_FOR_STAGING: f64 = 900.0 - 15.0;

/// The measurements for each GB (1,000,000,000 bytes) of CSV.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// The seconds for staging on one core.
    pub seconds_on_one_core: f64,
    /// The seconds for staging on all cores of the machine, which the local S3 uses too.
    pub seconds_on_all_cores: f64,
    /// The bytes at the socket, both directions.
    pub wire_bytes: f64,
    /// The bytes of the archive.
    pub packed_bytes: f64,
    /// The number of requests that write.
    pub puts: f64,
}

/// The bottleneck of staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The share of a processor.
    Processor,
    /// The network.
    Wire,
    /// The speed that the measuring machine reached with all of its cores.
    Measured,
}

/// The result for a memory setting.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// The seconds for each GB of CSV.
    pub seconds: f64,
    pub limit: Limit,
    /// The CSV of the largest archive, in GB.
    pub csv_gigabytes: f64,
    /// The size of the largest archive, in GB.
    pub packed_gigabytes: f64,
    /// The number of requests that write it.
    pub puts: f64,
    /// The GB-seconds (2^30 bytes, as for Lambda's memory) for each GB of CSV.
    pub gigabyte_seconds: f64,
}

/// Computes the result for a setting of `memory_mb`, without COPY.
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
