//! The archives that everything is measured on: the shipped dataset's four files, seeded.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use devstack::samples;

/// How often a thing is done of which the best time counts: others at work on the machine only ever add to it.
pub const TRIES: usize = 5;

/// Beyond so many bytes of CSV a thing is done once.
const TRIED_ONCE_ABOVE: u64 = 500_000_000;

/// An archive in a file.
#[derive(Clone)]
pub struct Archive {
    pub path: PathBuf,
    pub csv_bytes: u64,
    pub packed_bytes: u64,
}

impl Archive {
    /// Makes one of about so many bytes of CSV, unless this run has made it already.
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

    /// How often something is done with it.
    pub fn tries(&self) -> usize {
        if self.csv_bytes > TRIED_ONCE_ABOVE { 1 } else { TRIES }
    }

    /// MB of CSV a second.
    pub fn rate(&self, seconds: f64) -> f64 {
        self.csv_bytes as f64 / 1e6 / seconds
    }

    /// Per GB of CSV.
    pub fn per_gigabyte(&self, amount: f64) -> f64 {
        amount * 1e9 / self.csv_bytes as f64
    }

    /// Per byte of CSV.
    pub fn per_byte(&self, bytes: u64) -> f64 {
        bytes as f64 / self.csv_bytes as f64
    }
}

/// A number of bytes such as `10MB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1));
    let number: u64 = number.trim().parse().map_err(|_| format!("{text} is no size, such as 10MB"))?;
    Ok(number * unit)
}
