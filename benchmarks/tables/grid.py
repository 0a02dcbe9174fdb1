"""Table and picture of the random grid, from the record of `python -m benchmarks.speed.grid`."""

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.shared import Row, number
from benchmarks.speed.grid import RECORD
from benchmarks.speed.shares import QUESTIONS, Question, by_draw, ratio_of, shares_table
from benchmarks.speed.systems import COMMON, OURS
from benchmarks.tables.durations import BUSY
from gatedrnn._registry import CELLS
from gatedrnn.plots._style import Theme, headline, lay_out, themed

MARKERS = dict(zip(COMMON, "osD", strict=True))
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20)
TICKS_NEAR = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3)


def grid_table() -> str:
    """How the ratios stand against the bars, and what was drawn; before there is a record, how one is made."""
    if not RECORD.exists():
        return "`python -m benchmarks.speed.grid` measures this table; there is no record of it yet."
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    return f"{shares_table(record['rows'])}\n\n{conditions(record)}."


def conditions(record: Row) -> str:
    """What was drawn, and where it was measured."""
    limits = record["limits"]
    spans = zip("BDHT", limits["least"], limits["most"], strict=True)
    sizes = ", ".join(f"{letter} {number(low, ',')} to {number(high, ',')}" for letter, low, high in spans)
    kept = f"within {number(limits['bytes'] / 1e9, 'g')} GB and {number(limits['seconds'], 'g')} s"
    devices = f"{record['devices']} device{'s' if record['devices'] > 1 else ''}"
    processes = f"{record['processes']} process{'es' if record['processes'] > 1 else ''} each"
    beside = " beside other work" if record["load"] > BUSY else ""
    where = f"{processes}, {devices} on {record['device']['cores']} cores{beside}"
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{record['draws']} draws of seed {record['seed']}: {sizes}, log-uniform, {kept}; {where}. {versions}"


def grid_picture(path: Path) -> None:
    """The ratios against B H, one dot per draw, the bars as lines; nothing before there is a record."""
    if not RECORD.exists():
        return
    import matplotlib.pyplot as plt

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    draws, shown = by_draw(record["rows"]), QUESTIONS
    with themed(dark=False) as theme:
        figure, axes = lay_out(len(shown), len(shown), (4.3, 3.8), (0.75, 0.95, 0.4, 0.6))
        for axis, question in zip(axes, shown, strict=True):
            scatter(axis, draws, question, theme)
        axes[0].set_ylabel("our time / theirs")
        axes[-1].legend(frameon=False, fontsize=10, loc="lower left", bbox_to_anchor=(1, 0), handletextpad=0)
        drawn = conditions(record).partition(". ")[0]
        headline(figure, "gatedrnn as it comes, at sizes drawn at random", f"{drawn}; dashed: what is wanted")
        figure.savefig(path, dpi=150)
        plt.close(figure)


def scatter(axis: Axes, draws: list[dict[str, Row]], question: Question, theme: Theme) -> None:
    """One panel: a question's answers, coloured by cell, and its bars."""
    points = [(draw[OURS[0]], ratio_of(draw, question)) for draw in draws]
    for cell, colour in zip(COMMON, theme.cells, strict=False):
        mine = [(row["B"] * row["H"], ratio) for row, ratio in points if row["cell"] == cell]
        units, ratios = [x for x, _ in mine], [y for _, y in mine]
        axis.scatter(units, ratios, s=34, c=colour, marker=MARKERS[cell], alpha=0.8, linewidths=0, label=CELLS[cell])
    for bar, side in zip(question.bars, ("top", "bottom"), strict=False):  # the second is the higher one
        axis.axhline(bar.ratio, color=theme.ink, linewidth=0.9, linestyle="--", zorder=0)
        words, place = f" ≤ {bar.ratio:g} in {bar.share:.0%}", axis.get_yaxis_transform()
        axis.text(1, bar.ratio, words, transform=place, va=side, fontsize=9)
    axis.set(xscale="log", yscale="log", xlabel="B H (units of all sequences)")
    axis.set_title(question.name.replace("`", ""), loc="left")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(FixedLocator(TICKS_NEAR if high / low < 3 else TICKS))
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        each.set_minor_locator(NullLocator())
    axis.grid(alpha=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
