//! Creates sample archives: the real dataset's four files with plausible contents, and any files for a test.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The file's path in the archive.
    pub name: String,
    /// The file's bytes.
    pub contents: Vec<u8>,
}

impl Member {
    /// Creates a member with this name and these contents.
    pub fn new(name: &str, contents: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), contents: contents.into() }
    }
}

/// Returns a `.tgz` of the members. The same members give the same bytes.
///
/// # Errors
///
/// A name cannot be stored in a tar archive.
pub fn archive(members: &[Member]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for member in members {
        tar.append_data(&mut header(member.contents.len() as u64), &member.name, member.contents.as_slice())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

/// Returns the header of a file of `size` bytes.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// The maximum number of different rows in a file that [`write_archive`] writes. Even in the smallest file
/// they are longer than any decoder's window, which is 32 KiB with gzip (RFC 1952) and 2 MiB with zstd up to
/// level 3 (`clevels.h`).
const MAX_REPEATED_ROWS: usize = 100_000;

/// A lower bound for the total number of bytes in one row of each file.
const MIN_ROW_BYTES: u64 = 200;

/// Writes a `.tgz` of the real dataset's four files to `out`, and returns the total size of the files. The
/// same seed gives the same files. The files have about `csv_bytes` together, and about the same number of
/// rows each. The memory used does not depend on the size.
///
/// # Errors
///
/// `out` cannot be written.
pub fn write_archive(seed: u64, csv_bytes: u64, out: impl Write) -> io::Result<u64> {
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    let rows = usize::try_from(csv_bytes / MIN_ROW_BYTES).unwrap_or(usize::MAX).clamp(1, MAX_REPEATED_ROWS);
    let members = real_dataset(seed, rows)?;
    let of_one_round: u64 = members.iter().map(|member| member.contents.len() as u64).sum();
    let mut total = 0;
    for member in members {
        let head_end = member.contents.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (head, rows) = member.contents.split_at(head_end);
        let wanted =
            u64::try_from(u128::from(csv_bytes) * member.contents.len() as u128 / u128::from(of_one_round))
                .unwrap_or(u64::MAX);
        let rows = Rows::new(rows, wanted.saturating_sub(head.len() as u64));
        let size = head.len() as u64 + rows.left;
        tar.append_data(&mut header(size), &member.name, head.chain(rows))?;
        total += size;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(total)
}

/// A reader that repeats the same rows up to a size, and stops at the end of a row.
struct Rows<'a> {
    text: &'a [u8],
    at: usize,
    left: u64,
}

impl<'a> Rows<'a> {
    fn new(text: &'a [u8], wanted: u64) -> Self {
        let whole = wanted - wanted % text.len().max(1) as u64;
        let rest = usize::try_from(wanted - whole).unwrap_or_default();
        let first = ends(text).next().unwrap_or_default();
        let end = ends(text).take_while(|end| *end <= rest).last().unwrap_or_default();
        Self { text, at: 0, left: (whole + end as u64).max(first as u64) }
    }
}

/// Returns the positions at which rows end: after line feeds that are not enclosed in quotes.
fn ends(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut quoted = false;
    text.iter().enumerate().filter_map(move |(at, byte)| {
        quoted ^= *byte == b'"';
        (*byte == b'\n' && !quoted).then_some(at + 1)
    })
}

impl Read for Rows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at = (self.at + count) % self.text.len().max(1);
        self.left -= count as u64;
        Ok(count)
    }
}

/// A generator of pseudo-random numbers (`SplitMix64`). The same seed gives the same numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices
            .get(usize::try_from(self.below(choices.len() as u64)).unwrap_or_default())
            .copied()
            .unwrap_or_default()
    }
}

const NAMES: [&str; 8] = [
    "Anna Müller",
    "Zoë O'Brien",
    "Łukasz Nowak",
    "Nguyễn Văn An",
    "John \"Jack\" Smith",
    "李小龍",
    "Smith, Jane",
    "K'ómoks Liaison",
];
const GROUPS: [&str; 6] =
    ["Communications", "Forests, Lands", "Health \"Public\"", "Santé", "Water\\Land", "Web Team"];
const SITES: [&str; 4] = ["gov-bc", "007", "1.0", "NA"];

/// Returns the four files of the real dataset, with `rows` rows each. The same seed gives the same files.
///
/// # Errors
///
/// The files cannot be written to memory.
pub fn real_dataset(seed: u64, rows: usize) -> io::Result<Vec<Member>> {
    let mut numbers = Numbers(seed);
    let mut files = [
        (
            "analytics_user_group.csv",
            vec!["id", "user_id", "email", "group_id", "group_name", "site_key", "is_group_mgr"],
        ),
        ("analytics_group.csv", vec!["id", "name", "active", "site_key"]),
        (
            "analytics_user_activity.csv",
            vec!["user_id", "user_idir", "activity_type", "memo", "activity_date"],
        ),
        (
            "analytics_user_status.csv",
            vec!["id", "organization", "user_id", "user_name", "email", "created_dt", "status"],
        ),
    ]
    .map(|(name, header)| (name, vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()]));
    for row in 1..=rows {
        let n = &mut numbers;
        let (id, user) = (format!("{row:05}"), format!("U{:06}", n.below(1_000_000)));
        let email = format!("user.{}@gov.bc.ca", n.below(10_000));
        let group = n.of(&GROUPS);
        let (flag, active) = (n.of(&["t", "f"]), n.of(&["t", "f", "true", "0"]));
        let when = format!(
            "2024-{:02}-{:02} {:02}:{:02}:{:02}.{}",
            1 + n.below(12),
            1 + n.below(28),
            n.below(24),
            n.below(60),
            n.below(60),
            n.of(&["5", "050", "123456", "0", "000001"])
        );
        let memo = match n.below(4) {
            0 => format!("Added to group - {group} - by request"),
            1 => format!("Removed from group - {group}"),
            2 => "Logged in\nfrom a new place".to_owned(),
            _ => "-".to_owned(),
        };
        let name = n.of(&NAMES);
        let site = n.of(&SITES);
        let texts: [Vec<&str>; 4] = [
            vec![&id, &user, &email, &user, group, site, flag],
            vec![&id, group, active, site],
            vec![&user, "idir\\jsmith", n.of(&["login", "edit", " publish"]), &memo, &when],
            vec![
                &id,
                n.of(&["CITZ", "HLTH", "-"]),
                &user,
                name,
                &email,
                &when,
                n.of(&["active", "None", ""]),
            ],
        ];
        for ((_, records), texts) in files.iter_mut().zip(texts) {
            records.push(texts.into_iter().map(str::to_owned).collect());
        }
    }
    files
        .into_iter()
        .map(|(name, records)| {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for record in records {
                writer.write_record(record)?;
            }
            let contents = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
            Ok(Member::new(name, contents))
        })
        .collect()
}
