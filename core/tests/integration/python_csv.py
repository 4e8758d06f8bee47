"""Answers each line [text, delimiter] with the rows that csv.reader finds in strict mode, null where it refuses."""

import csv
import io
import json
import sys

for line in sys.stdin.buffer:
    text, delimiter = json.loads(line)
    try:
        answer = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        answer = None
    print(json.dumps(answer))
