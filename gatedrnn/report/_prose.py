"""The running text around the findings: the introduction, each configuration in words, and the method."""

import math
from collections.abc import Sequence

import numpy as np

from gatedrnn import plots
from gatedrnn._words import counted
from gatedrnn.flow._scalars import USABLE
from gatedrnn.report._configurations import LEVELS, Configuration, Run, group_by, runs_of
from gatedrnn.report._findings import Finding
from gatedrnn.report._words import joined, number, scalar_in_words, span


def introduction(configurations: Sequence[Configuration]) -> list[str]:
    horizon = max(one.horizon for one in configurations)
    cells = joined(plots.cell_title(cell) for (cell,) in group_by(configurations, "cell"))
    inputs = joined(plots.input_title(kind) for (kind,) in group_by(configurations, "input"))
    inits = joined(init for (init,) in group_by(configurations, "init"))
    sizes = joined(f"{size:,}" for size in sorted({run["hidden_size"] for run in runs_of(configurations)}))
    kept = sum(one.kept for one in configurations)
    lost = sum(math.isfinite(one.scalar("lag_below_float32").median) for one in configurations)
    return [
        f"To its gradient, a recurrent network read over {counted(horizon, 'step')} is a network "
        f"{counted(horizon, 'layer')} deep: on its way back from the loss the gradient is multiplied by one Jacobian "
        f"per step. If each took away one hundredth, {plots.power(horizon * math.log10(0.99))} would be left.",
        f"Here is what is left, measured. Cells: {cells}, with {sizes} hidden units. Inputs: {inputs}. "
        f"Initialisations: {inits}. Of {counted(len(configurations), 'configuration')}, {kept} keep the gradient "
        f"over the whole horizon, within a factor of {10**USABLE:,}; {lost} fall so low that float32 would return "
        "exactly zero.",
    ]


def portrait(one: Configuration) -> Finding:
    """One configuration in words."""
    sentences = [f"The gradient norm at lag {one.horizon:,} is {span(one.end, plots.power)}."]
    rate, life, exponent = map(one.scalar, ("rate_log10_per_step", "half_life", "lyapunov_max"))
    if math.isfinite(rate.median):
        halves = f": the norm halves every {span(life, plots.steps)} steps" if math.isfinite(life.median) else ""
        sentences.append(f"The fitted rate is {span(rate, number)} decades per step{halves}.")
    lags = {name: one.scalar(name) for name in LEVELS}
    reached = [
        f"{LEVELS[name]} at lag {span(lag, scalar_in_words(name))}"
        for name, lag in lags.items()
        if math.isfinite(lag.median)
    ]
    spared = [LEVELS[name] for name, lag in lags.items() if math.isinf(lag.median)]
    sentences += [f"The norm falls below {joined(reached)}."] if reached else []
    sentences += [f"It does not fall below {joined(spared, 'or')}."] if spared else []
    if math.isfinite(exponent.median):
        sentences.append(f"The largest Lyapunov exponent is {span(exponent, number)} nats per step.")
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


def method(runs: Sequence[Run]) -> list[str]:
    """What the words mean, and how many measurements stand behind a number."""
    sizes, batches, seeds = (
        joined(f"{value:,}" for value in sorted({run[key] for run in runs})) for key in ("hidden_size", "batch", "seed")
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
        f"A gradient is called kept where its norm stays within a factor of {10**USABLE:,} of its start, with which "
        "all lags compare it: the scale of a loss is nothing to them. Two norms are called about the same where they "
        "are within a factor of two of each other.",
    ]
    if any(run["init"] == "chrono" for run in runs):
        lines.append(
            "Chrono initialisation draws the gates' biases so that their time scales reach up to the horizon "
            "(C. Tallec and Y. Ollivier, “Can recurrent neural networks warp time?”, 2018)."
        )
    return lines
