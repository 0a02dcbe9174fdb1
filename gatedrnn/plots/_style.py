"""The looks that all figures share: colours, the grid of panels, the headline, room for labels, and the files.

Colours: M. Okabe and K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/; three more for as many
cells as the package has, and two of one's own.
"""

import io
import math
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text

DPI = 100
NO_LETTER = "▯"
PITCH = 0.215  # inches from one direct label to the next


class Theme(NamedTuple):
    """The colours of a figure; `bands` for float32 and float64, `cells` in order of appearance."""

    background: str
    ink: str
    faint: str
    bands: tuple[str, str]
    cells: tuple[str, ...]


LIGHT = Theme(
    background="#ffffff",
    ink="#1f2328",
    faint="#d5dae0",
    bands=("#eef0f3", "#dbdfe4"),
    cells=(
        "#D55E00",
        "#009E73",
        "#0072B2",
        "#CC79A7",
        "#E69F00",
        "#56B4E9",
        "#000000",
        "#882255",
        "#999933",
        "#8C6BB1",
    ),
)

DARK = Theme(
    background="#0f1318",
    ink="#e6e9ee",
    faint="#39414b",
    bands=("#1b2128", "#29313a"),
    cells=(
        "#D55E00",
        "#009E73",
        "#56B4E9",
        "#CC79A7",
        "#E69F00",
        "#0072B2",
        "#F0E442",
        "#B2DF8A",
        "#B39DDB",
        "#C08A5A",
    ),
)


def save(figure: Figure, stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Writes `stem.png` (160 dots per inch) and `stem.svg`, each whole or not at all; equal figures, equal bytes."""
    paths = Path(f"{os.fspath(stem)}.png"), Path(f"{os.fspath(stem)}.svg")
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=paths[0].parent) as draft:
        for path in paths:
            try:
                _write(figure, Path(draft, path.name), path.suffix[1:])
            except OSError as error:
                error.filename = error.filename or str(path)  # a full disk says no name
                raise
            os.replace(Path(draft, path.name), path)
    return paths


def svg(figure: Figure, *, dpi: int = 160) -> str:
    """The figure as the text of an SVG file, its gate maps at `dpi` dots per inch; equal figures give equal text."""
    buffer = io.BytesIO()
    _write(figure, buffer, "svg", dpi)
    return buffer.getvalue().decode()


def _write(figure: Figure, target: Any, kind: str, dpi: int = 160) -> None:
    """Text becomes paths, so that an SVG looks alike where the font is missing; no date, and ids from a fixed salt."""
    with _defaults({"svg.hashsalt": "gatedrnn", "svg.fonttype": "path"}):
        texts: list[Any] = figure.findobj(Text)
        for text in texts:
            text.set_text(drawable(text.get_text(), text.get_fontproperties()))
        figure.savefig(target, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)


def drawable(words: str, font: Any) -> str:
    """Words with a box for each letter that the font lacks: names of files and columns are anybody's."""
    known = get_font(findfont(font))
    return "".join(sign if sign == "\n" or known.get_char_index(ord(sign)) else NO_LETTER for sign in words)


@contextmanager
def _defaults(settings: Mapping[Any, Any]) -> Iterator[None]:
    """Matplotlib as shipped plus `settings`, whatever style the user has set; theirs is back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


@contextmanager
def themed(dark: bool) -> Iterator[Theme]:
    theme = DARK if dark else LIGHT
    names = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
    colours: dict[str, Any] = dict.fromkeys(names, theme.ink)
    colours |= {"figure.facecolor": theme.background, "axes.facecolor": theme.background, "grid.color": theme.faint}
    sizes = {"font.size": 11, "axes.titlesize": 12, "axes.linewidth": 0.8, "grid.linewidth": 0.6}
    with _defaults({**colours, **sizes, "text.parse_math": False}):
        yield theme


def lay_out(
    count: int, columns: int, panel: tuple[float, float], margins: tuple[float, float, float, float], tail: float = 0
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes of `panel` inches, row by row below a head for the title.

    The margins left, right, above and below each, and the tail right of all, are in inches.
    """
    left, right, above, below = margins
    columns = min(columns, count)
    across, down, head = left + panel[0] + right, above + panel[1] + below, 0.75
    width, height = columns * across + tail, math.ceil(count / columns) * down + head
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        x, y = column * across + left, height - head - row * down - above - panel[1]
        axes.append(figure.add_axes((x / width, y / height, panel[0] / width, panel[1] / height)))
    return figure, axes


def headline(figure: Figure, title: str, subtitle: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.2 / width, 1 - 0.13 / height, title, va="top", fontsize=15, fontweight="bold")
    wrapped = textwrap.fill(subtitle, int(width / 0.08))
    figure.text(0.2 / width, 1 - 0.45 / height, wrapped, va="top", fontsize=10.5)


def readable(hue: str, theme: Theme) -> tuple[float, ...]:
    """The hue of a line mixed with ink, since thin letters need more contrast than a thick line."""
    return tuple(0.6 * a + 0.4 * b for a, b in zip(to_rgb(hue), to_rgb(theme.ink), strict=True))


def roomy(values: Iterable[float], place: Callable[[float], float]) -> list[float]:
    """Those values, the first before the later ones, whose places in inches leave room for a label at each; sorted."""
    chosen: list[float] = []
    for value in values:
        if all(abs(place(value) - place(other)) >= PITCH for other in chosen):
            chosen.append(value)
    return sorted(chosen)
