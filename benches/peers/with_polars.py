"""The work of staging as a Polars script does it: unpack, read, mark NULLs, rewrite dates, derive a column, write."""

import tarfile

import polars
from measured import main

NULL = "%cmslite-null%"


def clean(archive, directory):
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            frame = polars.read_csv(tar.extractfile(member), infer_schema=False, empty_string_is_null=False)
            if "memo" in frame.columns:
                parts = polars.col("memo").str.split(" - ")
                frame = frame.with_columns(group_name=parts.list.get(1, null_on_oob=True).fill_null(""))
            frame = frame.with_columns(polars.all().replace("-", NULL))
            for column in ("activity_date", "created_dt"):
                if column in frame.columns:
                    frame = frame.with_columns(polars.col(column).str.to_datetime("%Y-%m-%d %H:%M:%S%.f"))
            frame.write_csv(f"{directory}/{member.name}", datetime_format="%Y-%m-%d %H:%M:%S%.6f")


main(clean)
