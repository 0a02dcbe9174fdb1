"""What may depend on the number of rows: not `pointwise`, which is given a row, a batch or a segment."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from tolerances import assert_close

import gatedrnn as gr

D, H, T, B = 3, 4, 6, 2
LENGTH = T * (D + H)


@pytest.mark.parametrize(
    ("pointwise", "primitive"),
    [
        (lambda x, h, _: jnp.tanh(x[0] + h[0] * jax.random.normal(jax.random.key(0), h[0].shape)), "random_bits"),
        (lambda x, h, _: jnp.tanh(x[0] + h[0] * lax.broadcasted_iota(h[0].dtype, h[0].shape, 0)), "iota"),
        (lambda x, h, _: jnp.tanh(x[0] + h[0] * jnp.arange(1.0 * h[0].shape[0])[:, None]), "iota"),
        (lambda x, h, _: jnp.tanh(x[0] + h[0] * jax.random.normal(jax.random.key(0), h[0].shape[:1])[:, None]), "rand"),
        (lambda x, h, _: jnp.tanh(x[0] + h[0] * np.arange(h[0].shape[0], dtype=np.float32)[:, None]), "constant"),
        (lambda x, h, _: jnp.tanh(x[0] + h[0] * np.full(h[0].shape, 1 / h[0].shape[0], np.float32)), "constant"),
        (lambda x, h, _: jnp.tanh(x[0] + h[0] / h[0].shape[0]), "div"),
        (lambda x, h, _: jnp.tanh(x[0] + lax.integer_pow(h[0], h[0].shape[0] + 3)), "integer_pow"),
        (lambda x, h, _: lax.reduce_precision(jnp.tanh(x[0] + h[0]), 8, 3 * h[0].shape[0]), "reduce_precision"),
        (lambda x, h, _: lax.fori_loop(0, h[0].shape[0], lambda _, a: a / 2, jnp.tanh(x[0] + h[0])), "scan"),
    ],
)
def test_what_depends_on_the_number_of_rows_is_refused(pointwise, primitive):
    """A segment has more of them than a step has, and one row has no axis of them: gradients would be others."""
    cell = dataclasses.replace(gr.rnn, activations=None, pointwise=lambda *given: gr.RNNState(pointwise(*given)))
    with pytest.raises(
        ValueError, match=f"`cell` must be one whose `pointwise` is elementwise; .*`{primitive}.*` .* depends"
    ):
        gr.unroll(cell, gr.rnn.init(jax.random.key(0), D, H), jnp.ones((T, B, D)))


@pytest.mark.parametrize(
    "rate",
    [
        lambda h: lax.broadcasted_iota(h.dtype, h.shape, h.ndim - 1) / 10,
        lambda h: jax.random.uniform(jax.random.key(0), h.shape[-1:]),
        lambda h: np.linspace(0, 0.5, h.shape[-1], dtype=np.float32),
        lambda h: np.full(h.shape, 0.5, np.float32),
        lambda h: np.tile(np.linspace(0, 0.5, h.shape[-1], dtype=np.float32), (*h.shape[:-1], 1)),
        lambda h: jnp.ones(h.shape[:-1])[..., None] / 2,
    ],
)
def test_what_is_alike_in_all_rows_is_not(rate):
    """Gradients are those of the step, of several rows and of one."""
    spread = lambda h: jnp.broadcast_to(rate(h), h.shape)
    pointwise = lambda x, h, carry: gr.RNNState(jnp.tanh(x[0] + spread(carry.h) * h[0]))
    cell = dataclasses.replace(gr.rnn, activations=None, pointwise=pointwise)
    params, xs = cell.init(jax.random.key(0), D, H), jax.random.normal(jax.random.key(1), (T, B, D))
    for rows in (B, 1):
        loss = lambda params, method, rows=rows: gr.unroll(cell, params, xs[:, :rows], method=method)[1].sum()
        found, want = (jax.grad(loss)(params, method) for method in (gr.Segmented(3), gr.Autodiff()))
        assert_close(found, want, "float32", LENGTH)


def test_what_is_weakly_typed_is_the_same_at_any_number_of_rows():
    """A carry of `jnp.full` with Python's number."""
    state = lambda params, batch_size=None: gr.RNNState(jnp.full(() if batch_size is None else (batch_size, H), 0.5))
    cell = dataclasses.replace(gr.rnn, activations=None, initial_carry=state)
    params, xs = cell.init(jax.random.key(0), D, H), jnp.ones((T, B, D))
    assert gr.explain(cell, params, xs)[0].gradient == "segments"
    assert gr.explain(cell, params, xs, method=gr.Fused(interpret=True))[0].gradient == "kernel"
