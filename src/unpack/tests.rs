use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

fn dataset() -> Dataset {
    crate::config::parse("d.json", include_str!("../../config.d/cmslite_user_group_metadata.json")).unwrap()
}

const MEMBERS: [&str; 4] = ["analytics_group.csv", "analytics_user_activity.csv", "analytics_user_group.csv", "analytics_user_status.csv"];

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

/// The members seen, and what was told.
fn run(archive: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut problems = Problems::default();
    let mut seen = Vec::new();
    let result = unpack::<_, ()>(archive, &dataset(), &mut problems, |member, _| {
        let mut counted = Counted::new(member.body);
        match finish(&mut counted, member.size_bytes) {
            Ok(()) => seen.push(member.name.to_owned()),
            Err(error) => return Handled::Unreadable(error),
        }
        Handled::Done
    });
    if let Err(UnpackError::Unreadable(problem)) = result {
        problems.push(problem);
    }
    (seen, problems.told().iter().map(ToString::to_string).collect())
}

#[track_caller]
fn refused(archive: &[u8], expected: &[&str]) {
    let (_, told) = run(archive);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
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
fn members_that_do_not_fit_the_configuration_are_told() {
    refused(
        &gzip(&tar_of(&["analytics_group.csv", "readme.txt"], 1)),
        &[
            "readme.txt: the configuration names no such file; it names analytics_group",
            "analytics_user_activity: the file is missing",
            "analytics_user_group: the file is missing",
            "analytics_user_status: the file is missing",
        ],
    );
    let double: Vec<&str> = MEMBERS.iter().copied().chain(["old/analytics_group.2.csv"]).collect();
    refused(&gzip(&tar_of(&double, 1)), &["analytics_group.2.csv: the archive has two files"]);
    let mut builder = tar::Builder::new(Vec::new());
    for name in &MEMBERS[1..] {
        builder.append_data(&mut header(1), name, b"a".as_slice()).unwrap();
    }
    let mut link = header(0);
    link.set_entry_type(EntryType::Symlink);
    builder.append_link(&mut link, MEMBERS[0], "/etc/passwd").unwrap();
    refused(&gzip(&builder.into_inner().unwrap()), &["analytics_group.csv: this entry is a link"]);
}

#[test]
fn damage_is_told_apart() {
    let tar = tar_of(&MEMBERS, 200_000);
    let whole = gzip(&tar);
    refused(b"", &["archive: the archive ends too early"]);
    refused(b"PK\x03\x04 no gzip at all", &["archive: the archive is not a sound gzip file (invalid gzip header)"]);
    refused(&gzip(b"no tar at all, though longer than nothing"), &["archive: the archive ends too early"]);
    refused(&gzip(&[b'x'; 2048]), &["archive: the archive does not hold a sound tar"]);
    refused(&whole[..whole.len() / 2], &["archive: the archive ends too early (incomplete deflate stream)"]);
    refused(&gzip(&tar[..100_000]), &["analytics_group.csv: the archive ends too early"]);
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 0xff;
    refused(&wrong_sum, &["archive: the archive is not a sound gzip file (corrupt gzip stream"]);
    refused(&[whole.as_slice(), b"junk"].concat(), &["archive: there is data after the end"]);
    assert_eq!(run(&[whole.as_slice(), &[0; 1000]].concat()).1, Vec::<String>::new());
    refused(&[whole.clone(), gzip(&tar)].concat(), &["archive: there is data after the end"]);
    let mut flipped = whole;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    assert_eq!(run(&flipped).1.len(), 1);
}
