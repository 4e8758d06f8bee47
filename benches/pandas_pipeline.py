"""The work of staging as a pandas script does it: unpack, read, rewrite dates, mark NULLs, write. For comparison only."""

import json
import resource
import sys
import tarfile
import time

import pandas

archive, directory = sys.argv[1:]
begun = time.monotonic()
with tarfile.open(archive) as tar:
    for member in tar.getmembers():
        frame = pandas.read_csv(tar.extractfile(member), dtype=str, keep_default_na=False)
        frame = frame.replace("-", "%null%")
        for column in ("activity_date", "created_dt"):
            if column in frame:
                frame[column] = pandas.to_datetime(frame[column], format="%Y-%m-%d %H:%M:%S.%f")
        if "memo" in frame:
            frame["group_name"] = frame["memo"].str.split(" - ").str[1]
        frame.to_csv(f"{directory}/{member.name}.staged", index=False)
took = time.monotonic() - begun
print(json.dumps({"seconds": took, "peak_kibibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
