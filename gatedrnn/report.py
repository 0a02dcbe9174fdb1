"""The report: one comparison in, one self-contained HTML page out.

Every number and every judgement in the text is computed from the measurements. Names are only repeated, with one
exception: the usual story about RNN, GRU and LSTM is a claim about names, so it is checked under those names.
"""

import base64
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from gatedrnn import plots

Run = Mapping[str, Any]

_LEVELS = {
    "lag_below_1e3": plots.ten_to(-3),
    "lag_below_float32": f"{plots.ten_to(-38)} (zero in float32)",
    "lag_below_float64": f"{plots.ten_to(-308)} (zero in float64)",
}
_SAME = math.log10(2)  # decades; less than this between two configurations is not called a difference
_KEPT = 3  # decades; a gradient norm that stays this near to its start is called kept


class Finding(NamedTuple):
    """A heading, a paragraph and a list below it, all plain text."""

    title: str
    text: str
    points: tuple[str, ...] = ()


class Spread(NamedTuple):
    """Median, smallest and largest over the seeds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Configuration:
    """The runs of one input, cell and initialisation, one per seed."""

    input: str
    cell: str
    init: str
    runs: Sequence[Run]

    @property
    def name(self) -> str:
        """The cell and how it was initialised: "LSTM chrono"."""
        return f"{plots.cell_title(self.cell)} {self.init}"

    @property
    def title(self) -> str:
        """The name and the input: "LSTM chrono, silent"."""
        return f"{self.name}, {plots.input_title(self.input)}"

    @property
    def horizon(self) -> int:
        """The largest lag, in steps."""
        return max(int(run["horizon"]) for run in self.runs)

    @property
    def end(self) -> Spread:
        """log10 of the gradient norm at the largest lag, -inf where it is exactly zero."""
        return _spread(plots.log10_norms(run["log10_norm"])[-1] for run in self.runs)

    @property
    def left(self) -> str:
        """The median gradient norm at the largest lag, in words."""
        return plots.power(self.end.median)

    @property
    def kept(self) -> bool:
        """Whether the gradient norm stays within a factor of a thousand of its start, at every lag, in the median."""
        profiles = [plots.log10_norms(run["log10_norm"]) for run in self.runs]
        starts = [profile[0] if np.isfinite(profile[0]) else 0.0 for profile in profiles]
        changes = [float(np.abs(profile - start).max()) for profile, start in zip(profiles, starts, strict=True)]
        return _spread(changes).median < _KEPT

    def over_seeds(self, key: str) -> Spread:
        """A measured scalar; a lag that was not reached, or a half-life that does not end, is infinite."""
        missing = math.inf if key in (*_LEVELS, "half_life") else math.nan
        return _spread(missing if run[key] is None else run[key] for run in self.runs)

    def verdicts(self) -> str:
        """The first word of the seeds' verdicts; with counts where they differ."""
        counts = Counter(str(run["verdict"]).split()[0].strip(":;,.").lower() for run in self.runs)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{word} ({count} of {len(self.runs)} seeds)" for word, count in counts.most_common())


def html(comparison: Mapping[str, Any]) -> str:
    """Writes a comparison as one HTML page that loads nothing, for a wide or narrow, light or dark screen.

    Args:
        comparison: `runs` (one dict per cell, input, init and seed) and, where there are any, `gate_maps`, `versions`,
            `device`, `command` and `notes`.

    Raises:
        ValueError: no runs.
    """
    runs = comparison["runs"]
    configurations = _configurations(runs)
    title = f"Gradient flow over {_count(max(one.horizon for one in configurations), 'step')}"
    sections = [
        f"<h1>{title}</h1>",
        *(f"<p>{escape(line)}</p>" for line in _introduction(configurations)),
        _waterfall(configurations),
        "<h2>What the measurement says</h2>",
        *map(_section, findings(runs)),
        "<h2>The numbers</h2>",
        _summary(configurations),
        *_gates(comparison.get("gate_maps") or ()),
        "<h2>Each configuration</h2>",
        *(_section(_portrait(one)) for one in configurations),
        "<h2>The verdict on every run</h2>",
        _verdicts(configurations),
        "<h2>How it was measured</h2>",
        _list([*_method(runs), *(comparison.get("notes") or ())]),
        *_provenance(comparison),
    ]
    return _PAGE.format(title=title, style=_colours() + _CSS, body="\n".join(sections))


