//! Tests COPY's CSV, ESCAPE, conversion options and types.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use crate::case;

use super::copy_support::{copy, load_errors, loaded, with_table};
use super::support::stack;

/// With CSV, quotes protect delimiters and line ends, and are doubled inside a field. Blanks around a quoted
/// field are dropped. The default delimiter is a comma; QUOTE and DELIMITER change the characters
/// (`copy-parameters-data-format.md`).
#[tokio::test]
async fn csv() {
    let text = "id,name\n1,\"a,\"\"b\"\"\nc\"\n2, \"d\" \n3, e \n4,\n";
    assert_eq!(
        loaded("id INT, name VARCHAR(20)", text, "FORMAT AS CSV IGNOREHEADER AS 1").await,
        ["1|a,\"b\"\nc", "2|d", "3| e ", "4|"]
    );
    assert_eq!(
        loaded("id INT, name VARCHAR(20)", "1;%a;b%%%\n", "CSV QUOTE '%' DELIMITER ';'").await,
        ["1|a;b%"]
    );
    assert_eq!(
        loaded("id INT, name VARCHAR(20)", "1\tC:\\new\n", "DELIMITER '\\t' CSV").await,
        ["1|C:\\new"]
    );
}

/// With ESCAPE, the character after a backslash is taken as it is, with no octal or other meaning
/// (`copy-parameters-data-conversion.md`).
#[tokio::test]
async fn escape() {
    let text = "id|name\n1|a\\|b\n2|c\\\\d\n3|e\\\nf\n4|\\012\n5|\"g\"\n6|-\n7|\n";
    let rows =
        loaded("id INT, name VARCHAR(20)", text, "NULL AS '-' ESCAPE DELIMITER '|' IGNOREHEADER 1").await;
    assert_eq!(rows, ["1|a|b", "2|c\\d", "3|e\nf", "4|012", "5|\"g\"", "6|~", "7|"]);
    // A line end that is not escaped ends the record (r_COPY_command_examples.md).
    assert_eq!(load_errors("id INT, name VARCHAR(20)", "1|a\nb\n", "ESCAPE").await, ["1203|name"]);
}

/// IGNOREHEADER skips the given number of lines in every file (`copy-parameters-data-conversion.md`).
#[tokio::test]
async fn every_file_has_its_header() {
    let (stack, session) = with_table().await;
    stack.put("p/1", "id,name,day\nsecond\n1,a,\n");
    stack.put("p/2", "id,name,day\nsecond\n2,b,\n");
    session.run(&copy("t", "p/", "CSV IGNOREHEADER 2")).await;
    assert_eq!(session.rows("SELECT id FROM t ORDER BY id").await, ["1", "2"]);
}

/// The options are REMOVEQUOTES, EMPTYASNULL, BLANKSASNULL, TRUNCATECOLUMNS, FILLRECORD, IGNOREBLANKLINES,
/// ACCEPTINVCHARS and TIMEFORMAT 'auto' (`copy-parameters-data-conversion.md`). One trailing delimiter is
/// tolerated (`t_preparing-input-data.md`).
#[tokio::test]
async fn conversion_options() {
    let columns = "id INT, name VARCHAR(5)";
    for (name, text, options, expected) in [
        ("REMOVEQUOTES keeps what is inside", &b"1|\"a|b\"\n"[..], "REMOVEQUOTES", "1|a|b"),
        ("EMPTYASNULL", b"1|\n", "EMPTYASNULL", "1|~"),
        ("blanks are text", b"1|  \n", "", "1|  "),
        ("BLANKSASNULL", b"1|  \n", "BLANKSASNULL", "1|~"),
        ("blanks for a number are NULL", b"  |a\n", "", "~|a"),
        ("TRUNCATECOLUMNS", b"1|abcdefg\n", "TRUNCATECOLUMNS", "1|abcde"),
        ("an excess of blanks goes", b"1|abcde   \n", "", "1|abcde"),
        ("FILLRECORD fills text with nothing", b"1\n", "FILLRECORD", "1|"),
        ("FILLRECORD with EMPTYASNULL", b"1\n", "FILLRECORD EMPTYASNULL", "1|~"),
        ("IGNOREBLANKLINES", b"\n1|a\n\n", "IGNOREBLANKLINES", "1|a"),
        ("ACCEPTINVCHARS", b"1|a\xffb\xc3\n", "ACCEPTINVCHARS", "1|a?b?"),
        ("ACCEPTINVCHARS with a character", b"1|a\xffb\n", "ACCEPTINVCHARS AS '^'", "1|a^b"),
        ("the default null string", b"1|\\N\n", "", "1|~"),
        ("NULL AS", b"1|-\n", "NULL '-'", "1|~"),
        ("one trailing delimiter", b"1|a|\n", "", "1|a"),
        ("a noncharacter is text", b"1|\xef\xb7\x90\n", "", "1|\u{fdd0}"),
    ] {
        case(name);
        assert_eq!(loaded(columns, text, options).await, [expected], "{name}");
    }
    assert_eq!(
        loaded("at TIMESTAMP", "2019-02-11T05:09:12.195Z\n", "TIMEFORMAT 'auto'").await,
        ["2019-02-11 05:09:12.195"]
    );
}

