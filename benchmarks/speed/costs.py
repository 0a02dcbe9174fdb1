"""What a step costs, what it cannot cost less than, and the rate that limits it."""

import math
import statistics
from typing import Any

import jax
import jax.numpy as jnp

import gatedrnn as gr
from benchmarks.shared import Row
from benchmarks.speed.clock import Program, repeated
from gatedrnn.cells import CLASSICS


def multiplications(weights: Any) -> int:
    """Of one step of one sequence: one for every entry of a matrix, or of a block of one."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(weights) if len(leaf.shape) >= 2)


def necessary_gflop(row: Row) -> float:
    """Multiplications and additions of the products that forward cannot do without; forward + backward: three times."""
    weights = jax.eval_shape(lambda key: CLASSICS[row["cell"]].init(key, row["D"], row["H"]), jax.random.key(0))
    return 2 * row["B"] * row["T"] * multiplications(weights) / 1e9


def limit_gflops() -> float:
    """Rate of the product of two 2048 x 2048 float32 matrices, best of 9."""
    a = jax.random.normal(jax.random.key(0), (2048, 2048))
    square = Program(jax.jit(lambda a: a @ a).lower(a).compile(), (a,))
    return 2 * 2048**3 / min(repeated(square, 9)) / 1e6


def step_cost(cell: gr.Cell, weights: Any, input_size: int) -> Row:
    """Time and memory of a step, forward and back, in 32 sequences of 1,000 steps."""
    steps, batch = 1_000, 32
    xs = jax.random.normal(jax.random.key(0), (steps, batch, input_size))
    loss = lambda weights, xs: jnp.mean(gr.unroll(cell, weights, xs)[1] ** 2)
    gradient = Program(jax.jit(jax.grad(loss)).lower(weights, xs).compile(), (weights, xs))
    taken = repeated(gradient, 9)
    memory: Any = gradient.compiled.memory_analysis()
    return {
        "multiplications_per_step": multiplications(weights),
        "microseconds_per_step": statistics.median(taken) / steps * 1e3,
        "bytes": memory.temp_size_in_bytes,
        "sizes": {"B": batch, "T": steps, "D": input_size},
    }
