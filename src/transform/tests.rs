use super::*;

fn dataset(change: impl Fn(String) -> String) -> Dataset {
    crate::config::parse("d.json", &change(include_str!("../../config.d/cmslite_user_group_metadata.json").to_owned())).unwrap()
}

fn run(member: &str, input: &[u8], dataset: &Dataset) -> (String, Tally, Problems) {
    let mut out = Vec::new();
    let mut problems = Problems::default();
    let table = dataset.table_of(member).unwrap();
    let tally = transform("m.csv", input, table, dataset, &mut out, &mut problems).unwrap();
    (String::from_utf8(out).unwrap(), tally, problems)
}

fn groups(input: &str) -> (String, Tally, Problems) {
    run("analytics_group", input.as_bytes(), &dataset(|text| text))
}

#[test]
fn the_header_is_replaced_and_surplus_columns_are_dropped() {
    let (staged, tally, problems) = groups("a,b,c,d,e\n1,x,t,k,gone\n");
    assert!(problems.is_empty());
    assert_eq!(staged, "id,name,active,site_key\n1,x,t,k\n");
    assert_eq!(tally.rows, 1);
}

#[test]
fn cells_arrive_as_they_were() {
    let (staged, ..) = groups("a,b,c,d\r\n007,1.0,NA,None\r\nC:\\new,\"a\"\"b\", lead,\"x,y\"\r\n\"l1\r\nl2\",|,\\N,é\r\n");
    assert_eq!(staged, "id,name,active,site_key\n007,1.0,NA,None\nC:\\new,\"a\"\"b\", lead,\"x,y\"\n\"l1\r\nl2\",|,\\N,é\n");
}

#[test]
fn null_as_becomes_null_only_where_the_whole_cell_is_it() {
    let (staged, ..) = groups("a,b,c,d\n1,-,--,\n");
    assert_eq!(staged, format!("id,name,active,site_key\n1,{NULL_TEXT},--,\n"));
    let (staged, ..) = run("analytics_group", b"a,b,c,d\n1,-,,\n", &dataset(|text| text.replace("\"null_as\": \"-\",", "")));
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
    let (staged, tally, problems) = groups("\u{feff}a,b,c,d\n\n");
    assert!(problems.is_empty());
    assert_eq!((staged.as_str(), tally.rows), ("id,name,active,site_key\n", 0));
}

#[test]
fn a_bad_date_names_format_and_text() {
    let (_, _, problems) = run("analytics_user_activity", b"a,b,c,d,e\nu,i,t,m,2024-02-30 00:00:00.0\n", &dataset(|text| text));
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
    let (staged, tally, _) = groups("a,b,c,d,e\n\n1,\"x\ny\",3,4,\"p\nq\"\n\n2,2,3,4,\n3,2,3,4,\n");
    assert_eq!(staged.lines().count(), 5);
    // Line 2 and 3 hold the first row, which begins on line 3.
    assert_eq!([2, 4, 5].map(|line| tally.lines.source_line(line)), [Some(3), Some(7), Some(8)]);
}

#[test]
fn what_is_left_over_behind_a_date_is_cut() {
    let input = format!("a,b,c,d,e\n1,2,3,4,2024-03-01 10:11:12.5{}\n", "x".repeat(100_000));
    let (_, _, problems) = run("analytics_user_activity", input.as_bytes(), &dataset(|text| text));
    let told = problems.told()[0].to_string();
    assert!(told.contains("is left over at its end") && told.len() < 1000, "{}", told.len());
}
