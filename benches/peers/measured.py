"""Runs a peer's `clean(archive, directory)` again and again for a second, and prints what it took, imports not counted."""

import json
import re
import sys
import time


def main(clean):
    archive, directory = sys.argv[1:]
    runs, began, processor_began = 0, time.monotonic(), time.process_time()
    while runs == 0 or time.monotonic() - began < 1:
        clean(archive, directory)
        runs += 1
    taken = {
        "seconds": (time.monotonic() - began) / runs,
        "processor_seconds": (time.process_time() - processor_began) / runs,
        # Not getrusage's, which begins with what the process had that started this one.
        "peak_kibibytes": int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]),
    }
    print(json.dumps(taken))
