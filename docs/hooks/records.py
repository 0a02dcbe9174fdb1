"""What pages show and other files hold: pictures of the records, the changelog, and what `--help` prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pictures under `pictures/`, the changelog and the notes."""
    for path in sorted((ROOT / "benchmarks" / "results").rglob("*.png")):
        name = path.relative_to(ROOT / "benchmarks" / "results").as_posix()
        files.append(File.generated(config, f"pictures/{name}", abs_src_path=str(path)))
    for source, name in (("CHANGELOG.md", "changelog.md"), ("benchmarks/NOTES.md", "performance/notes.md")):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Fills `<!-- help: COMMAND -->`; `gatedrnn` stands for the whole."""
    return re.sub(r"<!-- help: (\w+) -->", lambda match: told(match[1]), markdown)


def told(command: str) -> str:
    """What the command prints, in a block."""
    plain = os.environ | {"COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    commands = [] if command == "gatedrnn" else [command]
    run = [sys.executable, "-m", "gatedrnn", *commands, "--help"]
    done = subprocess.run(run, env=plain, capture_output=True, text=True, encoding="utf-8", check=True)
    return f"```text\n{done.stdout.replace('python -m gatedrnn', 'gatedrnn').strip()}\n```"
