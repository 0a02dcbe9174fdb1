"""Fused in Pallas's interpreter equals Autodiff: every cell, odd sizes, flags, directions, types, transformations."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_problems import ORDERS
from stranger_cells import HEADS, MGU, PEEPHOLE
from tolerances import assert_close

import gatedrnn as gr

LAYOUTS = {"tpu": gr.Fused(interpret=True), "cuda": gr.Fused(interpret=True, platform="cuda")}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def why(method, cell, params, xs):
    """What is said of a cell."""
    return gr.explain(cell, params, xs, method=method)[0].why


class Averages(NamedTuple):
    """Three parts; n is a sum of weights."""

    h: jax.Array
    c: jax.Array
    n: jax.Array


def average(x, h, carry):
    """A weighted mean, which is 0 / 0 where everything is 0, as it is in units that only fill up a register."""
    gate = [a + b for a, b in zip(x, h, strict=True)]
    write, keep = jax.nn.softplus(gate[0]), jax.nn.sigmoid(gate[1])
    n = jnp.where(gate[1] != 0, keep * carry.n + write, carry.n)
    c = keep * carry.c + write * jnp.tanh(gate[2])
    return Averages(jax.nn.sigmoid(gate[3]) * c / n, c, n)


AVERAGE = gr.Cell(
    *("average", gr.lstm.gates, gr.lstm.init),
    lambda params, batch_size=None: Averages(
        *gr.lstm.initial_carry(params, batch_size), 1 + gr.lstm.initial_carry(params, batch_size).h
    ),
    *(gr.lstm.project, gr.lstm.recur, average),
)


@pytest.fixture
def drawn():
    """(cell, T, B, H, dtype) -> weights, inputs, a carry, both flags, weights of the outputs."""

    def draw(cell, T=7, B=3, H=5, dtype="float32", D=3):
        rng = np.random.default_rng(0)
        normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
        params = cell.init(jax.random.key(0), D, H, **({} if dtype == "float32" else {"dtype": jnp.dtype(dtype)}))
        carry = jax.tree.map(lambda a: a + 0.3 * jnp.abs(normal(*a.shape)), cell.initial_carry(params, B))
        flags = {"mask": jnp.asarray(rng.random((T, B)) < 0.8), "reset": jnp.asarray(rng.random((T, B)) < 0.2)}
        return params, normal(T, B, D).astype(dtype), carry, flags, normal(T, B, H)

    return draw


@pytest.fixture
def check(drawn, gradient):
    """(cell, method, sizes) -> values and gradients are those of Autodiff, as far as the type goes."""

    def equal(cell, method, flagged=True, reverse=False, dtype="float32", against=gr.Autodiff(), **sizes):
        params, xs, carry, flags, weights = drawn(cell, dtype=dtype, **sizes)
        given = (params, xs, carry, flags if flagged else {}, weights, reverse)
        assert not isinstance(method, gr.Fused) or why(method, cell, params, xs) == "the kernels fit"
        got, want = gradient(cell, method, *given), gradient(cell, against, *given)
        assert_close(got, want, dtype, xs.shape[0] * (xs.shape[2] + carry[0].shape[1]))

    return equal


def test_chunks_and_a_rest(check):
    """Seventy steps are three chunks of a TPU, the last one cut; five are left over."""
    check(gr.lstm, dataclasses.replace(LAYOUTS["tpu"], length=70), reverse=True, T=75)


def test_a_foreign_cell(check):
    """Softplus, where, three parts; units that fill up become NaN and do no harm."""
    check(AVERAGE, LAYOUTS["cuda"])


RATES = {
    "by their places": lambda h: jnp.linspace(0.1, 0.9, h.shape[-1])[None],
    "by their number": lambda h: jnp.full((1, h.shape[-1]), 1 / h.shape[-1]),
}


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
def test_units_that_are_told_apart(rate, drawn):
    """A kernel has more units than the cell, or some of them: no kernel runs it."""

    def leaky(x, h, carry):
        slow = jnp.broadcast_to(rate(carry.h), carry.h.shape)
        return gr.RNNState(carry.h + slow * (jnp.tanh(x[0] + h[0]) - carry.h))

    cell = dataclasses.replace(gr.rnn, activations=None, pointwise=leaky)
    params, xs, carry, flags, _ = drawn(cell, T=3)
    assert "tells units apart" in why(LAYOUTS["cuda"], cell, params, xs)
    run = lambda method: gr.unroll(cell, params, xs, carry, **flags, method=method)
    assert_close(run(LAYOUTS["cuda"]), run(gr.Autodiff()), "float32", 60)


def relaxed(x, h, carry):
    """Three steps of a loop of its own."""
    closer = lambda _, state: state + 0.5 * (jnp.tanh(x[0] + h[0] - state) - state)
    return gr.RNNState(jax.lax.fori_loop(0, 3, closer, carry.h))


def test_a_loop_within_a_step(check):
    """It runs as often as it should."""
    check(dataclasses.replace(gr.rnn, activations=None, pointwise=relaxed), LAYOUTS["cuda"], T=3)


@pytest.mark.slow
@each_layout
@pytest.mark.parametrize(
    ("cell", "sizes"),
    [
        (gr.rnn, {"T": 1, "B": 1, "H": 17}),
        (gr.gru, {"T": 7, "B": 1, "H": 5}),
        (gr.slstm, {"T": 7, "B": 3, "H": 5}),
        (gr.indrnn, {"T": 7, "B": 3, "H": 17}),
        (HEADS, {"T": 5, "B": 2, "H": 6}),
        (PEEPHOLE, {"T": 5, "B": 2, "H": 1}),
    ],
    ids=["rnn", "gru", "slstm", "indrnn", "heads", "peephole"],
)
def test_every_kind_of_cell(cell, sizes, layout, check):
    """Dense, diagonal and block-diagonal U; a bias of its own; weights of units; one step, one row, one unit."""
    check(cell, LAYOUTS[layout], reverse=layout == "cuda", **sizes)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "B"), [("tpu", 130), ("cuda", 17)])
def test_several_tiles_of_the_batch(layout, B, check):
    """More rows than one program takes."""
    check(gr.relu_rnn, LAYOUTS[layout], B=B, T=5)


@pytest.mark.slow
@each_layout
def test_sixteen_bits(layout, check):
    """Weights of bfloat16, products of bfloat16, carries of float32."""
    check(gr.lstm, LAYOUTS[layout], dtype="bfloat16", flagged=False, H=17)


@pytest.mark.slow
def test_clipped_cotangents(check):
    """Those of masked steps are not."""
    check(gr.gru, gr.Fused(interpret=True, clip=0.05), against=gr.Autodiff(clip=0.05), T=23, B=2)


@pytest.mark.slow
def test_noise(drawn, pulled_back):
    """Dropout of h, of inputs, zoneout of c: the same numbers by every method."""
    cell = gr.regularised(gr.lstm, input_dropout=0.2, recurrent_dropout=0.3, zoneout={"c": 0.2})
    params, xs, carry, flags, _ = drawn(cell)
    run = lambda method: lambda *given: gr.unroll(cell, *given, **flags, key=jax.random.key(1), method=method)
    assert LAYOUTS["tpu"]._chosen(cell.training, params, carry, jnp.zeros((7, 3, 7)))[1] == "the kernels fit"
    got, want = (pulled_back(run(method), params, xs, carry) for method in (LAYOUTS["tpu"], gr.Autodiff()))
    assert_close(got, want, "float32", 7 * 8)


@pytest.mark.slow
@pytest.mark.parametrize("around", ["checkpointed", "truncated", "sharded"])
def test_inside_other_methods(around, check, meshes):
    """As Segmented is there."""
    put = {
        "checkpointed": lambda method: gr.Checkpointed(4, method),
        "truncated": lambda method: gr.Truncated(4, method),
        "sharded": lambda method: gr.Sharded(meshes()["plain"][0], method=method),
    }[around]
    check(gr.rnn, put(LAYOUTS["tpu"]), against=put(gr.Segmented()), B=2)


@pytest.mark.slow
def test_networks(drawn, pulled_back):
    """Layer by layer; one that has `step` alone is scanned."""
    cell = gr.stack(gr.rnn, gr.lem, gr.bidirectional(gr.gru))
    params, xs, _, flags, _ = drawn(gr.rnn)
    params = cell.init(jax.random.key(0), 3, 4)
    run = lambda method: lambda *given: gr.unroll(cell, *given, **flags, method=method)
    got, want = (pulled_back(run(method), params, xs) for method in (LAYOUTS["tpu"], gr.Segmented()))
    assert_close(got, want, "float32", 3 * 7 * 8)
    found = [each.forward for each in gr.explain(cell, params, xs, method=LAYOUTS["tpu"])]
    assert found == ["kernel", "scan", "kernel", "kernel"]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["jvp", "grad of grad"])
def test_other_derivatives(order, drawn):
    """Forward mode, and gradients of gradients."""
    params, xs, *_ = drawn(gr.rnn, T=4, B=1)
    loss = lambda method: lambda xs: jnp.sin(gr.unroll(gr.rnn, params, xs, method=method)[1]).sum()
    got, want = (jax.jit(lambda xs, m=m: ORDERS[order](loss(m), xs))(xs) for m in (LAYOUTS["tpu"], gr.Autodiff()))
    assert_close(got, want, "float32", 4 * 8)


@pytest.mark.slow
@pytest.mark.parametrize("axes", [(None, 0), (0, None)], ids=["inputs", "weights"])
def test_mapped(axes, drawn):
    """Over inputs, and over weights: several models at once."""
    params, xs, *_ = drawn(MGU, T=4)
    given = tuple(
        jax.tree.map(lambda a: jnp.stack([a, a / 2]), tree) if axis == 0 else tree
        for tree, axis in zip((params, xs), axes, strict=True)
    )
    loss = lambda method: lambda p, xs: jnp.sin(gr.unroll(MGU, p, xs, method=method)[1]).sum()
    mapped = lambda method: jax.jit(jax.vmap(jax.grad(loss(method), argnums=(0, 1)), axes))(*given)
    assert_close(mapped(LAYOUTS["tpu"]), mapped(gr.Autodiff()), "float32", 4 * 8)


@pytest.mark.slow
def test_it_keeps_the_laws_of_methods():
    """Those that `check_method` knows."""
    assert len(gr.check_method(LAYOUTS["tpu"], cells=[gr.rnn])) == 8


def test_on_a_cpu_it_is_segmented(drawn, gradient):
    """To the last bit, with the reason; and where there are no steps or no rows."""
    params, xs, carry, flags, weights = drawn(gr.gru)
    assert why(gr.Fused(), gr.gru, params, xs) == "there is no kernel for the CPU"
    got, want = (gradient(gr.gru, m(4), params, xs, carry, flags, weights, False) for m in (gr.Fused, gr.Segmented))
    jax.tree.map(np.testing.assert_array_equal, got, want)
    assert why(LAYOUTS["tpu"], gr.gru, params, xs[:0]) == "there is nothing to run"
    assert gr.unroll(gr.gru, params, xs[:, :0], method=LAYOUTS["tpu"])[1].shape == (7, 0, 5)
