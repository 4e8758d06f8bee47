//! Tests that a tar reader can read the sample archives, and that the samples are like the real dataset.
use std::collections::BTreeMap;
use std::io::Read as _;

use devstack::samples::{Member, archive, real_dataset};
use flate2::read::GzDecoder;
use serde_json::Value;

fn records(member: &Member) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(member.contents.as_slice());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn an_archive_holds_its_members_in_order_and_is_the_same_each_time() {
    let long = "d/".repeat(80) + "long.csv";
    let members =
        [Member::new("b.csv", "x\n"), Member::new("a.csv", ""), Member::new(&long, vec![0xff; 2000])];
    let packed = archive(&members).unwrap();
    assert_eq!(packed, archive(&members).unwrap());
    let mut tar = tar::Archive::new(GzDecoder::new(packed.as_slice()));
    let found: Vec<Member> = tar
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            Member::new(entry.path().unwrap().to_str().unwrap(), contents)
        })
        .collect();
    assert_eq!(found, members);
}

#[test]
fn the_real_dataset_has_the_files_and_columns_of_the_shipped_configuration() {
    let config: Value =
        serde_json::from_str(include_str!("../../../config.d/cmslite_user_group_metadata.json")).unwrap();
    let files: BTreeMap<&str, &Value> =
        config["files"].as_object().unwrap().iter().map(|(name, file)| (name.as_str(), file)).collect();
    let members = real_dataset(7, 200).unwrap();
    assert_eq!(members.len(), files.len());
    for member in &members {
        let file = files[member.name.split('.').next().unwrap()];
        let records = records(member);
        assert_eq!(records.len(), 201, "{}", member.name);
        let derived = file["derived"].as_array().map_or(0, Vec::len);
        let columns: Vec<&str> =
            file["columns"].as_array().unwrap().iter().map(|column| column.as_str().unwrap()).collect();
        assert!(
            records[0] == columns || records[0] == columns[..columns.len() - derived],
            "{}: {:?}",
            member.name,
            records[0]
        );
    }
}

/// The samples contain cells that can make a loader fail, since tests without them would prove little.
#[test]
fn the_real_dataset_depends_on_its_seed_alone_and_has_awkward_cells() {
    let members = real_dataset(7, 200).unwrap();
    assert_eq!(members, real_dataset(7, 200).unwrap());
    assert_ne!(members, real_dataset(8, 200).unwrap());
    let cells: Vec<String> = members.iter().flat_map(records).flatten().collect();
    for (what, awkward) in [
        ("a delimiter", (|cell| cell.contains(',')) as fn(&str) -> bool),
        ("a quote", |cell| cell.contains('"')),
        ("a line feed", |cell| cell.contains('\n')),
        ("a backslash", |cell| cell.contains('\\')),
        ("non-ASCII text", |cell| !cell.is_ascii()),
        ("a leading blank", |cell| cell.starts_with(' ')),
        ("a null", |cell| cell == "-"),
        ("nothing", str::is_empty),
        ("a leading zero", |cell| cell == "007"),
        ("a fraction of one digit", |cell| cell.starts_with("2024-") && cell.ends_with(".5")),
    ] {
        assert!(cells.iter().any(|cell| awkward(cell)), "no cell has {what}");
    }
}
