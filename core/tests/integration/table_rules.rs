//! Tests which texts are tables, one case on each line: the text of a file, and the expected verdict.
//!
//! A good case has a number of rows. A bad one has a code, a line, and a column if one is at fault.

use cmslite_core::config::{self, Dataset};
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::transform::{Transform, Transformed};

use Verdict::{Bad, Good};

enum Verdict {
    /// The file is good, and has this number of rows.
    Good(u64),
    /// The file is bad: the code, line and column of its first problem. Line 0 means the file as a whole.
    Bad(&'static str, u64, Option<&'static str>),
}

type Case = (&'static str, &'static [u8], Verdict);

fn dataset(delimiter: char, header: &str) -> Dataset {
    let text = format!(
        r#"{{
          "bucket": "b", "source": "s", "destination": "d", "directory": "x", "doc": ".*", "schema": "t", "truncate": true, "delim": "{delimiter}",
          "files": {{"groups": {{"dbtable": "groups", "column_count": 4, "columns": ["id", "name", "active", "day"],
            "dateformat": [{{"field": "day", "format": "%Y-%m-%d"}}] {header}}}}}
        }}"#
    );
    config::parse("d.json", &text).unwrap()
}

fn transform(dataset: &Dataset, text: &[u8]) -> (Transformed, Problems, String) {
    let mut problems = Problems::default();
    let mut out = Vec::new();
    let table = dataset.table_of("groups").unwrap();
    let progress = Progress::default();
    let transform = Transform { member: "groups.csv", table, dataset, limits: &[], progress: &progress };
    let transformed = transform.run(text, &mut out, &mut problems).unwrap();
    problems.decide(dataset.quoting);
    (transformed, problems, String::from_utf8(out).unwrap())
}

