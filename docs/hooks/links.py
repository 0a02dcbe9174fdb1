"""Names of the library lead to their place in the API, pictures to themselves; formulas become MathML."""

import html
import re

from latex2mathml.converter import convert
from mkdocs.structure.pages import Page

from gatedrnn._registry import CELLS

NAME = re.compile(r"<code>((?:gr|gatedrnn)\.[A-Za-z_.]+?)(\(.*?\))?</code>(?![^<]*</(?:a|h\d)>)")
PICTURE = re.compile(r'<p>(<img [^>]*src="([^"]+)"[^>]*>)</p>')
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, page: Page, **_: object) -> str:
    """After Markdown, before the references are resolved."""
    content = PICTURE.sub(r'<p><a href="\2">\1</a></p>', content)  # a picture opens by itself, as large as it is
    return FORMULA.sub(formula, NAME.sub(link, content))


def link(match: re.Match[str]) -> str:
    """A reference that stays plain code where the API has no such name."""
    name = re.sub(r"^gr\.", "gatedrnn.", match[1])
    if name.removeprefix("gatedrnn.") in CELLS:  # the value; its page is that of the equations
        name = name.replace("gatedrnn.", "gatedrnn.cells.")
    return f'<autoref identifier="{name}" optional>{match[0]}</autoref>'


def formula(match: re.Match[str]) -> str:
    """What browsers draw by themselves."""
    return convert(html.unescape(match[2]), display="block" if match[1] == "div" else "inline")
