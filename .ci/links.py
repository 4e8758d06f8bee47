"""Checks that each relative link in a Markdown file, and each `docs/....md` in source, templates and scripts, leads to a file
and, if it has an anchor, to a heading. Web addresses are not checked, so no network is needed.

`python3 .ci/links.py` checks the repository that contains it; `python3 .ci/links.py --self-test` tests this program.
"""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\s*\[[^\]]+\]:\s*(\S+)|(?:src|srcset|href)=\"([^\"]+)\"", re.MULTILINE)
NAMED = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
# The changelog names documents of earlier versions that no longer exist.
HISTORY = "CHANGELOG.md"


def without_code(text):
    """The text without fenced blocks and code spans, line by line."""
    lines, fence = [], None
    for line in text.splitlines():
        begin = re.match(r"\s*(```+|~~~+)", line)
        if begin and fence is None:
            fence = begin[1]
        elif fence is not None and line.strip() == fence:
            fence = None
        elif fence is None:
            lines.append(re.sub(r"`[^`]*`", "", line))
            continue
        lines.append("")
    return "\n".join(lines)


def anchors(text):
    """The anchors that GitHub gives the headings of a Markdown text."""
    found, fence = {}, False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fence = not fence
        heading = None if fence else re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            number = found.get(slug, 0)
            found[slug] = number + 1
            if number:
                found[f"{slug}-{number}"] = 1
    return set(found)


def broken(files):
    """What is wrong with the links of files, given as a map from their paths to their texts (None: not a text)."""
    paths = {pathlib.PurePosixPath(path) for path in files}
    folders = {folder for path in paths for folder in path.parents}

    def check(origin, target):
        name, _, anchor = target.partition("#")
        parts = []
        for part in (origin.parent / name if name else origin).parts:
            if part == "..":
                if not parts:
                    return "leads out of the repository"
                parts.pop()
            elif part != ".":
                parts.append(part)
        path = pathlib.PurePosixPath(*parts)
        if path not in paths and path not in folders:
            return "leads to no file"
        if anchor and anchor not in anchors(files.get(str(path)) or ""):
            return "leads to no heading"
        return None

    for name in sorted(files):
        text, path = files[name], pathlib.PurePosixPath(name)
        if text is None:
            continue
        if path.suffix == ".md":
            for match in LINK.finditer(without_code(text)):
                target = next(group for group in match.groups() if group)
                if not re.match(r"[a-z][a-z0-9+.-]*:", target) and (why := check(path, target)):
                    yield f"{name}: {target} {why}"
        # Tests and tools may have examples. A real path has an existing first directory.
        if name != HISTORY and path.name != "links.py":
            for target in NAMED.findall(text):
                if why := check(pathlib.PurePosixPath("x"), target):
                    yield f"{name}: names {target}, which {why}"


def self_test():
    files = {
        "a.md": "# One `two`\n[x](b/c.md#h-2) [y](b) [z](#one-two) [w](https://x.y/z)\n```\n[no](no.md)\n```\n`[no](no.md)`\n",
        "b/c.md": "# H\n# H 2\n[up](../a.md) ![i](i.png)\n",
        "b/i.png": None,
    }
    assert list(broken(files)) == [], list(broken(files))
    for name, line, why in [
        ("a.md", "[x](gone.md)", "leads to no file"),
        ("a.md", "[x](b/c.md#gone)", "leads to no heading"),
        ("a.md", "[x](#gone)", "leads to no heading"),
        ("b/c.md", "[x](../../a.md)", "leads out of the repository"),
        ("b/c.md", "<img src=\"gone.svg\">", "leads to no file"),
        ("b/c.md", "[x]: gone.md", "leads to no file"),
        ("b/i.txt", "see docs/gone.md#x", "leads to no file"),
    ]:
        found = list(broken({**files, name: (files.get(name) or "") + line + "\n"}))
        assert len(found) == 1 and found[0].endswith(why), (line, found)


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = pathlib.Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    files = {}
    for name in filter(None, names):
        path = root / name
        if path.is_file():
            try:
                files[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                files[name] = None
    found = list(broken(files))
    print("\n".join(found) or f"{len(files)} files: every link leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