def findings(runs: Sequence[Run]) -> list[Finding]:
    """What the runs say when compared with each other; a comparison that the runs do not allow is left out."""
    configurations = _configurations(runs)
    found = [
        _ranking(configurations),
        _usual_story(configurations),
        _effect(configurations, "init", "default", "initialisation"),
        _effect(configurations, "input", "silent", "input"),
        _floors(configurations),
        _closed_form(configurations),
        _exponents(configurations),
    ]
    return [finding for finding in found if finding is not None]


def _ranking(configurations: Sequence[Configuration]) -> Finding | None:
    points = []
    for (kind,), group in _by(configurations, "input").items():
        ranked = sorted(group, key=lambda one: -one.end.median)
        best, worst = ranked[0], ranked[-1]
        equals = [one.name for one in ranked if abs(_gain(best, one)) < _SAME]
        verb = "has" if len(equals) == 1 else "have"
        if len(equals) < len(ranked):
            most = f"{_joined(equals)} {verb} the most ({best.left}), {worst.name} the least ({worst.left})."
            points.append(f"{_capital(plots.input_title(kind))}: {most}")
        elif len(ranked) > 1:
            points.append(f"{_capital(plots.input_title(kind))}: all have about the same, {best.left}.")
    text = f"The gradient norm at lag {max(one.horizon for one in configurations):,}:"
    return Finding("Most and least gradient at the horizon", text, tuple(points)) if points else None


def _usual_story(configurations: Sequence[Configuration]) -> Finding | None:
    """The story is borne out where a gated cell keeps its gradient and the RNN, under the same input, does not."""
    outcomes = {
        (True, False): "as the story says: only the {gated} keeps its gradient",
        (False, True): "the other way round: only the RNN keeps its gradient",
        (True, True): "both keep their gradient",
        (False, False): "neither keeps its gradient",
    }
    points, seen = [], []
    for (kind,), group in _by(configurations, "input").items():
        plain = {one.cell: one for one in group if one.init == "default"}
        for cell in ("gru", "lstm"):
            if "rnn" in plain and cell in plain:
                rnn, gated, name = plain["rnn"], plain[cell], plots.cell_title(cell)
                seen.append((gated.kept, rnn.kept))
                start = f"{_capital(plots.input_title(kind))}: RNN {rnn.left}, {name} {gated.left}"
                points.append(f"{start}; {outcomes[seen[-1]].format(gated=name)}.")
    if not seen:
        return None
    borne_out, reversed_ = seen.count((True, False)), (False, True) in seen
    verdict = "holds only in part" if borne_out else "does not hold here" if reversed_ else "does not show here"
    text = (
        "The usual story says that the gradient of a plain RNN vanishes or explodes and that gates keep it. At default "
        f"initialisation, the gradient norm at lag {max(one.horizon for one in configurations):,}:"
    )
    return Finding(f"The usual story {'holds here' if borne_out == len(seen) else verdict}", text, tuple(points))


def _effect(configurations: Sequence[Configuration], field: str, baseline: str, noun: str) -> Finding | None:
    """What changes with `field`, all else equal."""
    points = []
    for group in _by(configurations, *(key for key in plots.KEYS if key != field)).values():
        before = [one for one in group if getattr(one, field) == baseline]
        for one in group if before else ():
            if one is not before[0]:
                lives = [plots.steps(each.over_seeds("half_life").median) for each in (one, before[0])]
                points.append(
                    f"{one.title}: {one.left}, against {before[0].left}: {_change(before[0], one)}. "
                    f"Half-life {lives[0]} steps, against {lives[1]}."
                )
    lag = max(one.horizon for one in configurations)
    text = f"The gradient norm at lag {lag:,}, all else equal, against that with the {baseline} {noun}:"
    return Finding(f"What the {noun} changed", text, tuple(points)) if points else None


