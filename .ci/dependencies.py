"""The crates that the program is made of: where they come from, their licences, and which come in several versions.

Advisories are not looked at: their database is fetched from GitHub, which this check does without. Dependabot tells of them.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict

ALLOWED = {"0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"}
ROOT = "cmslite-user-data-to-redshift"
# For two versions the crates between are to blame, and mend it in time; of a third somebody should know.
MOST_VERSIONS = 2


def is_allowed(expression):
    """Whether one of the choices of an SPDX expression has allowed licences only. The old form has / for OR."""
    words = re.findall(r"[()]|\bOR\b|\bAND\b|[^\s()]+(?: WITH [^\s()]+)?", expression.replace("/", " OR "))
    # Python's own and binds as SPDX's AND does; no word of the expression is left in what it reads.
    python = {"OR": "or", "AND": "and", "(": "(", ")": ")"}
    return eval(" ".join(python.get(word) or str(word in ALLOWED) for word in words))


for good in ("MIT/Apache-2.0", "GPL-3.0 OR MIT", "ISC AND (Apache-2.0 OR GPL-2.0)", "Apache-2.0 WITH LLVM-exception"):
    assert is_allowed(good), good
for bad in ("GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-2.0 OR LGPL-2.1)", "Apache-2.0 WITH other-exception"):
    assert not is_allowed(bad), bad

metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--locked"]))
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
shipped, left = set(), [node for node in nodes if packages[node]["name"] == ROOT]
while left:
    node = left.pop()
    if node not in shipped:
        shipped.add(node)
        dependencies = nodes[node]["deps"]
        left += [dep["pkg"] for dep in dependencies if any(kind["kind"] in (None, "build") for kind in dep["dep_kinds"])]

wrong, versions = [], defaultdict(set)
for package in (packages[node] for node in shipped):
    name = f"{package['name']} {package['version']}"
    versions[package["name"]].add(package["version"])
    if package["name"] != ROOT and not (package["source"] or "").startswith(("registry+", "sparse+")):
        wrong.append(f"{name} comes from {package['source'] or 'a path'}")
    if not package["license"] or not is_allowed(package["license"]):
        wrong.append(f"{name} has the licence {package['license']}")
several = {name: sorted(found) for name, found in sorted(versions.items()) if len(found) > 1}
wrong += [f"{name} is there in {len(found)} versions" for name, found in several.items() if len(found) > MOST_VERSIONS]
print(f"{len(shipped)} crates; in two versions: {', '.join(several) or 'none'}")
print("\n".join(wrong) or "every licence and source is allowed; advisories are not looked at here")
sys.exit(bool(wrong))
