use super::*;
use proptest::prelude::*;

fn dataset(change: impl Fn(String) -> String) -> Dataset {
    let shipped = include_str!("../../../config.d/cmslite_user_group_metadata.json");
    let quoting = shipped.replace("\"quote_cells\": false", "\"quote_cells\": true");
    crate::config::parse("d.json", &change(quoting)).unwrap()
}

fn run(member: &str, input: &[u8], dataset: &Dataset) -> (String, Transformed, Problems) {
    let mut out = Vec::new();
    let mut problems = Problems::default();
    let table = dataset.table_of(member).unwrap();
    let progress = Progress::default();
    let transform = Transform { member: "m.csv", table, dataset, limits: &[], progress: &progress };
    let transformed = transform.run(input, &mut out, &mut problems).unwrap();
    problems.decide(Quoting::Shown);
    (String::from_utf8(out).unwrap(), transformed, problems)
}

fn groups(input: &str) -> (String, Transformed, Problems) {
    run("analytics_group", input.as_bytes(), &dataset(|text| text))
}

#[test]
fn the_header_is_replaced_and_surplus_columns_are_dropped() {
    let (staged, transformed, problems) = groups("a,b,c,d,e\n1,x,t,k,gone\n");
    assert!(problems.is_empty());
    assert_eq!(staged, "id,name,active,site_key\n1,x,t,k\n");
    assert_eq!(transformed.rows, 1);
    let dropped = DroppedColumns { count: 1, names: vec!["e".to_owned()] };
    assert_eq!(transformed.dropped_columns, dropped);
}

#[test]
fn cells_arrive_as_they_were() {
    let (staged, ..) =
        groups("a,b,c,d\r\n007,1.0,NA,None\r\nC:\\new,\"a\"\"b\", lead,\"x,y\"\r\n\"l1\r\nl2\",|,\\N,é\r\n");
    assert_eq!(
        staged,
        "id,name,active,site_key\n007,1.0,NA,None\nC:\\new,\"a\"\"b\", lead,\"x,y\"\n\"l1\r\nl2\",|,\\N,é\n"
    );
}

#[test]
fn null_as_becomes_null_only_where_the_whole_cell_is_it() {
    let (staged, ..) = groups("a,b,c,d\n1,-,--,\n");
    assert_eq!(staged, format!("id,name,active,site_key\n1,{NULL_TEXT},--,\n"));
    let (staged, ..) =
        run("analytics_group", b"a,b,c,d\n1,-,,\n", &dataset(|text| text.replace("\"null_as\": \"-\",", "")));
    assert_eq!(staged, "id,name,active,site_key\n1,-,,\n");
}

#[test]
fn dates_are_rewritten_and_group_names_derived() {
    let input = b"a,b,c,d,e\nu,i,t,Added - Comms - x,2024-03-01 09:15:42.5\nu,i,t,none,\nu,i,t,-,-\n";
    let (staged, ..) = run("analytics_user_activity", input, &dataset(|text| text));
    let rows: Vec<&str> = staged.lines().collect();
    assert_eq!(rows[1], "u,i,t,Added - Comms - x,2024-03-01 09:15:42.500000,Comms");
    assert_eq!(rows[2], "u,i,t,none,,");
    assert_eq!(rows[3], format!("u,i,t,{NULL_TEXT},{NULL_TEXT},"));
}

#[test]
fn a_header_without_rows_is_zero_rows() {
    let (staged, transformed, problems) = groups("\u{feff}a,b,c,d\n\n");
    assert!(problems.is_empty());
    assert_eq!((staged.as_str(), transformed.rows), ("id,name,active,site_key\n", 0));
}

#[test]
fn a_bad_date_names_format_and_text() {
    let (_, _, problems) =
        run("analytics_user_activity", b"a,b,c,d,e\nu,i,t,m,2024-02-30 00:00:00.0\n", &dataset(|text| text));
    assert_eq!(
        problems.to_string(),
        "m.csv, line 2, column activity_date: not a date of the form \"%Y-%m-%d %H:%M:%S.%f\": 2024-02 has no day 30: \"2024-02-30 00:00:00.0\""
    );
}

#[test]
fn reading_stops_when_twenty_problems_are_told() {
    let input = format!("a,b,c,d\n{}", "x\n".repeat(1000));
    let (_, _, problems) = groups(&input);
    assert_eq!(problems.found(), 20);
}

