"""What is timed, in order of importance: a run that is cut short has the first."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

import gatedrnn as gr

INPUTS = 32  # D
SIZES = ((16, 128), (1, 64), (64, 512), (64, 256), (128, 768))  # B, H
STEPS, LONG = 4096, 100_000
SIDES = ("forward", "gradient")


class Case(NamedTuple):
    """One problem.

    Attributes:
        cell: its name.
        batch: B.
        units: H.
        steps: T.
        dtype: of weights and inputs.
        side: "forward", or "gradient" by weights and inputs.
    """

    cell: str
    batch: int
    units: int
    steps: int
    dtype: str
    side: str


DRY = (
    Case("gru", 2, 8, 12, "float32", "forward"),
    Case("gru", 2, 8, 12, "bfloat16", "gradient"),
    Case("gru", 2, 8, 24, "float32", "forward"),
)


def all_cases() -> list[Case]:
    """The LSTM before the GRU; the long sequences of the first size after its short ones."""
    cells, dtypes = ("lstm", "gru"), ("float32", "bfloat16")
    found: list[Case] = []
    for size in SIZES:
        found += [Case(cell, *size, STEPS, dtype, side) for cell in cells for side in SIDES for dtype in dtypes]
        if size == SIZES[0]:
            found += [Case(cell, *size, LONG, "float32", side) for cell in cells for side in SIDES]
    return found


def cell_of(case: Case) -> gr.Cell:
    """The cell by its name."""
    return gr.cells.CELLS[case.cell]


class Drawn(NamedTuple):
    """Weights, inputs [T, B, D] and the weights of a loss that is their product with the outputs, [T, B, H]."""

    params: Any
    xs: Array
    weights: Array


def drawn(case: Case) -> Drawn:
    """The same numbers for every system."""
    keys = jax.random.split(jax.random.key(0), 3)
    dtype = jnp.dtype(case.dtype)
    params = cell_of(case).init(keys[0], INPUTS, case.units, dtype=dtype)
    xs = jax.random.normal(keys[1], (case.steps, case.batch, INPUTS)).astype(dtype)
    return Drawn(params, xs, jax.random.normal(keys[2], (case.steps, case.batch, case.units)))
