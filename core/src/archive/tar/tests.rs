use super::*;
use crate::archive::counting::{CountingReader, finish};
use crate::archive::gunzip::inflate;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use tar::EntryType;

fn dataset() -> Dataset {
    crate::config::parse("d.json", include_str!("../../../../config.d/cmslite_user_group_metadata.json"))
        .unwrap()
}

const MEMBERS: [&str; 4] = [
    "analytics_group.csv",
    "analytics_user_activity.csv",
    "analytics_user_group.csv",
    "analytics_user_status.csv",
];

fn header(size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header
}

fn tar_of(names: &[&str], size: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        builder.append_data(&mut header(size), name, vec![b'x'; size].as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns the members seen and the problems reported.
fn run(archive: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut problems = Problems::default();
    let mut seen = Vec::new();
    let contents = match inflate(archive) {
        Ok(contents) => contents,
        Err(problem) => return (Vec::new(), vec![problem.to_string()]),
    };
    let result = unpack::<_, ()>(contents, &dataset(), &mut problems, |member, _| {
        let mut counted = CountingReader::new(member.body);
        match finish(&mut counted, member.size_bytes) {
            Ok(()) => seen.push(member.name.to_owned()),
            Err(error) => return Err(MemberError::Unreadable(error)),
        }
        Ok(())
    });
    if let Err(UnpackError::Unreadable(problem)) = result {
        problems.push(problem);
    }
    (seen, problems.reported().iter().map(ToString::to_string).collect())
}

#[track_caller]
fn refused(archive: &[u8], expected: &[&str]) {
    assert_eq!(run(archive).1, expected);
}

#[test]
fn every_member_is_handed_out_and_the_rest_skipped() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut directory = header(0);
    directory.set_entry_type(EntryType::Directory);
    builder.append_data(&mut directory, "export/", io::empty()).unwrap();
    for name in MEMBERS {
        builder.append_data(&mut header(3), format!("export/._{name}"), b"mac".as_slice()).unwrap();
        builder.append_data(&mut header(3), format!("./export/{name}"), b"abc".as_slice()).unwrap();
    }
    assert_eq!(run(&gzip(&builder.into_inner().unwrap())), (MEMBERS.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn an_archive_in_two_gzip_members_is_one_archive() {
    let tar = tar_of(&MEMBERS, 10_000);
    let (a, b) = tar.split_at(20_000);
    assert_eq!(run(&[gzip(a), gzip(b)].concat()).1, Vec::<String>::new());
}

#[test]
fn damage_to_the_gzip_is_told_apart() {
    let tar = tar_of(&MEMBERS, 200_000);
    let whole = gzip(&tar);
    let again = "make it again and upload it again";
    let cut = |place: &str| {
        format!(
            "the archive ends too early (incomplete deflate stream{place}); the upload or the export was cut off: upload it again"
        )
    };
    refused(&whole[..whole.len() / 2 - 50], &[&format!("analytics_user_activity.csv: {}", cut(""))]);
    refused(
        &whole[..whole.len() / 2],
        &[&format!("archive: {}", cut(", after analytics_user_activity.csv"))],
    );
    refused(&whole[..whole.len() - 9], &[&format!("archive: {}", cut(""))]);
    refused(
        b"\x1f\x8b\x08",
        &[
            "archive: the archive ends too early (unexpected end of file, at its beginning); the upload or the export was cut off: upload it again",
        ],
    );
    refused(
        b"\x1f\x8b\x07\0\0\0\0\0\0\0",
        &[&format!("archive: the archive is not a sound gzip file (invalid gzip header); {again}")],
    );
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 0xff;
    let detail = "corrupt gzip stream does not have a matching checksum";
    refused(&wrong_sum, &[&format!("archive: the archive is not a sound gzip file ({detail}); {again}")]);
    assert_eq!(run(&[whole.as_slice(), &[0; 1000]].concat()).1, Vec::<String>::new());
    let mut flipped = whole;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    assert_eq!(run(&flipped).1.len(), 1);
}
