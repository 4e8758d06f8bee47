"""Checks the sources and the version requirements of all crates. Of the crates in the program, checks the licences, the crates in
several versions, and the versions that must not be there.

.ci/advisories checks for advisories.
"""

import json
import pathlib
import re
import subprocess
import sys
from collections import defaultdict

ALLOWED = {"0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"}
ROOT = "cmslite-user-data-to-redshift"
# The fuzz targets have their own workspace.
WORKSPACES = ["Cargo.toml", "fuzz/Cargo.toml"]
# The platforms of the program.
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
# Crates that are in the program in two versions, and why. A new one needs a reason here.
MOST_VERSIONS = 2
RUST_CRYPTO = "aws-config and crc-fast use RustCrypto's former generation, the SDK's other crates its present one"
DOUBLES = {
    "base64": "hyper-util has moved on, aws_lambda_events, lambda_runtime and postgres-protocol have not",
    "block-buffer": RUST_CRYPTO,
    "cpufeatures": RUST_CRYPTO,
    "crypto-common": RUST_CRYPTO,
    "digest": RUST_CRYPTO,
    "sha1": RUST_CRYPTO,
    "syn": "a tool of macros, at build time only: some have moved on to 3",
}
# Versions of crates that must not be in the program, and why.
BANNED = {
    "hyper": (r"0\.", "the AWS SDK's default features bring a second HTTP and TLS of a former generation: take default-https-client"),
    "rustls": (r"0\.(\d|1\d|2[0-2])\.", "the AWS SDK's default features bring a second TLS of a former generation: take default-https-client"),
    "tar": (r"0\.4\.([0-3]?\d|4[0-4])$", "versions before 0.4.45 have a known vulnerability"),
    "devstack": ("", "it is for development and tests, and accepts what production must not"),
}


def is_allowed(expression):
    """Checks whether a choice of an SPDX expression has only allowed licences. The old form has / for OR."""
    words = re.findall(r"[()]|\bOR\b|\bAND\b|[^\s()]+(?: WITH [^\s()]+)?", expression.replace("/", " OR "))
    # Python's `and` and `or` have the precedence of SPDX's. No word of the expression is evaluated as Python.
    python = {"OR": "or", "AND": "and", "(": "(", ")": ")"}
    return eval(" ".join(python.get(word) or str(word in ALLOWED) for word in words))


def why_banned(name, version):
    pattern, why = BANNED.get(name, (None, None))
    return why if pattern is not None and re.match(pattern, version) else None


def asked_wrongly(dependency):
    """Returns what is wrong with a version requirement: there is none, or it allows any version."""
    if dependency.get("path") or dependency["req"].lstrip("^=~") not in ("", "*", "0"):
        return None
    return f"{dependency['name']} is asked for in any version ({dependency['req']})"


for good in ("MIT/Apache-2.0", "GPL-3.0 OR MIT", "ISC AND (Apache-2.0 OR GPL-2.0)", "Apache-2.0 WITH LLVM-exception"):
    assert is_allowed(good), good
for bad in ("GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-2.0 OR LGPL-2.1)", "Apache-2.0 WITH other-exception"):
    assert not is_allowed(bad), bad
for name, good, bad in (("hyper", "1.12.0", "0.14.32"), ("rustls", "0.23.4", "0.21.12"), ("tar", "0.4.46", "0.4.44"), ("tar", "0.5.0", "0.4.5")):
    assert why_banned(name, bad) and not why_banned(name, good), name
assert asked_wrongly({"name": "x", "req": "*"}) and not asked_wrongly({"name": "x", "req": "^0.4"})

def resolved(manifest):
    """Returns the packages of a workspace, for all targets and features."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", manifest]
    return json.loads(subprocess.check_output(command))["packages"]


wrong, built = [], set()
workspaces = [resolved(manifest) for manifest in WORKSPACES]
for packages in workspaces:
    for package in packages:
        name = f"{package['name']} {package['version']}"
        built.add(name)
        if package["source"] is None and pathlib.Path(package["manifest_path"]).is_relative_to(pathlib.Path.cwd()):
            found = filter(None, map(asked_wrongly, package["dependencies"]))
            wrong += [f"{package['manifest_path']}: {what}" for what in found]
        elif not re.match(r"(registry|sparse)\+", package["source"] or ""):
            wrong.append(f"{name} comes from {package['source'] or package['manifest_path']}")

shipped = set()
for target in TARGETS:
    command = ["cargo", "tree", "--locked", "--package", ROOT, "--edges", "normal,build", "--target", target, "--prefix", "none", "--format", "{p}"]
    shipped |= {tuple(line.split()[:2]) for line in subprocess.check_output(command, text=True).splitlines() if line}

packages = [package for package in workspaces[0] if (package["name"], "v" + package["version"]) in shipped]
assert len(packages) == len(shipped), "a package of the tree is not in the metadata"
versions = defaultdict(set)
for package in packages:
    name = f"{package['name']} {package['version']}"
    versions[package["name"]].add(package["version"])
    if why := why_banned(package["name"], package["version"]):
        wrong.append(f"{name} must not be in the program: {why}")
    if not package["license"] or not is_allowed(package["license"]):
        wrong.append(f"{name} has the licence {package['license']}")
several = {name: sorted(found) for name, found in sorted(versions.items()) if len(found) > 1}
wrong += [f"{name} is there in {len(found)} versions" for name, found in several.items() if len(found) > MOST_VERSIONS]
wrong += [f"{name} is there in versions {' and '.join(found)}, for no known reason" for name, found in several.items() if name not in DOUBLES]
wrong += [f"{name} is there in one version only: its reason can go" for name in DOUBLES if name not in several]
print(f"{len(built)} crates, {len(shipped)} of them in the program")
for name, found in several.items():
    print(f"in two versions: {name} {' and '.join(found)}: {DOUBLES.get(name)}")
print("\n".join(sorted(wrong)) or "every source, version and licence is allowed")
sys.exit(bool(wrong))