def _floors(configurations: Sequence[Configuration]) -> Finding:
    points = []
    for name, floor in plots.FLOORS.items():
        lags = [(one, one.over_seeds(f"lag_below_{name}").median) for one in configurations]
        lost = [f"{one.title} (from lag {lag:,.0f})" for one, lag in lags if math.isfinite(lag)]
        points.append(f"{name}: exactly zero in {len(lost)} of {_count(len(lags), 'configuration')}{_named(lost)}.")
        high = [one.title for one in configurations if one.end.median > floor]
        points += [f"{name}: infinity in {len(high)}{_named(high)}."] if high else []
    return Finding("What plain backpropagation would return at the horizon", "In the format given:", tuple(points))


def _closed_form(configurations: Sequence[Configuration]) -> Finding | None:
    """Measured against closed form, over all lags of all runs that have one; zero against a number counts as a miss."""
    pairs = [(one, run) for one in configurations for run in one.runs if run.get("closed_form_log10_norm") is not None]
    if not pairs:
        return None
    worst, misses = (0.0, "everywhere the same"), 0
    for one, run in pairs:
        measured, exact = (plots.log10_norms(run[key]) for key in ("log10_norm", "closed_form_log10_norm"))
        both = np.isfinite(measured) & np.isfinite(exact)
        misses += int(np.sum(np.isfinite(measured) != np.isfinite(exact)))
        apart = np.abs(np.where(both, measured, 0) - np.where(both, exact, 0))
        at = int(np.argmax(apart))
        worst = max(worst, (float(apart[at]), f"{one.title}, seed {run['seed']}, at lag {run['lags'][at]:,}"))
    text = (
        f"{_count(len(pairs), 'run')} can be checked against the constant-Jacobian closed form ‖(Jᵀ)ᵏ v‖. "
        f"The largest deviation of log10 of the norm, over all lags, is {_number(worst[0])} ({worst[1]})."
    )
    if misses:
        text += f" At {_count(misses, 'lag')} one of the two is exactly zero and the other is not."
    return Finding("Agreement with the closed form", text)


def _exponents(configurations: Sequence[Configuration]) -> Finding | None:
    """Two ways to one number: the slope of the backward profile, and the forward growth of perturbations."""
    pairs = [
        (run["rate_log10_per_step"] * math.log(10), run["lyapunov_max"], f"{one.title}, seed {run['seed']}")
        for one in configurations
        for run in one.runs
        if run["rate_log10_per_step"] is not None and run["lyapunov_max"] is not None
    ]
    if not pairs:
        return None
    slope, exponent, name = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    middle = float(np.median([abs(one[0] - one[1]) for one in pairs]))
    text = (
        "The slope of the gradient's profile going back, times ln 10, and the largest Lyapunov exponent going "
        f"forward are both rates in nats per step. Over {_count(len(pairs), 'run')} they differ by {_number(middle)} "
        f"in the median and by {_number(abs(slope - exponent))} at most ({name}: {_number(slope, 5)} and "
        f"{_number(exponent, 5)}). A profile that is not a pure exponential has no single rate; there the two need "
        "not agree."
    )
    return Finding("Two measurements of one rate", text)


def _introduction(configurations: Sequence[Configuration]) -> list[str]:
    horizon = max(one.horizon for one in configurations)
    cells = _joined(plots.cell_title(cell) for (cell,) in _by(configurations, "cell"))
    inputs = _joined(plots.input_title(kind) for (kind,) in _by(configurations, "input"))
    inits = _joined(init for (init,) in _by(configurations, "init"))
    sizes = _joined(f"{size:,}" for size in sorted({run["hidden_size"] for run in _runs(configurations)}))
    kept = sum(one.kept for one in configurations)
    lost = sum(math.isfinite(one.over_seeds("lag_below_float32").median) for one in configurations)
    return [
        f"To its gradient, a recurrent network read over {_count(horizon, 'step')} is a network "
        f"{_count(horizon, 'layer')} deep: on its way back from the loss the gradient is multiplied by one Jacobian "
        f"per step. If each took away one hundredth, {plots.power(horizon * math.log10(0.99))} would be left.",
        f"Here is what is left, measured. Cells: {cells}, with {sizes} hidden units. Inputs: {inputs}. "
        f"Initialisations: {inits}. Of {_count(len(configurations), 'configuration')}, {kept} keep the gradient "
        f"over the whole horizon, within a factor of 1,000; {lost} fall so low that float32 would return exactly zero.",
    ]


