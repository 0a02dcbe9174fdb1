"""Docstrings as the generator of pages reads them: examples as doctests, equations that keep their lines."""

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """The house writes `Example:`, the parser knows `Examples:`."""
        if obj.docstring is not None and not obj.is_alias:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = equations(text) if obj.is_module else text


def equations(text: str) -> str:
    """Paragraphs whose lines are set in columns, or are equations, indented to stay as they are."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        re.sub("^", "    ", part, flags=re.MULTILINE) if place and columns(part) else part
        for place, part in enumerate(paragraphs)
    )


def columns(paragraph: str) -> bool:
    """Whether the lines are not prose."""
    first = paragraph.splitlines()[0]
    return not first.startswith(" ") and bool(re.search(r"\S {3,}\S|^[\w', ]+ += ", paragraph, re.MULTILINE))
