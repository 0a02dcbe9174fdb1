"""What the records train: every entry's setup, budget, seeds and tests, by the name of its record."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optax

import gatedrnn as gr
from benchmarks.learning.analyses import costs, reach
from benchmarks.learning.entries import (
    WRITABLE_UPDATES,
    Entry,
    Tests,
    Units,
    adding,
    apart,
    each,
    final_test,
    for_horizon,
    units_for,
    wide_adding,
    writable_adding,
    writable_agreement,
    writable_copy,
)
from gatedrnn.cells import CLASSICS

ATTRACTORS = range(6)
DIFFER, FRONTED = 0.5, 0.5


def adding_10000() -> list[Entry]:
    """Four cells and initialisations in the same budget, five seeds each."""
    models: dict[str, tuple[gr.Cell, dict[str, Any]]] = {
        "lstm chrono": (gr.lstm, for_horizon(gr.lstm, 10_000)),
        "gru chrono": (gr.gru, for_horizon(gr.gru, 10_000)),
        "lstm bias 1": (gr.lstm, {}),
        "rnn": (gr.rnn, {}),
    }
    return [
        Entry(name, setup, 1_000, tuple(range(5)), 0.01, tests=final_test(setup))
        for name, (cell, options) in models.items()
        for setup in (adding(10_000, cell, options),)
    ]


def adding_100000() -> list[Entry]:
    """Three seeds, each an entry of half an hour; and what learns it in fewer updates of fewer sequences."""
    setup, wide = adding(100_000, gr.lstm, for_horizon(gr.lstm, 100_000)), wide_adding(100_000)
    return [
        *(
            Entry(f"lstm chrono, seed {seed}", setup, 2_000, (seed,), 0.001, 25, 2, final_test(setup), seconds=1_800)
            for seed in range(3)
        ),
        Entry("lstm chrono, wide input", wide, 600, (0, 1, 2), 0.01, 25, 8, final_test(wide)),
    ]


def adding_1000000() -> list[Entry]:
    """As far as an hour allows, in little memory: the setup of the shorter ones, and the wide one."""
    setup, wide = (
        adding(1_000_000, gr.lstm, for_horizon(gr.lstm, 1_000_000), method=gr.Checkpointed()),
        wide_adding(1_000_000),
    )
    name, tests = "lstm chrono, wide input, seed", final_test(wide)
    return [
        Entry("lstm chrono", setup, 1_000, (0,), 0.01, 10, 1, seconds=3_600),
        *(Entry(f"{name} {seed}", wide, 1_000, (seed,), 0.01, 25, 8, tests, seconds=3_600) for seed in range(3)),
    ]


def adding_writable() -> list[Entry]:
    """Units made writable: five seeds, 10,000 and 100,000 steps at once, 1,000,000 a seed at a time.

    Units, learning rate and updates were chosen on the seeds 100 to 107, at 10,000 steps.
    """

    def entry(label: str, setup: gr.train.Setup, seeds: tuple[int, ...], seconds: float | None = None) -> Entry:
        return Entry(label, setup, WRITABLE_UPDATES, seeds, None, 25, 8, final_test(setup), seconds=seconds)

    shorter = [
        entry(f"{cell.name} {horizon:,}", writable_adding(horizon, cell), tuple(range(5)))
        for horizon in (10_000, 100_000)
        for cell in (gr.lstm, gr.gru)
    ]
    longest = writable_adding(1_000_000, gr.lstm)
    return shorter + [entry(f"lstm 1,000,000, seed {seed}", longest, (seed,), 900) for seed in range(5)]


def copy_1000() -> list[Entry]:
    """16,000 weights, where Bai 2018 reports chance for the LSTM; and an LSTM whose input layer is drawn wider.

    chrono closes the input gates. Drawn four times as wide, some are opened by some symbols from the first update on.
    Made writable, all units are opened by every symbol, and by the delimiter for good.
    """
    rule, faster = (gr.train.Optimiser(optax.adam, rate, 1.0) for rate in (3e-3, 1e-2))
    wide = {**for_horizon(gr.lstm, 1_020), "input_init": gr.initializers.gaussian(4.0)}
    setups = dict(each(gr.tasks.copy, 1_000, units_for(16_000), 32, rule, memory=1_020))
    setups["lstm chrono, wide input"] = replace(setups["lstm chrono"], optimiser=faster, cell_options=wide)
    setups |= {f"{name} writable": writable_copy(setups[f"{name} default"]) for name in ("gru", "lstm")}
    budgets = {"lstm default": 4_000, "lstm chrono": 4_000}  # the last to leave the plateau
    return [
        Entry(label, setup, budgets.get(label, 2_000), (0, 1, 2), 0.001, 100, 2, final_test(setup))
        for label, setup in setups.items()
    ]


def copy_rates() -> list[Entry]:
    """The same writable units over 100 steps, with the recurrence's learning rate apart from the readout's."""
    entries = []
    for cell in (gr.gru, gr.lstm):
        plain = gr.train.Setup(gr.tasks.copy, cell, 100, units_for(16_000)(cell, gr.tasks.copy), 32)
        for rate, share in ((1e-2, 1.0), (1e-2, 0.1), (3e-2, 1 / 30)):
            setup = replace(writable_copy(plain), optimiser=apart(rate, share))
            label = f"{cell.name} {rate:g}, recurrence {rate * share:g}"
            entries.append(Entry(label, setup, 800, (0, 1, 2), None, 100, 2, final_test(setup)))
    return entries


def adding_600() -> list[Entry]:
    """70,000 weights, as Bai 2018; and, to five digits, units made writable at a rate that falls to a hundredth."""
    rule = gr.train.Optimiser(optax.adam, 5e-3, 1.0)
    short = [
        Entry(label, setup, 600, (0, 1, 2), 0.001, 50, 4, final_test(setup))
        for label, setup in each(gr.tasks.adding, 600, units_for(70_000), 32, rule)
    ]
    falling = gr.train.Optimiser(optax.adam, optax.cosine_decay_schedule(1e-2, 3_000, 0.01), 1.0)
    options = {"writable": gr.initializers.writable(8, 600)}
    return short + [
        Entry(f"{cell.name} writable", setup, 3_000, (0, 1, 2), None, 100, 8, final_test(setup))
        for cell in (gr.gru, gr.lstm)
        for setup in (
            gr.train.Setup(
                gr.tasks.adding, cell, 600, units_for(70_000)(cell, gr.tasks.adding), 16, falling, cell_options=options
            ),
        )
    ]


def adding_750() -> list[Entry]:
    """LSTM of 128 units, RMSProp 1e-3, no clipping: chrono and bias 1, as Tallec and Ollivier 2018."""
    rule = gr.train.Optimiser(optax.rmsprop, 1e-3, None)
    return [
        Entry(label, setup, 3_000, (0, 1, 2), 0.01, 50, 4, final_test(setup))
        for label, setup in each(gr.tasks.adding, 750, 128, 32, rule, (gr.lstm,))
    ]


def temporal_order() -> list[Entry]:
    """Tasks 6a and 6b of Hochreiter and Schmidhuber 1997 at T = 100, and 6a at T = 1,000."""
    two, three = gr.tasks.temporal_order, gr.tasks.temporal_order_3
    return [
        Entry(f"{task.name} {horizon} {label}", setup, 2_000, (0, 1, 2), 0.01)
        for task, horizon in ((two, 100), (three, 100), (two, 1_000))
        for label, setup in each(task, horizon, 32, 16)
    ]


def temporal_order_1997() -> list[Entry]:
    """6a and 6b with no more weights and no more sequences than Hochreiter and Schmidhuber 1997 took, table 9."""
    tasks = ((gr.tasks.temporal_order, 156, 31_390), (gr.tasks.temporal_order_3, 308, 571_100))
    return [
        Entry(f"{task.name} {label}", setup, sequences // 16, (0, 1, 2), 0.01, 50, 4, final_test(setup), 128)
        for task, weights, sequences in tasks
        for label, setup in each(task, 100, units_for(weights), 16)
    ]


def digits() -> list[Entry]:
    """8 x 8 digits pixel by pixel, in order and permuted."""
    rule = gr.train.Optimiser(optax.adam, 2e-3, 1.0)
    return [
        Entry(f"{task.name} {label}", setup, 2_000, (0, 1, 2), None, 200, 6)
        for task in (gr.tasks.digits(), gr.tasks.digits(permuted=True))
        for label, setup in each(task, 64, 128, 64, rule)
    ]


def agreement() -> list[Entry]:
    """Sentences of 10 to 10,000 words with 0 to 5 attractors, tested by their number; those of 30, by length too."""
    by_number = {k: gr.tasks.agreement_with(k, DIFFER, FRONTED) for k in ATTRACTORS}
    longer = tuple((f"T = {steps:,}", by_number[2], steps) for steps in (100, 1_000, 10_000))
    entries = []
    for steps in (10, 30, 100, 1_000, 10_000):
        tests = tuple((str(k), task, steps) for k, task in by_number.items() if task.shortest <= steps)
        task = gr.tasks.mixture(*(task for _, task, _ in tests))
        setups = dict(each(task, steps, 32, 18))
        if steps == 10_000:
            setups |= {f"{name} writable": writable_agreement(setups[f"{name} default"]) for name in ("gru", "lstm")}
        for label, setup in setups.items():
            tested = (*tests, *(longer if steps == 30 else ()))
            entries.append(Entry(f"{steps} {label}", setup, 1_000, (0, 1, 2), 0.01, 50, 4, tested))
    return entries


def gru_or_lstm() -> list[Entry]:
    """Equal units and equal weights: adding, copy, agreement, counting and parity."""
    counting = tuple((f"n <= {n:,}", gr.tasks.anbn, 2 * n) for n in (100, 200, 500, 1_000))
    longer = tuple((f"T = {steps}", gr.tasks.parity, steps) for steps in (32, 64, 256))
    distances = tuple(
        (f"T = {steps:,}", gr.tasks.agreement_with(2, DIFFER, FRONTED), steps) for steps in (30, 100, 1_000)
    )
    problems: dict[str, tuple[gr.tasks.Task, int, Tests]] = {
        "adding": (gr.tasks.adding, 200, ()),
        "copy": (gr.tasks.copy, 100, ()),
        "agreement": (gr.tasks.agreement_with(2, DIFFER, FRONTED), 30, distances),
        "anbn": (gr.tasks.anbn, 200, counting),
        "parity": (gr.tasks.parity, 32, longer),
    }
    sizes: dict[str, Units] = {"64 units": lambda cell, task: 64, "12,000 weights": units_for(12_000)}
    rule = gr.train.Optimiser(optax.adam, 3e-3, 1.0)
    entries = []
    for name, (task, horizon, tests) in problems.items():
        for size, hidden in sizes.items():
            for cell in CLASSICS.values():
                options = for_horizon(cell, horizon)
                setup = gr.train.Setup(task, cell, horizon, hidden(cell, task), 32, rule, cell_options=options)
                entry = Entry(f"{name}, {size}, {cell.name}", setup, 2_000, (0, 1, 2), None, 200, 4, tests)
                entries.append(replace(entry, analysis=costs) if name == "adding" else entry)
    return entries


def text() -> list[Entry]:
    """Bytes of Python's help text, 64 units, windows of 100, 1,000 and 10,000 bytes, 10,000 bytes per update in all."""
    task = gr.tasks.text.prediction(gr.tasks.text.help_text())
    rule = gr.train.Optimiser(optax.adam, 3e-3, 1.0)
    entries = []
    for window in (100, 1_000, 10_000):
        for cell in CLASSICS.values():
            setup = gr.train.Setup(task, cell, window, 64, 10_000 // window, rule)
            tests = (("10,000 bytes", task, 10_000),)
            entries.append(Entry(f"{window:,} {cell.name}", setup, 1_000, (0, 1, 2), None, 250, 2, tests, 4, reach))
    return entries


RECORDS: dict[str, Callable[[], list[Entry]]] = {
    "adding-10000": adding_10000,
    "adding-100000": adding_100000,
    "adding-1000000": adding_1000000,
    "adding-writable": adding_writable,
    "copy-1000": copy_1000,
    "copy-rates": copy_rates,
    "adding-600": adding_600,
    "adding-750": adding_750,
    "temporal-order": temporal_order,
    "temporal-order-1997": temporal_order_1997,
    "digits": digits,
    "agreement": agreement,
    "gru-or-lstm": gru_or_lstm,
    "text": text,
}