/// Empty fields are '' for text and NULL for every other type (`copy-parameters-data-conversion.md`).
#[tokio::test]
async fn types_take_their_forms() {
    let columns = "a SMALLINT, b INT, c BIGINT, d DECIMAL(6,2), e REAL, f DOUBLE PRECISION, g BOOL, h DATE, i TIMESTAMP, j TIMESTAMPTZ, k CHAR(3), l VARCHAR(3)";
    assert_eq!(loaded(columns, ",,,,,,,,,,,\n", "CSV").await, ["~|~|~|~|~|~|~|~|~|~|   |"]);
    // The excess scale of a DECIMAL is cut, not rounded (no ROUNDEC). Fractions of a second have at most
    // microseconds.
    let row = "-5,7,9000000000,1.239,1.5,1e3,yes,2024-02-29,2024-02-29 23:59:58.119568,2024-02-29 23:59:58+02,ab,é\n";
    assert_eq!(
        loaded(columns, row, "CSV").await,
        [
            "-5|7|9000000000|1.23|1.5|1000|t|2024-02-29|2024-02-29 23:59:58.119568|2024-02-29 21:59:58+00|ab |é"
        ]
    );
    // The forms of a BOOL are those of live/r_Boolean_type.
    let rows = loaded("g BOOL", "t\ntrue\ny\nyes\n1\nf\nfalse\nn\nno\n0\n", "").await;
    assert_eq!(rows.concat(), "tttttfffff");
}

/// The codes are those of live/r_Load_Error_Reference. Lengths are in bytes (`r_Character_types.md`).
#[tokio::test]
async fn what_cannot_be_loaded_has_a_code() {
    for (name, columns, text, expected) in [
        ("one field too many", "a INT, b INT", &b"1,2,3\n"[..], "1202|"),
        ("one field too few", "a INT, b INT", b"1\n", "1203|b"),
        ("text longer in bytes", "a VARCHAR(3)", "éé\n".as_bytes(), "1204|a"),
        ("char too long", "a CHAR(3)", b"abcd\n", "1204|a"),
        ("no such day", "a DATE", b"2024-02-30\n", "1205|a"),
        ("day without leading zeros", "a DATE", b"2024-2-3\n", "1205|a"),
        ("timestamp with a T", "a TIMESTAMP", b"2024-02-01T00:00:00\n", "1206|a"),
        ("timestamp in words", "a TIMESTAMP", b"yesterday\n", "1206|a"),
        ("integer in letters", "a INT", b"x\n", "1207|a"),
        ("integer with a point", "a INT", b"1.0\n", "1207|a"),
        ("float in letters", "a REAL", b"x\n", "1208|a"),
        ("decimal in letters", "a DECIMAL(5,2)", b"x\n", "1209|a"),
        ("neither true nor false", "a BOOL", b"maybe\n", "1210|a"),
        ("empty where NULL may not be", "a INT, b INT NOT NULL", b"1,\n", "1213|b"),
        ("invalid UTF-8", "a VARCHAR(9)", b"a\xffb\n", "1220|a"),
        ("a surrogate in UTF-8", "a VARCHAR(9)", b"a\xed\xa0\x80\n", "1220|a"),
        ("char beyond ASCII", "a CHAR(9)", "é\n".as_bytes(), "1220|a"),
        ("integer too large", "a INT", b"3000000000\n", "1222|a"),
        ("smallint too large", "a SMALLINT", b"40000\n", "1222|a"),
    ] {
        case(name);
        assert_eq!(load_errors(columns, text, "CSV").await, [expected], "{name}");
    }
}