def _portrait(one: Configuration) -> Finding:
    """One configuration in words."""
    sentences = [f"The gradient norm at lag {one.horizon:,} is {_span(one.end, plots.power)}."]
    rate, life, exponent = map(one.over_seeds, ("rate_log10_per_step", "half_life", "lyapunov_max"))
    if not math.isnan(rate.median):
        halves = f": the norm halves every {_span(life, plots.steps)} steps" if math.isfinite(life.median) else ""
        sentences.append(f"The fitted rate is {_span(rate, _number)} decades per step{halves}.")
    lags = {level: one.over_seeds(key) for key, level in _LEVELS.items()}
    reached = [f"{level} at lag {_span(lag, _lag)}" for level, lag in lags.items() if math.isfinite(lag.median)]
    spared = [level for level, lag in lags.items() if math.isinf(lag.median)]
    sentences += [f"The norm falls below {_joined(reached)}."] if reached else []
    sentences += [f"It does not fall below {_joined(spared, 'or')}."] if spared else []
    if not math.isnan(exponent.median):
        sentences.append(f"The largest Lyapunov exponent is {_span(exponent, _number)} nats per step.")
    scales = [run["timescale_quantiles"] for run in one.runs if run.get("timescale_quantiles") is not None]
    if scales:
        endless = [[math.inf if value is None else value for value in quantiles] for quantiles in scales]
        low, middle, high = (plots.steps(float(value)) for value in np.median(endless, axis=0))
        if low == high:
            sentences.append(f"Its units hold their state for {middle} steps.")
        else:
            spread = f"One unit in ten holds its state for less than {low} steps, half for more than {middle}"
            sentences.append(f"{spread}, one in ten for more than {high}.")
    return Finding(f"{one.title}: {one.verdicts()}", " ".join(sentences))


def _method(runs: Sequence[Run]) -> list[str]:
    """What the words mean, and how many measurements stand behind a number."""
    sizes, batches, seeds = (
        _joined(f"{value:,}" for value in sorted({run[key] for run in runs}))
        for key in ("hidden_size", "batch", "seed")
    )
    lines = [
        "Lag: steps between the loss and a state. Carry: all that a cell hands to its next step.",
        "Gradient norm: Euclidean norm of dL/dcarry at a lag. Its exponent is kept apart from its digits, so that "
        f"{plots.ten_to(-4000)} is a number here and not a zero.",
        "Rate: slope of the line fitted to log10 of the norm, in decades per step, negative where the gradient "
        "shrinks. Half-life: steps in which that line falls by a factor of two.",
        "Largest Lyapunov exponent: mean rate at which a small perturbation of the state grows, forward in time.",
        f"Hidden units: {sizes}. Batch: {batches}, over which log10 of the norm is averaged. Seeds: {seeds}. A "
        "number is the median over the seeds; the smallest and the largest stand by it where they differ.",
        "A gradient is called kept where its norm stays within a factor of 1,000 of its start, and two norms about the "
        "same where they are within a factor of two of each other.",
    ]
    if any(run["init"] == "chrono" for run in runs):
        lines.append(
            "Chrono initialisation draws the gates' biases so that their time scales reach up to the horizon "
            "(C. Tallec and Y. Ollivier, “Can recurrent neural networks warp time?”, 2018)."
        )
    return lines


def _configurations(runs: Sequence[Run]) -> list[Configuration]:
    if not runs:
        raise ValueError("`runs` must hold at least one run to report; got none.")
    ordered = plots.in_order(runs, *plots.KEYS)
    groups = groupby(ordered, itemgetter(*plots.KEYS))
    return [Configuration(kind, cell, init, list(seeds)) for (kind, cell, init), seeds in groups]


def _runs(configurations: Sequence[Configuration]) -> list[Run]:
    return [run for one in configurations for run in one.runs]


def _by(configurations: Sequence[Configuration], *fields: str) -> dict[tuple[str, ...], list[Configuration]]:
    groups: dict[tuple[str, ...], list[Configuration]] = {}
    for one in configurations:
        groups.setdefault(tuple(getattr(one, field) for field in fields), []).append(one)
    return groups


