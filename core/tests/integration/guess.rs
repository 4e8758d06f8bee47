//! Tests what is guessed of archives, and that an archive is good by its own guess, whatever its names and
//! values are.

use std::io::{self, Write as _};

use cmslite_core::archive::{self, ReadError, Sink, StagedMember};
use cmslite_core::config::{self, Table};
use cmslite_core::ddl;
use cmslite_core::guess::{
    ArchiveName, ColumnKind, Guess, Place, config_text, ddl_text, guess, heads, identifier,
};
use cmslite_core::progress::Progress;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

/// Returns a `.tgz` of these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, contents.as_bytes()).unwrap();
    }
    let mut gzip = tar.into_inner().unwrap();
    gzip.flush().unwrap();
    gzip.finish().unwrap()
}

fn guessed(archive: &[u8]) -> Guess {
    guess(&heads(archive).unwrap(), archive).unwrap()
}

fn refused(files: &[(&str, &str)]) -> String {
    let archive = archive(files);
    heads(&*archive).and_then(|heads| guess(&heads, &*archive)).unwrap_err().to_string()
}

struct Nowhere;

impl Sink for Nowhere {
    type File = Vec<u8>;

    fn create(&mut self, _: &Table, _: u64) -> Vec<u8> {
        Vec::new()
    }

