"""What the library computes, under JAX's transformations and modes: the same as without.

Of the kinds of faults that were found from outside, these would have shown: checks on the host inside what is
transformed; exports with symbolic shapes; meshes with explicit axes; modes of JAX; buffers of
the caller that are given away.
"""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_settings import bounded
from hypothesis import strategies as st
from jax import export
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.models import Model, generate

T, B, D, H = 5, 2, 2, 3
LENGTH = T * (D + H)
METHODS = [gr.Segmented(2), gr.Segmented(), gr.Autodiff(), gr.Checkpointed(2), gr.Truncated(9)]
MODEL = Model(gr.gru, 5, 3, 5, embedding_size=2)
WEIGHTS = MODEL.init(jax.random.key(0))


def unrolled(choose, cell):
    """Values and gradients."""
    method, outputs = choose(METHODS), choose(["all", "last"])

    def run(params, xs, **flags):
        def loss(params, xs):
            found = gr.unroll(cell, params, xs, **flags, method=method, outputs=outputs)
            return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(found)), found

        return jax.grad(loss, (0, 1), has_aux=True)(params, xs)

    return run


def profiled(choose, cell):
    """Norms along time, and what they say in numbers."""

    def run(params, xs, **flags):
        norms = gr.flow.adjoint(cell, params, xs, **flags).log10_norm
        return norms, gr.flow.decay(norms["state"], **flags).lowest

    return run


def measured(choose, cell):
    """Exponents, time scales, gates."""
    return lambda params, xs, **flags: (
        gr.flow.lyapunov(cell, params, xs, k=1, **flags),
        gr.flow.timescales(cell, params, xs, **flags),
        gr.gate_activations(cell, params, xs, **flags),
    )


def told_apart(choose, cell):
    """How surely a unit's value says which of two classes it was."""
    return lambda params, xs, **flags: gr.flow.selectivity(xs[:, 0], (jnp.arange(xs.shape[0]) % 2 == 0).astype("int32"))


def written(choose, cell):
    """Symbols after a prompt, the likeliest and others."""
    heat = choose([0.0, 1.0])

    def run(params, xs, **flags):
        prompt = jnp.clip(jnp.abs(xs[:, 0, 0]), 0, 4).astype("int32")
        return generate(MODEL, WEIGHTS, jax.random.key(1), prompt, 4, jnp.float32(heat) + 0 * xs[0, 0, 0])

    return run


def jitted(run, params, xs, flags):
    return jax.jit(run)(params, xs, **flags)


def mapped(run, params, xs, flags):
    several = jax.tree.map(lambda a: jnp.stack([a, a]), (xs, flags))
    return jax.tree.map(lambda a: a[1], jax.vmap(lambda xs, flags: run(params, xs, **flags))(*several))


def exported(run, params, xs, flags):
    """From a file, with the time and the batch as symbols."""
    axes = export.symbolic_shape("T, B")
    like = lambda a: jax.ShapeDtypeStruct((*axes, *a.shape[2:]), a.dtype)
    program = export.export(jax.jit(lambda *of: run(*of[:2], **of[2])))(params, *jax.tree.map(like, (xs, flags)))
    return export.deserialize(program.serialize()).call(params, xs, flags)


def interpreted(run, params, xs, flags):
    with jax.disable_jit():
        return run(params, xs, **flags)


def watched(run, params, xs, flags):
    with jax.checking_leaks():
        return run(params, xs, **flags)


def placed(run, params, xs, flags):
    """Rows on two devices of a mesh whose axes are part of types."""
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        xs, flags = jax.device_put((xs, flags), NamedSharding(mesh, PartitionSpec(None, "batch")))
        return jax.device_get(run(params, xs, **flags))


EVERYWHERE = [jitted, mapped, interpreted, watched]
PLACES = {  # what is computed, and where it must be the same
    unrolled: [*EVERYWHERE, exported, placed],
    profiled: [*EVERYWHERE],
    measured: [*EVERYWHERE, placed],
    told_apart: EVERYWHERE,
    written: EVERYWHERE,
}


@pytest.mark.slow
@pytest.mark.parametrize("where", PLACES[unrolled], ids=lambda where: where.__name__)
@bounded(2)
def test_the_same_everywhere(where, data):
    """Numbers, shapes and types."""
    seed = data.draw(st.integers(0, 2**64 - 1))
    rng, choose = np.random.default_rng(seed), random.Random(seed).choice
    what, cell = choose([what for what in PLACES if where in PLACES[what]]), choose([*gr.cells.CLASSICS.values()])
    run = what(choose, cell)
    params, xs = (
        cell.init(jax.random.key(int(rng.integers(2**31))), D, H),
        jnp.asarray(rng.normal(size=(T, B, D)), "f4"),
    )
    names = [name for name in ("mask", "reset") if what is unrolled and choose([False, True])]
    flags = {name: jnp.asarray(rng.random((T, B)) < 0.7) for name in names}
    want = run(params, xs, **flags)
    got = where(run, params, xs, flags)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    assert_close(got, want, "float32", LENGTH)


@bounded(3)
def test_no_rows(data):
    """B = 0 is a batch: shapes are those of any other, and no number is missing."""
    cell = data.draw(st.sampled_from([*gr.cells.CLASSICS.values()]))
    run = unrolled(lambda values: data.draw(st.sampled_from(values)), cell)
    params = cell.init(jax.random.key(0), D, H)
    none, many = jnp.ones((T, 0, D)), jax.ShapeDtypeStruct((T, 11, D), "float32")
    found, like = run(params, none), jax.eval_shape(run, params, many)
    shapes = jax.tree.map(lambda a: tuple(0 if size == 11 else size for size in a.shape), like)
    assert jax.tree.map(jnp.shape, found) == shapes


def loss(params, carry, xs, method):
    carry, ys = gr.unroll(gr.lstm, params, xs, carry, method=method)
    return jnp.square(ys).sum(), carry


@bounded(6)
def test_what_is_given_stays(data):
    """The caller's arrays, given twice or once, are there afterwards, and what comes back is what was asked for."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    method = data.draw(st.sampled_from([*METHODS, gr.Sharded(Mesh(np.array(jax.devices()[:1]), ("batch",)))]))
    params, xs = gr.lstm.init(jax.random.key(0), D, H), jnp.asarray(rng.normal(size=(T, B, D)), "f4")
    h = jnp.asarray(rng.normal(size=(B, H)), "f4")
    carry = gr.LSTMState(h, h) if data.draw(st.booleans()) else gr.LSTMState(h, h + 0)
    step = gr.streamed(lambda params, carry, xs: loss(params, carry, xs, method))
    kept = jax.device_get((params, h, xs))
    gradients, end, value = step(params, carry, xs)
    (want, last), wanted = jax.value_and_grad(loss, has_aux=True)(params, gr.LSTMState(*kept[1:2] * 2), xs, method)
    assert_close((gradients, end, value), (wanted, last, want), "float32", LENGTH)
    assert_close(jax.device_get((params, xs)), (kept[0], kept[2]), "float32", 1)