def _spread(values: Iterable[float]) -> Spread:
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    return Spread(float(np.median(known)), float(min(known)), float(max(known)))


def _gain(before: Configuration, after: Configuration) -> float:
    """Decades by which the gradient norm at the largest lag differs; 0 between two zeros."""
    ends = before.end.median, after.end.median
    return 0.0 if ends[0] == ends[1] else ends[1] - ends[0]


def _change(before: Configuration, after: Configuration) -> str:
    gain = _gain(before, after)
    if abs(gain) < _SAME:
        return "about the same"
    if math.isinf(gain):
        return "something instead of nothing" if gain > 0 else "nothing instead of something"
    return f"{_number(abs(gain))} decades {'more' if gain > 0 else 'less'}"


def _waterfall(configurations: Sequence[Configuration]) -> str:
    runs = _runs(configurations)
    ends = "; ".join(f"{one.title} {one.left}" for one in configurations)
    alt = f"Gradient norm against lag, both axes logarithmic. At the largest lag: {ends}."
    caption = (
        "At the left edge is the loss; the further right, the further back in time. In a grey band the number format "
        "named there holds nothing but zero (or infinity), so that plain backpropagation would return that."
    )
    return _picture(lambda dark, columns: plots.waterfall(runs, dark=dark, columns=columns), alt, caption)


def _gates(gate_maps: Sequence[Mapping[str, Any]]) -> list[str]:
    if not gate_maps:
        return []
    shown = dict.fromkeys(f"{plots.cell_title(one['cell'])} {one['gate']} gate" for one in gate_maps)
    alt = f"Heat maps of gate activations, units sorted by time scale against time: {_joined(shown)}."
    caption = "Each row of a map is one unit; bright is a gate near 1, dark a gate near 0."

    def draw(dark: bool, columns: int) -> Figure:
        return plots.gate_heatmap(gate_maps, dark=dark, columns=columns)

    return ["<h2>The gates over time</h2>", _picture(draw, alt, caption)]


def _picture(draw: Callable[[bool, int], Figure], alt: str, caption: str) -> str:
    """`draw(dark, columns)` in four versions, of which the browser shows the one that fits screen and taste."""

    def image(dark: bool, across: int) -> str:
        figure = draw(dark, across)
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        data = base64.b64encode(plots.svg(figure, dpi=90).encode()).decode()
        return f'="data:image/svg+xml;base64,{data}" width="{width}" height="{height}"'

    phone, night = "(max-width: 700px)", "(prefers-color-scheme: dark)"
    sources = [(f"{phone} and {night}", True, 1), (phone, False, 1), (night, True, 2)]
    tags = [f'<source media="{media}" srcset{image(dark, across)}>' for media, dark, across in sources]
    fallback = f'<img src{image(False, 2)} alt="{escape(alt)}">'
    picture = f"<picture>{''.join(tags)}{fallback}</picture>"
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _summary(configurations: Sequence[Configuration]) -> str:
    columns: list[tuple[str, str, Callable[[float], str]]] = [
        ("rate (decades per step)", "rate_log10_per_step", _number),
        ("half-life (steps)", "half_life", plots.steps),
        (f"below {plots.ten_to(-3)} (lag)", "lag_below_1e3", _lag),
        ("zero in float32 (lag)", "lag_below_float32", _lag),
        ("zero in float64 (lag)", "lag_below_float64", _lag),
        ("largest Lyapunov exponent (nats per step)", "lyapunov_max", _number),
    ]
    rows = []
    for one in configurations:
        measured = [_cell(*_parts(one.over_seeds(key), words)) for _, key, words in columns]
        names = [_row_header(one.name), _cell(plots.input_title(one.input)), _cell(one.verdicts())]
        rows.append([*names, _cell(*_parts(one.end, plots.power)), *measured])
    headers = [
        "configuration",
        "input",
        "verdict",
        "gradient norm at the horizon",
        *(header for header, _, _ in columns),
    ]
    return _table("Medians over the seeds; smallest and largest below, where they differ", headers, rows)