    fn complete(&mut self, _: Vec<u8>, _: &StagedMember) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the archive as a load does with the guessed configuration. Returns the number of rows of each
/// member, or the problems.
fn read_by_guess(archive: &[u8]) -> Result<Vec<(String, u64)>, Vec<String>> {
    let guess = guessed(archive);
    let place = Place {
        bucket: "b".to_owned(),
        source: "client".to_owned(),
        destination: "processed".to_owned(),
        directory: "d".to_owned(),
        doc: "/x[^/]*".to_owned(),
        schema: "s".to_owned(),
        truncate: true,
    };
    let config = config_text(&guess, &place);
    let dataset = config::parse("d.json", &config).unwrap_or_else(|mistakes| panic!("{mistakes}\n{config}"));
    let statements = ddl_text(&guess, "s");
    let limits = ddl::limits(&statements, &dataset).unwrap_or_else(|error| panic!("{error}\n{statements}"));
    match archive::read(archive, &dataset, &limits, &mut Nowhere, &Progress::default()) {
        Ok(mut members) => {
            members.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(members.into_iter().map(|member| (member.name, member.rows)).collect())
        }
        Err(ReadError::Bad(problems)) => Err(problems.reported().iter().map(ToString::to_string).collect()),
        Err(ReadError::Failed(error)) => panic!("{error}"),
    }
}

/// Returns the columns of the only file in an archive, each as `name type`, with its format if it is a date.
fn columns(contents: &str) -> Vec<String> {
    let archive = archive(&[("people.csv", contents)]);
    assert!(read_by_guess(&archive).is_ok(), "{:?}", read_by_guess(&archive));
    let columns = guessed(&archive).members.remove(0).columns.into_iter();
    let described = columns.map(|column| match &column.kind {
        ColumnKind::Date { format, or } if or.is_empty() => {
            format!("{} {} {format}", column.name, column.kind.sql())
        }
        ColumnKind::Date { format, or } => {
            format!("{} {} {format} or {}", column.name, column.kind.sql(), or.join(" "))
        }
        kind => format!("{} {}", column.name, kind.sql()),
    });
    described.collect()
}

#[test]
fn names_are_made_of_headers() {
    for (header, expected) in [
        ("id,User Name,e-mail", vec!["id", "user_name", "e_mail"]),
        ("\"ID\",\"Prénom, nom\",2024", vec!["id", "prénom_nom", "c_2024"]),
        ("a,a,A", vec!["a_1", "a_2", "a_3"]),
        ("a b,a_b", vec!["a_b_1", "a_b"]),
        ("a,,!", vec!["a", "column_2", "column_3"]),
        ("a,b,,", vec!["a", "b"]),
        ("select,user,ORDER", vec!["select", "user", "order"]),
    ] {
        let archive = archive(&[("people.csv", &format!("{header}\n"))]);
        let names: Vec<String> =
            guessed(&archive).members.remove(0).columns.into_iter().map(|column| column.name).collect();
        assert_eq!(names, expected, "{header}");
        assert_eq!(read_by_guess(&archive), Ok(vec![("people.csv".to_owned(), 0)]), "{header}");
    }
    assert_eq!(identifier("  Größe (m²)  "), "größe_m²");
}

#[test]
fn dates_truth_values_and_lengths_are_guessed_by_every_value() {
    let long = "x".repeat(300);
    let contents = format!(
        "id,born,seen,day,either,active,code,note\n\
         007,1990-05-17,2024-03-01 09:15:42.5,17/05/1990,03/04/2024,t,y,{long}\n\
         008,,2024-03-01 09:15:42,18/05/1990,04/05/2024,f,y,\n"
    );
    assert_eq!(
        columns(&contents),
        [
            "id VARCHAR(255)",
            "born TIMESTAMP %Y-%m-%d",
            "seen TIMESTAMP %Y-%m-%d %H:%M:%S.%f",
            "day TIMESTAMP %d/%m/%Y",
            "either TIMESTAMP %d/%m/%Y or %m/%d/%Y",
            "active BOOL",
            "code VARCHAR(255)",
            "note VARCHAR(1024)",
        ]
    );
    assert_eq!(
        columns(
            "zoned,iso,american,named\n2024-03-01T09:15:42+02:00,2024-03-01T09:15:42,3/31/2024 9:05:00 PM,01-Mar-2024\n"
        ),
        [
            "zoned TIMESTAMPTZ %Y-%m-%dT%H:%M:%S.%f%z",
            "iso TIMESTAMP %Y-%m-%dT%H:%M:%S.%f",
            "american TIMESTAMP %m/%d/%Y %I:%M:%S %p",
            "named TIMESTAMP %d-%b-%Y",
        ]
    );
    assert_eq!(columns("a,b,c\nt,1,y\n1,0,y\nFALSE,1,y\n"), ["a BOOL", "b VARCHAR(255)", "c VARCHAR(255)"]);
    // One value among a thousand decides.
    let rows = "2024-03-01,true\n".repeat(1000);
    assert_eq!(
        columns(&format!("day,is_on\n{rows}soon,maybe\n")),
        ["day VARCHAR(255)", "is_on VARCHAR(255)"]
    );
}

#[test]
fn a_text_that_stands_for_nothing_is_told_from_values() {
    let null_as = |contents: &str| guessed(&archive(&[("people.csv", contents)])).null_as;
    for (contents, expected) in [
        ("id,born\n1,-\n2,2024-03-01\n", Some("-")),
        ("id,is_on\n1,N/A\n2,true\n", Some("N/A")),
        ("id,name\n1,NULL\n2,x\n", Some("NULL")),
        ("id,name\n1,\\N\n2,x\n", Some("\\N")),
        ("id,name\n1,-\n2,x\n", None),
        ("id,name\n1,None\n2,x\n", None),
        ("id,born\n1,-\n2,NULL\n3,2024-03-01\n", Some("NULL")),
    ] {
        assert_eq!(null_as(contents).as_deref(), expected, "{contents}");
        assert!(read_by_guess(&archive(&[("people.csv", contents)])).is_ok(), "{contents}");
    }
}

#[test]
fn delimiters_are_told_apart() {
    for (files, expected) in [
        (vec![("a.csv", "id,name\n1,x\n"), ("b.csv", "name\n\"x,y\"\n")], ','),
        (vec![("a.tsv", "id\tname, first\n1\tx\n")], '\t'),
        (vec![("a.csv", "\u{feff}id;name\r\n1;x,y,z\r\n"), ("b.csv", "name\nx,y\n")], ';'),
        (vec![("a.csv", "id|name\n1|x\n")], '|'),
        (vec![("a.csv", "\"a,b;c\";d\n1;2\n")], ';'),
        (vec![("a.csv", "sep=;\nid;name\n1;x\n")], ';'),
        (vec![("a.csv", "name\nx\n")], ','),
    ] {
        let archive = archive(&files);
        assert_eq!(guessed(&archive).delimiter, expected, "{files:?}");
        assert!(read_by_guess(&archive).is_ok(), "{files:?}: {:?}", read_by_guess(&archive));
    }
}

#[test]
fn members_are_files_whatever_else_lies_in_the_archive() {
    let archive = archive(&[
        ("export/load_ledger.csv", "id,x\n1,y\n"),
        ("export/._load_ledger.csv", "\u{0}"),
        ("export/Größe 2024.txt", "id,x\n"),
        (".DS_Store", "\u{0}"),
    ]);
    let tables: Vec<(String, String)> =
        guessed(&archive).members.into_iter().map(|member| (member.member, member.table)).collect();
    let expected = [("Größe 2024", "größe_2024"), ("load_ledger", "load_ledger_1")];
    assert_eq!(tables, expected.map(|(member, table)| (member.to_owned(), table.to_owned())));
    assert_eq!(read_by_guess(&archive).unwrap().len(), 2);
}

#[test]
fn what_nothing_can_be_guessed_of_is_said() {
    assert_eq!(refused(&[]), "the archive contains no file");
    assert_eq!(refused(&[("a.csv", "\n")]), "a.csv is empty; a member needs a header line");
    assert_eq!(
        refused(&[("a.csv", "x\n"), ("a.txt", "x\n")]),
        "a.csv and a.txt have the same name up to the first '.', so a configuration cannot distinguish them"
    );
    assert_eq!(
        refused(&[("a.csv", "x,y\n"), ("b.csv", "x;y\n")]),
        "the files have different delimiters: b.csv has ';', a.csv has ','; a dataset has one delimiter"
    );
    assert_eq!(
        refused(&[(".csv", "x,y\n")]),
        ".csv has no name before its first '.', so a configuration cannot name it"
    );
    let told = heads(&b"no gzip"[..]).unwrap_err().to_string();
    assert!(told.starts_with("the archive cannot be read: "), "{told}");
    let whole = archive(&[("a.csv", "id\n1\n")]);
    assert!(heads(&whole[..whole.len() / 2]).is_err());
}

#[test]
fn the_names_of_archives_are_told_from_their_dates() {
    for (file, dataset, doc) in [
        ("cms-analytics-csv_2024-03-01.tgz", "cms_analytics_csv", r"/cms-analytics-csv[^/]*\.tgz"),
        ("people.tar.gz", "people", r"/people[^/]*\.tar\.gz"),
        ("20240301T091542.tgz", "dataset", r"/[^/]*\.tgz"),
        // A `T` is a part of a time only between digits.
        ("people_2024-03-01T09.15.42.tgz", "people", r"/people[^/]*\.tgz"),
        ("EVENT_2024-01-01.tgz", "event", r"/EVENT[^/]*\.tgz"),
        ("REPORT.tgz", "report", r"/REPORT[^/]*\.tgz"),
        ("T2024-01-01.tgz", "t", r"/T[^/]*\.tgz"),
        ("a+b(1).tgz", "a_b_1", r"/a\+b\(1\)[^/]*\.tgz"),
    ] {
        let expected = ArchiveName { dataset: dataset.to_owned(), doc: doc.to_owned() };
        assert_eq!(ArchiveName::of(file), expected);
        assert!(
            regex::Regex::new(&format!("{doc}$")).unwrap().is_match(&format!("client/d/{file}")),
            "{file}"
        );
    }
}

fn any_table() -> impl Strategy<Value = (u8, Vec<Vec<String>>)> {
    let name = prop_oneof!["[A-Za-zé ._-]{1,6}", Just("id".to_owned()), Just("x,y;z|w\tv".to_owned())];
    let value = prop_oneof![
        "[a-z0-9 ,;|\t\"'é\n-]{0,5}",
        prop::sample::select(vec![
            "",
            "-",
            "NULL",
            "\\N",
            "true",
            "f",
            "n",
            "2024-03-01",
            "2024-03-01 09:15:42",
            "03/04/2024",
            "31/12/2024",
            "007",
        ])
        .prop_map(str::to_owned),
    ];
    (prop::sample::select(b",\t;|".to_vec()), 2_usize..5).prop_flat_map(move |(delimiter, width)| {
        let header = prop::collection::vec(name.clone(), width);
        let rows = prop::collection::vec(prop::collection::vec(value.clone(), width), 0..8);
        (Just(delimiter), header, rows).prop_map(|(delimiter, header, mut rows)| {
            rows.insert(0, header);
            (delimiter, rows)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// An archive is good by the configuration that is guessed from it, whatever its names and values are.
    #[test]
    fn an_archive_is_good_by_its_own_guess((delimiter, rows) in any_table()) {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let archive = archive(&[("people.csv", &text)]);
        // A name may contain more of another delimiter than the header has of its own.
        prop_assume!(guessed(&archive).delimiter == char::from(delimiter));
        let filled = rows.iter().skip(1).filter(|row| row.iter().any(|cell| !cell.is_empty())).count();
        prop_assert_eq!(read_by_guess(&archive), Ok(vec![("people.csv".to_owned(), filled as u64)]), "{}", text);
    }
}