#[test]
fn a_staged_line_leads_back_to_the_members_line() {
    let (staged, transformed, _) = groups("a,b,c,d,e\n\n1,\"x\ny\",3,4,\"p\nq\"\n\n2,2,3,4,\n3,2,3,4,\n");
    assert_eq!(staged.lines().count(), 5);
    // Lines 2 and 3 of the staged file are the first row, which begins on the member's line 3.
    assert_eq!([2, 4, 5].map(|line| transformed.lines.source_line(line)), [Some(3), Some(7), Some(8)]);
}

#[test]
fn a_long_text_in_place_of_a_date_is_cut() {
    let input = format!("a,b,c,d,e\n1,2,3,4,2024-03-01 10:11:12.5{}\n", "x".repeat(100_000));
    let (_, _, problems) = run("analytics_user_activity", input.as_bytes(), &dataset(|text| text));
    let told = problems.reported()[0].to_string();
    assert!(told.contains("`x` at character 22 where its end was expected") && told.len() < 1000, "{told}");
}

proptest! {
    /// The staged file is equal to what the `csv` crate writes for the same cells.
    #[test]
    fn rows_are_written_as_the_csv_crate_writes_them(
        rows in prop::collection::vec(prop::collection::vec("[a,|\"', \r\n\\\\é%-]{0,6}", 5), 1..12),
        always in any::<bool>(),
        crlf in any::<bool>(),
        delimiter in prop::sample::select(vec![',', '|']),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter as u8)
            .quote_style(if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .from_writer(Vec::new());
        writer.write_record(["a", "b", "c", "d", "e"]).unwrap();
        let mut expected = csv::Writer::from_writer(Vec::new());
        expected.write_record(["id", "name", "active", "site_key"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let rows: Vec<_> = rows.iter().filter(|row| row.iter().any(|cell| !cell.is_empty())).collect();
        for row in &rows {
            expected.write_record(row[..4].iter().map(|cell| if cell == "-" { NULL_TEXT } else { cell })).unwrap();
        }
        let dataset = dataset(|text| text.replace("\"delim\": \",\"", &format!("\"delim\": \"{delimiter}\"")));
        let (staged, transformed, problems) = run("analytics_group", &writer.into_inner().unwrap(), &dataset);
        prop_assert!(problems.is_empty(), "{problems}");
        prop_assert_eq!(staged, String::from_utf8(expected.into_inner().unwrap()).unwrap());
        prop_assert_eq!(transformed.rows, rows.len() as u64);
    }
}

#[test]
fn rows_of_empty_cells_are_left_out_and_counted() {
    let dataset = dataset(|text| {
        let columns = "\"columns\": [\"id\", \"name\", \"active\", \"site_key\"]";
        text.replace(columns, "\"columns\": [\"id\"]").replace("\"column_count\": 4", "\"column_count\": 1")
    });
    let (staged, transformed, _) = run("analytics_group", b"a\n\"\"\nx\n", &dataset);
    assert_eq!((staged.as_str(), transformed.rows, transformed.empty_rows), ("id\nx\n", 1, 1));
    let (staged, transformed, problems) =
        groups("a,b,c,d,e\n,,,,\n1,,,,\n,\n,,,,,,,\n\"\",,,\"\",\n\n , , , ,\n");
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(staged, "id,name,active,site_key\n1,,,\n , , , \n");
    assert_eq!((transformed.rows, transformed.empty_rows), (2, 4));
}

/// Commas are between all cells: dates, also in the first column, empty cells, nulls and quoted cells.
#[test]
fn commas_stand_between_cells_of_every_kind() {
    let dataset = dataset(|text| {
        text.replace(
            "{\"field\": \"activity_date\"",
            "{\"field\": \"user_id\", \"format\": \"%Y\"}, {\"field\": \"activity_date\"",
        )
    });
    let (staged, ..) = run(
        "analytics_user_activity",
        b"a,b,c,d,e\n2024,,-,\"x\",2024-03-01 09:15:42.5\n,,,x,\n-,\"\",\"q\"\"\",\",\",-\n",
        &dataset,
    );
    let rows: Vec<&str> = staged.lines().skip(1).collect();
    let null = NULL_TEXT;
    let expected = [
        format!("2024-01-01 00:00:00,,{null},x,2024-03-01 09:15:42.500000,"),
        ",,,x,,".to_owned(),
        format!("{null},,\"q\"\"\",\",\",{null},"),
    ];
    assert_eq!(rows, expected);
}
