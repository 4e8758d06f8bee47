"""Runs a peer's `clean(archive, directory)` again and again for a second, and prints what it took, imports not counted."""

import json
import resource
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
        "peak_kibibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(taken))
