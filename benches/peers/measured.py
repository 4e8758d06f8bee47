"""Runs a peer's `clean(archive, directory)` and prints what it took, its imports not counted."""

import json
import resource
import sys
import time


def main(clean):
    archive, directory = sys.argv[1:]
    seconds, processor_seconds = time.monotonic(), time.process_time()
    clean(archive, directory)
    seconds, processor_seconds = time.monotonic() - seconds, time.process_time() - processor_seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "processor_seconds": processor_seconds, "peak_kibibytes": peak}))
