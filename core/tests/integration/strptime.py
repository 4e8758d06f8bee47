"""Answers each line [format, value] with what datetime.strptime makes of it, null where it refuses. The version comes first."""

import json
import re
import sys
from datetime import datetime

print(json.dumps(sys.version_info[:2]))
for line in sys.stdin.buffer:
    form, value = json.loads(line)
    try:
        answer = datetime.strptime(value, form).isoformat(" ")
    except (ValueError, re.error, IndexError):
        # A directive given twice is an error of `re`. Up to 3.8, a lower-case z for %z is an IndexError.
        answer = None
    print(json.dumps(answer))