def _verdicts(configurations: Sequence[Configuration]) -> str:
    rows = [
        [_row_header(one.name), _cell(plots.input_title(one.input)), _cell(str(run["seed"])), _cell(run["verdict"])]
        for one in configurations
        for run in one.runs
    ]
    return _table("One row per run", ["configuration", "input", "seed", "verdict"], rows, style="prose")


def _provenance(comparison: Mapping[str, Any]) -> list[str]:
    parts = []
    for key, title in (("versions", "Versions"), ("device", "Device")):
        entries = (comparison.get(key) or {}).items()
        items = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in entries)
        parts += [f"<h2>{title}</h2>", f"<dl>{items}</dl>"] if items else []
    if comparison.get("command"):
        parts += ["<h2>Command</h2>", f"<pre><code>{escape(comparison['command'])}</code></pre>"]
    return parts


def _section(finding: Finding) -> str:
    points = _list(finding.points) if finding.points else ""
    return f"<h3>{escape(finding.title)}</h3>\n<p>{escape(finding.text)}</p>{points}"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], style: str = "numbers") -> str:
    """A table that scrolls inside its own box, so that the page never does sideways."""
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    table = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    label = f'role="region" tabindex="0" aria-label="{escape(caption)}"'
    return f'<div class="scroll" {label}><table class="{style}">{table}</table></div>'


def _row_header(text: str) -> str:
    return f'<th scope="row">{escape(text)}</th>'


def _cell(text: str, small: str = "") -> str:
    return f"<td>{escape(text)}" + (f"<small>{escape(small)}</small>" if small else "") + "</td>"


def _parts(spread: Spread, words: Callable[[float], str]) -> tuple[str, str]:
    """The median, and the smallest and largest where they read differently."""
    median, low, high = map(words, spread)
    return median, "" if low == high else f"{low} to {high}"


def _span(spread: Spread, words: Callable[[float], str]) -> str:
    median, rest = _parts(spread, words)
    return f"{median} ({rest})" if rest else median


def _number(value: float, digits: int = 3) -> str:
    """Thousands apart, small ones as a power of ten, and a true minus sign: "−0.0191", "1,249", "−2.0×10⁻⁶"."""
    if math.isnan(value):
        return "undefined"
    size = abs(value)
    large = f"{size:,.0f}" if size >= 100 else f"{size:.{digits}g}"
    words = plots.power(math.log10(size)) if 0 < size < 1e-3 else large
    return "−" + words if value < 0 else words


def _lag(value: float) -> str:
    return "not reached" if math.isinf(value) else f"{value:,.0f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _joined(words: Iterable[str], last: str = "and") -> str:
    *rest, end = words
    return f"{', '.join(rest)} {last} {end}" if rest else end


def _named(names: Sequence[str]) -> str:
    return f": {'; '.join(names)}" if names else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _colours() -> str:
    def variables(theme: plots.Theme) -> str:
        ink = f"--page: {theme.background}; --ink: {theme.ink}; --line: {theme.faint}; --band: {theme.bands[0]};"
        return f":root {{ {ink} }}"

    return f"\n{variables(plots.LIGHT)}\n@media (prefers-color-scheme: dark) {{ {variables(plots.DARK)} }}"


_CSS = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 82rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1, h2, h3, p, ul, dl, figcaption { max-width: 46rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .2rem; }
p { margin: .2rem 0 .8rem; }
ul { margin: .2rem 0 .8rem; padding-left: 1.2rem; }
figure { margin: 1.5rem 0; }
figcaption { font-size: .9rem; margin-top: .5rem; }
img { display: block; max-width: 100%; height: auto; }
.scroll, pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
table { overflow-wrap: normal; }
caption { text-align: left; padding: .5rem .7rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .55rem; border-top: 1px solid var(--line); }
thead th { vertical-align: bottom; background: var(--band); min-width: 5.5rem; }
tbody th { white-space: nowrap; background: var(--page); position: sticky; left: 0; }
.numbers td { white-space: nowrap; }
.prose td:last-child { min-width: 18rem; }
small { display: block; opacity: .8; white-space: normal; }
pre { padding: .7rem; background: var(--band); max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
@media (max-width: 700px) { picture { display: block; margin: 0 -.8rem; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
