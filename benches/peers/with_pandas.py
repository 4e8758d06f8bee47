"""The work of staging as a pandas script does it: unpack, read, mark NULLs, rewrite dates, derive a column, write."""

import tarfile

import pandas
from measured import main

NULL = "%cmslite-null%"


def clean(archive, directory):
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            frame = pandas.read_csv(tar.extractfile(member), dtype=str, keep_default_na=False)
            if "memo" in frame:
                frame["group_name"] = frame["memo"].str.split(" - ").str[1].fillna("")
            frame = frame.replace("-", NULL)
            for column in ("activity_date", "created_dt"):
                if column in frame:
                    frame[column] = pandas.to_datetime(frame[column], format="%Y-%m-%d %H:%M:%S.%f")
            frame.to_csv(f"{directory}/{member.name}", index=False)


main(clean)
