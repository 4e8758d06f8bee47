//! Makes the archives for all measurements: the shipped dataset's four files, from a seed.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use devstack::samples;

/// The number of tries, of which the best time counts: other work on the machine only adds time.
pub const TRIES: usize = 5;

/// The number of bytes of CSV above which a measurement is made once.
const TRIED_ONCE_ABOVE: u64 = 500_000_000;

/// An archive in a file.
#[derive(Clone)]
pub struct Archive {
    pub path: PathBuf,
    pub csv_bytes: u64,
    pub packed_bytes: u64,
}

impl Archive {
    /// Makes an archive of about `csv_bytes`, unless this run has made it already.
    pub fn of(csv_bytes: u64, directory: &Path) -> Self {
        let path = directory.join(format!("{csv_bytes}.tgz"));
        let size = path.with_extension("size");
        if let Ok(known) = fs::read_to_string(&size) {
            return Self::known(path, known.parse().unwrap());
        }
        let made =
            samples::write_archive(1, csv_bytes, BufWriter::new(File::create(&path).unwrap())).unwrap();
        fs::write(size, made.to_string()).unwrap();
        Self::known(path, made)
    }

    fn known(path: PathBuf, csv_bytes: u64) -> Self {
        let packed_bytes = fs::metadata(&path).unwrap().len();
        Self { path, csv_bytes, packed_bytes }
    }

    /// Returns how often a measurement is made with it.
    pub fn tries(&self) -> usize {
        if self.csv_bytes > TRIED_ONCE_ABOVE { 1 } else { TRIES }
    }

    /// Returns the rate in MB of CSV a second.
    pub fn rate(&self, seconds: f64) -> f64 {
        self.csv_bytes as f64 / 1e6 / seconds
    }

    /// Returns an amount per GB of CSV.
    pub fn per_gigabyte(&self, amount: f64) -> f64 {
        amount * 1e9 / self.csv_bytes as f64
    }

    /// Returns an amount per byte of CSV.
    pub fn per_byte(&self, bytes: u64) -> f64 {
        bytes as f64 / self.csv_bytes as f64
    }
}

/// Parses a number of bytes such as `10MB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1));
    let number: u64 = number.trim().parse().map_err(|_| format!("{text} is no size, such as 10MB"))?;
    Ok(number * unit)
}
