"""The work of staging as DuckDB does it: unpack, and one statement for each file that reads, cleans and writes."""

import tarfile
from pathlib import Path

import duckdb
from measured import main

NULL = "%cmslite-null%"
DATES = ("activity_date", "created_dt")


def clean(archive, directory):
    unpacked = Path(directory, "unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    for file in unpacked.iterdir():
        source = f"read_csv('{file}', all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"')"
        columns = [name for name, *_ in duckdb.sql(f"DESCRIBE FROM {source}").fetchall()]
        select = [
            f"strftime(strptime({name}, '%Y-%m-%d %H:%M:%S.%f'), '%Y-%m-%d %H:%M:%S.%f') AS {name}"
            if name in DATES
            else f"CASE {name} WHEN '-' THEN '{NULL}' ELSE coalesce({name}, '') END AS {name}"
            for name in columns
        ]
        if "memo" in columns:
            select.append("split_part(memo, ' - ', 2) AS group_name")
        duckdb.sql(f"COPY (SELECT {', '.join(select)} FROM {source}) TO '{directory}/{file.name}' (HEADER)")


main(clean)