/// A value that PostgreSQL itself would refuse is also a load error, not an error of another kind.
#[tokio::test]
async fn nothing_of_a_file_reaches_postgresql_unchecked() {
    for (name, columns, text) in [
        ("decimal too large", "a DECIMAL(4,2)", "123.4\n"),
        ("float4 too large", "a REAL", "1e99\n"),
        ("float8 too large", "a DOUBLE PRECISION", "1e999\n"),
        ("hexadecimal", "a DOUBLE PRECISION", "0x10\n"),
        ("year zero", "a DATE", "0000-01-01\n"),
        ("year of five digits", "a DATE", "+12345-01-01\n"),
        ("timestamp in year zero", "a TIMESTAMP", "0000-01-01 00:00:00\n"),
        ("fraction without digits", "a TIMESTAMP", "2024-01-01 00:00:00.\n"),
        ("offset too large", "a TIMESTAMPTZ", "2024-01-01 00:00:00+99\n"),
        ("offset of colons", "a TIMESTAMPTZ", "2024-01-01 00:00:00+1:::\n"),
        ("offset in letters", "a TIMESTAMP", "2024-01-01 00:00:00-x\n"),
        ("integer of 128 bits", "a INT", "170141183460469231731687303715884105728\n"),
        ("digit of another script", "a BIGINT", "१\n"),
    ] {
        case(name);
        assert_eq!(load_errors(columns, text, "").await.len(), 1, "{name}");
    }
    for special in ["NaN", "Infinity", "-inf"] {
        case(special);
        loaded("a DOUBLE PRECISION, b REAL", format!("{special}|1.\n"), "").await;
    }
    // A text with a special meaning in PostgreSQL's own COPY.
    let odd = "\\.|\\N\\\\|\t\u{8}\u{b}|x\n";
    assert_eq!(
        loaded("a VARCHAR(9), b VARCHAR(9), c VARCHAR(9), d VARCHAR(9)", odd, "").await,
        ["\\.|\\N\\\\|\t\u{8}\u{b}|x"]
    );
}

/// Columns that are not listed get their DEFAULT, else NULL; the list is in the file's order
/// (`c_loading_default_values.md`). Without a list, IDENTITY columns are left out
/// (`copy-parameters-column-mapping.md`).
#[tokio::test]
async fn columns_that_are_not_listed_get_their_default() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (n INT IDENTITY(1,1), \"Odd \"\"name\" VARCHAR(9), state VARCHAR(9) DEFAULT 'new', rest INT)").await;
    stack.put("f", "5,a\n");
    session.run(&copy("t (rest, \"Odd \"\"name\")", "f", "CSV")).await;
    assert_eq!(session.rows("SELECT \"Odd \"\"name\", state, rest FROM t").await, ["a|new|5"]);
    stack.put("whole", "b,old,6\n");
    session.run(&copy("public.T", "whole", "CSV")).await;
    assert_eq!(session.rows("SELECT \"Odd \"\"name\", state, rest FROM t WHERE rest = 6").await, ["b|old|6"]);
    // EXPLICIT_IDS is required exactly when an IDENTITY column is listed.
    stack.put("ids", "77,7\n");
    session.refused(&copy("t (n, rest)", "ids", "CSV")).await;
    session.run(&copy("t (n, rest)", "ids", "CSV EXPLICIT_IDS")).await;
    assert_eq!(session.only_row("SELECT n FROM t WHERE rest = 7").await, "77");
    assert_eq!(session.refused(&copy("t (nothing)", "f", "CSV")).await.0, "42703");
    // The message is that of apache/airflow#30341.
    session.run("ALTER TABLE t ALTER COLUMN rest SET NOT NULL").await;
    let told =
        ("42601".to_owned(), "NOT NULL column without DEFAULT must be included in column list".to_owned());
    assert_eq!(session.refused(&copy("t (state)", "f", "CSV")).await, told);
}
