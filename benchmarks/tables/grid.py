"""Table and picture of the random grid, from the record of `python -m benchmarks.speed.grid`."""

import json
from pathlib import Path

from benchmarks.shared import Row, number
from benchmarks.speed.grid import RECORD
from benchmarks.speed.shares import QUESTIONS, by_draw, ratio_of, shares_table
from benchmarks.speed.systems import COMMON
from benchmarks.tables.durations import BUSY

MARKERS = dict(zip(COMMON, "osD", strict=True))


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
    where = f"{devices} on {record['device']['cores']} cores{' beside other work' if record['load'] > BUSY else ''}"
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{record['draws']} draws of seed {record['seed']}: {sizes}, log-uniform, {kept}; {where}. {versions}"


def grid_picture(path: Path) -> None:
    """The ratios against B H, one dot per draw, the bars as lines; nothing before there is a record."""
    if not RECORD.exists():
        return
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    from gatedrnn.plots._style import headline, lay_out, themed

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    draws, shown = by_draw(record["rows"]), QUESTIONS[:2]
    with themed(dark=False) as theme:
        figure, axes = lay_out(len(shown), len(shown), (5.4, 3.8), (0.75, 0.65, 0.5, 0.6))

        def fill(axis: Axes, place: int) -> None:
            question = shown[place]
            for cell, colour in zip(COMMON, theme.cells, strict=False):
                mine = [draw for draw in draws if next(iter(draw.values()))["cell"] == cell]
                units = [row["B"] * row["H"] for row in (next(iter(draw.values())) for draw in mine)]
                ratios = [ratio_of(draw, question) for draw in mine]
                axis.scatter(units, ratios, s=34, c=colour, marker=MARKERS[cell], alpha=0.8, linewidths=0, label=cell)
            axis.set(xscale="log", yscale="log", xlabel="B H")
            for bar in question.bars:
                axis.axhline(bar.ratio, color=theme.ink, linewidth=0.9, linestyle="--", zorder=0)
                words = f" ≤ {bar.ratio:g}\n in {bar.share:.0%}"
                axis.text(1, bar.ratio, words, transform=axis.get_yaxis_transform(), va="center", fontsize=8.5)
            axis.set_title(question.name.replace("`", ""), loc="left")
            ticks = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]
            axis.yaxis.set_major_locator(FixedLocator(ticks))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.grid(alpha=0.6)
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)

        for place, axis in enumerate(axes):
            fill(axis, place)
        axes[0].set_ylabel("our time / theirs")
        axes[-1].legend(frameon=False, fontsize=10)
        headline(figure, "gatedrnn as it comes, at sizes drawn at random", conditions(record).partition(". ")[0])
        figure.savefig(path, dpi=150)
        plt.close(figure)
