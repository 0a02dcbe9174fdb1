"""Runs the commands that the documentation shows, page by page, and writes what they print below each.

python -m benchmarks.tables.commands            of all pages
python -m benchmarks.tables.commands race       of docs/commands/race.md

A page's commands run one after the other in a folder of their own, in which a series lies, `tide.csv`:
`<!-- run: COMMAND -->` ... `<!-- end -->`.
"""

import argparse
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.shared import ROOT

WIDTH = "100"  # columns of the terminal that the commands believe in


def shown(command: str, folder: str) -> str:
    """The command and what it prints, as a block; it must end well."""
    program, *arguments = shlex.split(command)
    assert program == "gatedrnn"
    plain = os.environ | {"COLUMNS": WIDTH, "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(run, cwd=folder, env=plain, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    return "\n".join(["```sh", command, "```", "", "```text", *lines, "```"])


def filled(text: str) -> str:
    """A page with what its commands print now."""
    with tempfile.TemporaryDirectory() as folder:
        hours = range(2_000)
        tide = [f"{math.sin(hour / 2) + math.sin(hour / 30):.4f},{5 + 3 * math.cos(hour / 30):.4f}" for hour in hours]
        Path(folder, "tide.csv").write_text("\n".join(["height,wind", *tide]) + "\n", encoding="utf-8")

        def fill(match: re.Match[str]) -> str:
            return f"{match[1]}\n{shown(match[2], folder)}\n{match[3]}"

        return re.sub(r"(<!-- run: (.*?) -->)\n.*?(<!-- end -->)", fill, text, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commands", nargs="*", help="whose pages; all by default")
    pages: list[Path] = sorted((ROOT / "docs" / "commands").glob("*.md"))
    wanted = parser.parse_args().commands or [page.stem for page in pages]
    for page in pages:
        if page.stem in wanted:
            page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
