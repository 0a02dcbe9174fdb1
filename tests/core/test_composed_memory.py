"""What Checkpointed is for: memory that grows with the square root of the sequence, counted by the compiler."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@pytest.mark.thinned(5)
@each_cell
@pytest.mark.parametrize("outputs", ["last", "readout"])
def test_checkpointed_needs_little_memory(cell, outputs, asked):
    """A quarter of Segmented's at T = 4,096, and from there to four times as many steps it grows as sqrt(T)."""

    def temporary(method, steps):
        params, B, D, H = cell.init(jax.random.key(0), 4, 16), 2, 4, 16
        weights, targets = {"w": jnp.ones((H, 2)), "b": jnp.ones(2)}, {"pair": jnp.ones((steps, B, 2))}
        targets["one"] = jnp.ones((steps, B))

        def loss(params, xs, weights, targets):
            run = asked(cell, method, outputs, {}, False, targets)
            return sum(leaf.sum() for leaf in jax.tree.leaves(run(params, xs, None, weights)[1]))

        compiled = jax.jit(jax.grad(loss)).lower(params, jnp.ones((steps, B, D)), weights, targets).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = (temporary(gr.Checkpointed(), steps) for steps in (4096, 16_384))
    assert few < temporary(gr.Segmented(), 4096) / 4
    assert many < 3 * few


MEMORY = """
import jax, gatedrnn as gr
params = gr.lstm.init(jax.random.key(0), 32, {H})
squares = lambda _, ys, __: jax.numpy.square(ys).sum(-1)
for method, shape in {cases}:
    method, xs = eval(method), jax.ShapeDtypeStruct(shape, "float32")
    loss = lambda params, xs: gr.unroll(gr.lstm, params, xs, method=method, outputs=gr.Readout(squares))[1].sum()
    print(jax.jit(jax.grad(loss, {wanted})).lower(params, xs).compile().memory_analysis().temp_size_in_bytes)
"""


def optimised(H, *cases, wanted=(0,)):
    """Bytes that gradients by the `wanted` of (params, xs) take beside inputs and results, compiled as users do.

    Of each case, a method's source and the shape of its inputs; all in one process.
    """
    script = MEMORY.format(H=H, cases=cases, wanted=wanted)
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return [*map(int, done.stdout.split())]


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "wanted"), [((1,), (0,)), ((), (0, 1))])
def test_a_million_steps_need_little_memory(batch, wanted):
    """One sequence, 64 units: some MB beside 128 MB of inputs, and as much of their gradient; it grows as sqrt(T)."""
    shapes = [(steps, *batch, 32) for steps in (10_000, 100_000, 1_000_000)]
    taken = optimised(64, *(("gr.Checkpointed()", shape) for shape in shapes), wanted=wanted)
    assert taken[2] < 5e6 and taken[0] < taken[1] < taken[2] < 6 * taken[0]


@pytest.mark.slow
def test_nested_where_it_pays():
    """At 100,000 steps two levels take less memory than one for many units; and it is what `nested` says."""
    shape = (100_000, 16, 32)
    few, many = optimised(128, ("gr.Checkpointed.nested(100_000)", shape), ("gr.Checkpointed()", shape))
    assert few < 0.9 * many
    assert gr.Checkpointed.nested(100_000) == gr.Checkpointed(2_500, gr.Checkpointed(50))
