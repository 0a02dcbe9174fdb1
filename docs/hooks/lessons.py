"""The notebooks as pages, as they were run: text as it is, code and outputs in their order. Nothing is run again."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page per notebook, and its pictures."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pictures: dict[str, bytes] = {}
        page = as_page(json.loads(path.read_text(encoding="utf-8")), path.stem, pictures)
        files.append(File.generated(config, f"lessons/{path.stem}.md", content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, f"lessons/{name}", content=content))
    return files


def as_page(notebook: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """The page; its pictures are added to `pictures`."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(formulas(plain(source)))
            continue
        parts.append(fenced(source, "python"))
        parts += [shown(output, name, pictures) for output in cell.get("outputs", ())]
    return "\n\n".join(parts)


def shown(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """One output of a cell."""
    if output["output_type"] == "stream":
        return fenced("".join(output["text"]).rstrip(), "text")
    data = output.get("data", {})
    if "image/png" in data:
        picture = f"{name}-{len(pictures)}.png"
        pictures[picture] = base64.b64decode("".join(data["image/png"]))
        return f"![What the cell above draws]({picture})"
    if "text/markdown" in data:
        return formulas("".join(data["text/markdown"]))
    return fenced("".join(data.get("text/plain", ())), "text")


def fenced(text: str, language: str) -> str:
    """A block whose fence is in no line of it."""
    return f"````{language}\n{text}\n````"


def plain(text: str) -> str:
    """A picture that is loaded from elsewhere becomes its words, a link what it was."""
    return re.sub(r"!\[(.*?)\]\(https?://.*?\)", r"\1", text)


def formulas(text: str) -> str:
    """A formula on lines of its own stands apart from the text around it, as Markdown wants."""
    return re.sub(r"\n?(\$\$.*?\$\$)\n?", r"\n\n\1\n\n", text, flags=re.DOTALL)