fn check(dataset: &Dataset, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (name, text, verdict) in cases {
        let (transformed, problems, _) = transform(dataset, text);
        let found = problems
            .reported()
            .first()
            .map(|problem| (problem.reason.code(), problem.line, problem.column.as_deref()));
        let expected = match verdict {
            Good(_) => None,
            Bad(code, line, column) => Some((*code, Some(*line).filter(|line| *line > 0), *column)),
        };
        let is_right = found == expected && !matches!(verdict, Good(rows) if *rows != transformed.rows);
        if !is_right {
            wrong.push(format!("{name}: {} rows, {problems}", transformed.rows));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[rustfmt::skip]
const WIDTH: &[Case] = &[
    ("as wide as the header", b"id,name,active,day\n7,Parks,true,\n", Good(1)),
    ("an unquoted delimiter, and nothing in the last cell", b"id,name,active,day\n7,Parks, Lakes,true,\n", Bad("bad_date", 2, Some("day"))),
    ("an unquoted delimiter, and a last cell", b"id,name,active,day\n7,Parks, Lakes,true,x\n", Bad("too_many_columns", 2, None)),
    ("one cell more", b"id,name,active,day\n7,Parks,true,,x\n", Bad("too_many_columns", 2, None)),
    ("one cell more, in the last row", b"id,name,active,day\n1,a,t,\n2,b,t,,x", Bad("too_many_columns", 3, None)),
    ("one empty cell more", b"id,name,active,day\n7,Parks,true,,\n", Good(1)),
    ("empty cells more, quoted", b"id,name,active,day\n7,Parks,true,,\"\",,\"\"\n", Good(1)),
    ("an empty cell and a text more", b"id,name,active,day\n7,Parks,true,,,x\n", Bad("too_many_columns", 2, None)),
    ("a blank cell more", b"id,name,active,day\n7,Parks,true,, \n", Bad("too_many_columns", 2, None)),
    ("one cell less", b"id,name,active,day\n7,Parks,true\n", Bad("too_few_columns", 2, None)),
    ("a line end that is not quoted", b"id,name,active,day\n7,Parks\nLakes,true,\n", Bad("too_few_columns", 2, None)),
    ("a wider header, as wide", b"id,name,active,day,x,y\n7,Parks,true,,1,2\n", Good(1)),
    ("a wider header, narrower", b"id,name,active,day,x,y\n7,Parks,true,,1\n", Bad("too_few_columns", 2, None)),
    ("a wider header, as wide as configured", b"id,name,active,day,x,y\n7,Parks,true,\n", Bad("too_few_columns", 2, None)),
    ("a wider header, wider", b"id,name,active,day,x,y\n7,Parks,true,,1,2,3\n", Bad("too_many_columns", 2, None)),
    ("a header and rows that end in a delimiter", b"id,name,active,day,\n7,Parks,true,,\n", Good(1)),
    ("a header that ends in a delimiter, and a shifted row", b"id,name,active,day,\n7,Parks, Lakes,true,2024-03-01\n", Bad("too_many_columns", 2, None)),
    ("a header that ends in a delimiter, and a row that does not", b"id,name,active,day,\n7,Parks,true,\n", Bad("too_few_columns", 2, None)),
    ("rows of empty cells", b"id,name,active,day\n,,,\n7,Parks,true,\n,,,\n\"\",\"\",,\n,\n,,,,,,\n", Good(1)),
    ("a row of blank cells", b"id,name,active,day\n , , ,\n", Good(1)),
    ("rows of empty cells only", b"id,name,active,day\n,,,\n,,,\n", Good(0)),
    ("blank lines", b"\n\r\nid,name,active,day\n\n7,Parks,true,\n\r\n", Good(1)),
    ("blanks on a line", b"id,name,active,day\n7,Parks,true,\n  \n", Bad("too_few_columns", 3, None)),
];

#[rustfmt::skip]
const HEADERS: &[Case] = &[
    ("other names", b"a,b,c,d\n7,Parks,true,\n", Good(1)),
    ("other names, all of text", b"Kennung,Bezeichnung,aktiv,Tag\nx,y,z,\n", Good(1)),
    ("the same names, otherwise written", b" ID ,\"\"\"Name\"\"\",'ACTIVE',Day\n7,Parks,true,\n", Good(1)),
    ("quoted cells with line ends and delimiters", b"\"i\nd\",\"na,me\",\"a\"\"c\",\"d\r\ny\"\n7,Parks,true,\n", Good(1)),
    ("a CR in a quoted name", b"\"i\rd\",name,active,day\n7,Parks,true,\n", Good(1)),
    ("no rows", b"id,name,active,day", Good(0)),
    ("not UTF-8", b"id,pr\xe9nom,active,day\n7,Parks,true,\n", Bad("invalid_utf8", 1, Some("name"))),
    ("a NUL", b"id,na\0me,active,day\n7,Parks,true,\n", Bad("nul_byte", 1, Some("name"))),
    ("two names exchanged", b"name,id,active,day\nParks,7,true,\n", Bad("columns_reordered", 1, None)),
    ("two names exchanged, otherwise written", b"NAME,\" 'ID' \",active,day\nParks,7,true,\n", Bad("columns_reordered", 1, None)),
    ("one name at another position", b"x,y,z,name\n1,2,3,\n", Bad("columns_reordered", 1, None)),
    ("one name beyond those that are loaded", b"id,x,active,day,name\n7,1,true,,Parks\n", Bad("columns_reordered", 1, None)),
    ("a name twice, once in its place", b"id,id,active,day\n7,7,true,\n", Bad("columns_reordered", 1, None)),
    ("a name twice, in its place and beyond", b"id,name,active,day,id\n7,Parks,true,,7\n", Good(1)),
    ("a column in front", b"row,id,name,active,day\n1,7,Parks,true,\n", Bad("columns_reordered", 1, None)),
    ("a date in the date column", b"7,Parks,true,2024-03-01\n8,Lakes,true,\n", Bad("no_header", 1, None)),
    ("a date in the date column, and names", b"id,name,active,2024-03-01\n8,Lakes,true,\n", Bad("no_header", 1, None)),
    ("a row like the next", b"7,Parks,true,\n8,Lakes,false,\n", Bad("no_header", 1, None)),
    ("a row like the next, numbered from 1", b"1,Parks,True,\n2,Lakes,False,\n", Bad("no_header", 1, None)),
    ("a row like the next, numbered from 0", b"0,1,True,\n1,2,False,\n", Bad("no_header", 1, None)),
    ("a row like a later one", b"7,Parks,true,\nx,Lakes,false,\n9,Lakes,false,\n", Bad("no_header", 1, None)),
    ("a row like another with an empty cell", b"7,Parks,true,\n8,,false,\n", Bad("no_header", 1, None)),
    ("a row of a kind of its own", b"7,Parks,true,\nx,Lakes,false,\n", Good(1)),
    ("an address and a UUID", b"6f9619ff-8b86-d011-b42d-00cf4fc964ff,a@x.ca,t,\n6f9619ff-8b86-d011-b42d-00cf4fc964f0,b@x.ca,t,\n", Bad("no_header", 1, None)),
    ("a number beside a configured name", b"7,name,true,\n8,Lakes,false,\n", Good(1)),
    ("numbered columns", b"0,1,2,3\n8,Lakes,7,\n", Good(1)),
    ("columns numbered from 1", b"1,2,3,4\n8,9,7,\n", Good(1)),
    ("the header again", b"id,name,active,day\n7,Parks,true,\nid,name,active,day\n8,Lakes,true,\n", Bad("header_again", 3, None)),
    ("the header again, quoted", b"id,name,active,day\r\n7,Parks,true,\r\n\"id\",\"name\",active,day\r\n", Bad("header_again", 3, None)),
    ("the header again, in another case", b"id,name,active,day\n7,Parks,true,\nID,Name,ACTIVE,Day\n", Bad("header_again", 3, None)),
    ("the header again, with an empty name", b",name,active,day\n7,Parks,true,\n,name,active,day\n", Bad("header_again", 3, None)),
    ("other names again", b"a,b,c,d\n7,Parks,true,\na,b,c,d\n", Bad("header_again", 3, None)),
    ("the beginning of the header again", b"id,name,active,day\nid,Parks,true,\n", Good(1)),
    ("too few columns", b"id,name,active\n7,Parks,true\n", Bad("short_header", 1, None)),
    ("another delimiter", b"id;name;active;day\n7;Parks;true;\n", Bad("wrong_delimiter", 1, None)),
    ("a tab", b"id\tname\tactive\tday\n7\tParks\ttrue\t\n", Bad("wrong_delimiter", 1, None)),
    ("a line for Excel", b"sep=,\nid,name,active,day\n7,Parks,true,\n", Good(1)),
    ("a line for Excel, with a byte order mark and CRLF", b"\xef\xbb\xbfSEP=,\r\nid,name,active,day\r\n7,Parks,true,\r\n", Good(1)),
    ("a line for Excel that disagrees", b"sep=;\nid,name,active,day\n7,Parks,true,\n", Bad("wrong_delimiter", 1, None)),
    ("a line for Excel and nothing else", b"sep=,\n", Bad("empty_member", 0, None)),
    ("a bad row behind a line for Excel", b"sep=,\nid,name,active,day\n7\n", Bad("too_few_columns", 3, None)),
];

#[rustfmt::skip]
const EXACT: &[Case] = &[
    ("the names", b"id,name,active,day\n7,Parks,true,\n", Good(1)),
    ("the names in quotes", b"\"id\",\"name\",\"active\",\"day\"\n7,Parks,true,\n", Good(1)),
    ("another name", b"id,title,active,day\n7,Parks,true,\n", Bad("header_differs", 1, None)),
    ("another case", b"ID,name,active,day\n7,Parks,true,\n", Bad("header_differs", 1, None)),
    ("one more", b"id,name,active,day,x\n7,Parks,true,,\n", Bad("header_differs", 1, None)),
    ("another order", b"name,id,active,day\nParks,7,true,\n", Bad("columns_reordered", 1, None)),
];

#[rustfmt::skip]
const QUOTES: &[Case] = &[
    ("a quoted cell", b"id,name,active,day\n7,\"Parks, Lakes\",true,\n", Good(1)),
    ("a quote within a cell", b"id,name,active,day\n7,5\" pipe,true,\n", Good(1)),
    ("a quote at the end of a cell", b"id,name,active,day\n7,pipe 5\",true,\n", Good(1)),
    ("a blank before a quote", b"id,name,active,day\n1, \"Parks\",true,\n", Bad("blank_before_quote", 2, Some("name"))),
    ("a tab before a quote", b"id,name,active,day\n1,\t\"Parks\",true,\n", Bad("blank_before_quote", 2, Some("name"))),
    ("a no-break space before a quote", b"id,name,active,day\n1,\xc2\xa0\"Parks\",true,\n", Bad("blank_before_quote", 2, Some("name"))),
    ("a blank before the first quote", b"id,name,active,day\n \"1\",Parks,true,\n", Bad("blank_before_quote", 2, Some("id"))),
    ("a blank before a quote in the header", b"id, \"name\",active,day\n", Bad("blank_before_quote", 1, Some("name"))),
    ("a blank before a quote, with a delimiter", b"id,name,active,day\n1, \"Parks, Lakes\",true,\n", Bad("blank_before_quote", 2, Some("name"))),
    ("a blank behind a quote", b"id,name,active,day\n1,\"Parks\" ,true,\n", Bad("text_after_quote", 2, None)),
    ("text behind a quote", b"id,name,active,day\n1,\"Parks\"x,true,\n", Bad("text_after_quote", 2, None)),
    ("a quote never closed", b"id,name,active,day\n1,\"Parks,true,\n2,Lakes,true,\n", Bad("unclosed_quote", 2, None)),
    ("a backslash at the end of a quoted cell", b"id,name,active,day\n1,\"C:\\\",true,\n", Good(1)),
    ("two cells that end in backslashes", b"id,name,active,day\n1,\"C:\\\",\"D:\\\",\n", Good(1)),
    ("an escaped quote before a delimiter", b"id,name,active,day\n1,\"say \\\"a, b\\\"\",true,\n", Bad("backslash_escape", 2, None)),
    ("an escaped quote that divides a cell", b"id,name,active,day\n1,\"a\\\",b\",true\n", Bad("backslash_escape", 2, None)),
    ("an escaped quote that divides a cell, later", b"id,name,active,day\n1,\"a\\\",true,x\"\n", Bad("backslash_escape", 2, None)),
    ("an escaped quote within", b"id,name,active,day\n1,\"a \\\"b\\\" c\",true,\n", Bad("backslash_escape", 2, None)),
    ("a stray quote before a backslash", b"id,name,active,day\n1,5\",\"a\\\",\n", Good(1)),
];

#[rustfmt::skip]
const LINE_ENDS: &[Case] = &[
    ("LF", b"id,name,active,day\n7,Parks,true,\n", Good(1)),
    ("CRLF", b"id,name,active,day\r\n7,Parks,true,\r\n", Good(1)),
    ("both", b"id,name,active,day\r\n7,Parks,true,\n8,Lakes,true,\r\n", Good(2)),
    ("none at the end", b"id,name,active,day\n7,Parks,true,", Good(1)),
    ("CR at the end", b"id,name,active,day\n7,Parks,true,\r", Good(1)),
    ("CR CR LF", b"id,name,active,day\r\r\n7,Parks,true,\r\r\n", Bad("lone_carriage_return", 1, None)),
    ("CR CR LF in a row", b"id,name,active,day\n7,Parks,true,\r\r\n", Bad("lone_carriage_return", 2, None)),
    ("CR CR LF behind a quote", b"id,name,active,day\n7,Parks,true,\"\"\r\r\n", Bad("lone_carriage_return", 2, None)),
    ("CR CR LF on a line of its own", b"id,name,active,day\n\r\r\n", Bad("lone_carriage_return", 2, None)),
    ("CR", b"id,name,active,day\r7,Parks,true,\r8,Lakes,true,\r", Bad("lone_carriage_return", 1, None)),
    ("CR between rows", b"id,name,active,day\n7,Parks,true,\r8,Lakes,true,\n", Bad("lone_carriage_return", 2, None)),
    ("CR in a cell", b"id,name,active,day\n7,Par\rks,true,\n", Bad("lone_carriage_return", 2, None)),
    ("CR in a quoted cell", b"id,name,active,day\n7,\"Par\rks\",true,\n", Good(1)),
    ("Ctrl-Z at the end", b"id,name,active,day\n7,Parks,true,\n\x1a", Good(1)),
    ("Ctrl-Z at the end of a row", b"id,name,active,day\r\n7,Parks,true,x\r\n8,Lakes,true,\x1a", Bad("bad_date", 2, Some("day"))),
    ("Ctrl-Z behind a quote", b"id,name,active,day\n7,Parks,\"true\",\"\"\x1a", Good(1)),
    ("Ctrl-Z behind a quote and a CR", b"id,name,active,day\n7,Parks,\"true\",\"\"\r\x1a\x1a", Good(1)),
    ("Ctrl-Z several times", b"id,name,active,day\n7,Parks,true,\n\x1a\x1a\x1a", Good(1)),
    ("Ctrl-Z behind a header", b"id,name,active,day\x1a", Good(0)),
    ("Ctrl-Z within", b"id,name,active,day\n7,Par\x1aks,true,\n", Good(1)),
    ("a byte order mark", b"\xef\xbb\xbfid,name,active,day\n7,Parks,true,\n", Good(1)),
    ("a byte order mark and a quote", b"\xef\xbb\xbf\"id\",name,active,day\n7,Parks,true,\n", Good(1)),
    ("two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbfid,name,active,day\n", Bad("byte_order_mark", 1, None)),
    ("a byte order mark further down", b"id,name,active,day\n\xef\xbb\xbf7,Parks,true,\n", Bad("byte_order_mark", 2, None)),
    ("a byte order mark and the header again", b"\xef\xbb\xbfid,name,active,day\n7,Parks,true,\n\xef\xbb\xbfid,name,active,day\n", Bad("byte_order_mark", 3, None)),
    ("a byte order mark in a cell", b"id,name,active,day\n7,\xef\xbb\xbfParks,true,\n", Good(1)),
];

#[rustfmt::skip]
const OTHER_KINDS: &[Case] = &[
    ("gzip", b"\x1f\x8b\x08\0\0\0\0\0", Bad("not_text", 0, None)),
    ("zip", b"PK\x03\x04\x14\0\x08\0", Bad("not_text", 0, None)),
    ("Excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", Bad("not_text", 0, None)),
    ("a table of HTML", b"<table><tr><td>id</td></tr></table>", Bad("not_text", 0, None)),
    ("UTF-32", b"\xff\xfe\0\0i\0\0\0", Bad("not_text", 0, None)),
    ("HTML", b"<!DOCTYPE html>\n<html><title>Login</title>", Bad("not_text", 0, None)),
    ("XML", b"<?xml version=\"1.0\"?><Error/>", Bad("not_text", 0, None)),
    ("UTF-16", b"\xff\xfei\0d\0\n\0", Bad("utf16", 1, None)),
    ("nothing", b"", Bad("empty_member", 0, None)),
    ("Ctrl-Z only", b"\x1a", Bad("empty_member", 0, None)),
];

#[test]
fn rows_fit_their_header() {
    check(&dataset(',', ""), WIDTH);
}

#[test]
fn the_header_is_a_header() {
    check(&dataset(',', ""), HEADERS);
}

#[test]
fn an_exact_header_has_the_configured_names() {
    check(&dataset(',', r#", "header": "exact""#), EXACT);
}

#[test]
fn quotes_are_those_of_rfc_4180() {
    check(&dataset(',', ""), QUOTES);
}

#[test]
fn line_ends_are_lf_or_crlf() {
    check(&dataset(',', ""), LINE_ENDS);
}

#[test]
fn other_kinds_of_files_are_named() {
    check(&dataset(',', ""), OTHER_KINDS);
}

#[test]
fn the_delimiter_is_the_configured_one() {
    check(
        &dataset(';', ""),
        &[
            ("a line for Excel", b"sep=;\nid;name;active;day\n7;Parks, Lakes;true;\n", Good(1)),
            ("another one", b"id,name,active,day\n7,Parks,true,\n", Bad("wrong_delimiter", 1, None)),
        ],
    );
}

#[test]
fn what_is_wrong_with_a_row_is_told_with_the_first_surplus_cell() {
    let (_, problems, _) =
        transform(&dataset(',', ""), b"id,name,active,day\n7,Parks, Lakes,true,2024-03-01,\"x\"\"\"\n");
    assert_eq!(
        problems.to_string(),
        "groups.csv, line 2: the row has 6 cells and its header names 4; look for a delimiter in an unquoted cell, or a missing line end: \"2024-03-01,\"x\"\"\"\""
    );
}

#[test]
fn the_place_that_is_at_fault_is_pointed_at() {
    for (row, at, column) in [
        ("1,\"a\rb\",P\rQ,", "\\r", None),
        ("1,\" \"\"a\"\"\", \"P\",", " \"P\"", Some("active")),
        ("1,\"q\\\"\"\",\"b\\\",c\"", "\\\"", None),
        ("7,Parks,true,,x,y", "x,y", None),
    ] {
        let (_, problems, _) =
            transform(&dataset(',', ""), format!("id,name,active,day\n{row}\n").as_bytes());
        let problem = problems.reported().first().unwrap();
        let excerpt = problem.excerpt().unwrap();
        assert_eq!((excerpt.at.as_str(), problem.column.as_deref()), (at, column), "{row:?}: {problem}");
    }
}

#[test]
fn dropped_columns_and_empty_rows_are_counted() {
    let (transformed, problems, staged) = transform(
        &dataset(',', ""),
        b"id,name,active,day,note,\xf0\x9f\x8c\xb2\x07\n,,,,,\n7,Parks,true,,x,y\n",
    );
    assert!(problems.is_empty());
    assert_eq!(staged, "id,name,active,day\n7,Parks,true,\n");
    assert_eq!((transformed.rows, transformed.empty_rows), (1, 1));
    assert_eq!(transformed.dropped_columns.count, 2);
    assert_eq!(transformed.dropped_columns.names, ["note", "🌲\\u{7}"]);
}
