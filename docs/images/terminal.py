"""Draws the text of a terminal as an SVG: `python3 docs/images/terminal.py TITLE <text >picture.svg`.

Colours and bold text come from the text's own ANSI escapes. A line that begins with `$ ` is a command. Lines of more than
100 characters are wrapped. The picture of the README is made of parts of a run of the demo:

    { echo '$ cargo run -p devstack -- demo'; cargo run -p devstack -- demo |
      sed -n -e '/^Starting/p; /^[12]\\. /,/^=/p; /^\\$ aws/p; /^The function/,/^$/p; /^cmslite.user_group: /,/^$/p; $p' |
      awk '/^cmslite/ {skip = seen[$0]++} /^$/ {if (skip) {skip = 0; next}} !skip' | sed 's,file:///.*/target,file:///.../target,'; } |
      python3 docs/images/terminal.py 'devstack demo' >docs/images/demo.svg
"""

import html
import itertools
import re
import sys

COLUMNS, CELL, LINE, MARGIN, BAR = 100, 8.4, 19, 16, 34
# Several blanks in a row would be shown as one.
BLANK = "\u00a0"
COLOURS = {31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#a5d6ff", 90: "#9198a1"}
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]")


def characters(line):
    """The characters of a line, each with the SVG attributes that it has."""
    style = {"fill": COLOURS[36], "font-weight": "bold"} if line.startswith("$ ") else {}
    at = 0
    for match in [*ESCAPE.finditer(line), None]:
        for character in line[at : match.start() if match else None]:
            yield character, tuple(style.items())
        if match:
            at = match.end()
            for code in [int(code or 0) for code in match[1].split(";")] if match[1] is not None else []:
                if code == 0:
                    style = {}
                elif code == 1:
                    style["font-weight"] = "bold"
                elif code == 2:
                    style["fill"] = COLOURS[90]
                elif code in COLOURS or code - 60 in COLOURS:
                    style["fill"] = COLOURS.get(code) or COLOURS[code - 60]


def wrapped(line):
    """A line as those that it takes on the terminal, each a list of texts that look alike, with their attributes."""
    left = list(characters(line))
    indent = len(line) - len(line.lstrip(" ")) + 4
    first = True
    while left or first:
        room = COLUMNS if first else COLUMNS - indent
        end = len(left)
        if end > room:
            blank = max((at for at in range(room // 2, room) if left[at][0] == " "), default=room - 1)
            end = blank + 1
        row = [] if first else [(" " * indent, ())]
        for style, group in itertools.groupby(left[:end], key=lambda character: character[1]):
            row.append(("".join(character for character, _ in group), style))
        yield row
        left, first = left[end:], False


def picture(title, text):
    lines = [row for line in text.rstrip().split("\n") for row in wrapped(line)]
    width, height = round(2 * MARGIN + COLUMNS * CELL), BAR + 2 * MARGIN + LINE * len(lines)
    plain = html.escape(ESCAPE.sub("", text.rstrip()))
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d">'
    yield f'<title id="t">{html.escape(title)}</title><desc id="d">{plain}</desc>'
    yield f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/><rect width="{width}" height="{BAR}" rx="8" fill="#21262d"/>'
    for at, colour in enumerate(["#ff5f56", "#ffbd2e", "#27c93f"]):
        yield f'<circle cx="{18 + 20 * at}" cy="{BAR // 2}" r="6" fill="{colour}"/>'
    font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    yield f'<text x="{width // 2}" y="{BAR // 2 + 5}" text-anchor="middle" font-family="{font}" font-size="13" fill="#c9d1d9">{html.escape(title)}</text>'
    yield f'<g font-family="{font}" font-size="14" fill="#e6edf3">'
    for number, row in enumerate(lines):
        pieces = "".join(
            "<tspan" + "".join(f' {name}="{value}"' for name, value in style) + f">{html.escape(text).replace(' ', BLANK)}</tspan>"
            for text, style in row
        )
        if pieces:
            yield f'<text x="{MARGIN}" y="{BAR + MARGIN + LINE * number + 14}">{pieces}</text>'
    yield "</g></svg>"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print("\n".join(picture(sys.argv[1], sys.stdin.read())))
