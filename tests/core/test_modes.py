"""The core under JAX's modes: what a short programme computes is what it computes without any."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_problems import ORDERS
from tolerances import assert_close

import gatedrnn as gr

D, H, T, B = 2, 3, 5, 2
METHODS = (gr.Segmented(2), gr.Autodiff(), gr.Checkpointed(2), gr.Truncated(3))
MODES = {
    "64 bits": lambda: jax.enable_x64(True),
    "no jit": jax.disable_jit,
    "no NaN": lambda: jax.debug_nans(True),
    "no leaks": jax.checking_leaks,
    "no transfers of its own": lambda: jax.transfer_guard_device_to_device("disallow"),
}
each_mode = pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=[pytest.mark.slow] * (mode != "no NaN")) for mode in MODES]
)


HELD = (lambda a: a, jax.lax.stop_gradient)


def squares(_, ys, targets):
    return jnp.square(ys - targets).sum(-1)


def draw(cell):
    """Weights, inputs and flags, float32, the same in every mode."""
    rng = np.random.default_rng(0)
    like = jax.eval_shape(lambda: cell.init(jax.random.key(0), D, H, dtype="float32"))
    params = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), "float32"), like)
    xs = jnp.asarray(rng.normal(size=(T, B, D)), "float32")
    return params, xs, {name: jnp.asarray(rng.random((T, B)) < 0.7) for name in ("mask", "reset")}


def gradients(cell, method, params, xs, flags, outputs):
    def loss(params, xs):
        found = gr.unroll(cell, params, xs, **flags, method=method, outputs=outputs)
        return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(found))

    return jax.value_and_grad(loss, argnums=(0, 1))(params, xs)


def programme():
    """Names and arrays: every method with flags and outputs, no steps, analyses, updates on a value and on classes."""
    params, xs, flags = draw(gr.lstm)
    for method in METHODS:
        yield f"{method}", gradients(gr.lstm, method, params, xs, flags, "all")
        yield f"{method} over no steps", gradients(gr.lstm, method, params, xs[:0], {}, "all")
    for outputs in ("last", gr.Readout(squares, (), jnp.ones((T, B, H), "float32"))):
        yield f"{outputs}", gradients(gr.lstm, gr.Segmented(2), params, xs, flags, outputs)
    yield "one", gr.unroll(gr.lstm, params, xs[:, 0], reverse=True)
    yield "adjoint", gr.flow.adjoint(gr.lstm, params, xs, **flags).log10_norm
    yield "adjoint of nothing", gr.flow.adjoint(gr.lstm, params, xs[:0]).log10_norm
    yield "lyapunov", gr.flow.lyapunov(gr.lstm, params, xs, k=2)
    yield "timescales", gr.flow.timescales(gr.lstm, params, xs)
    yield "gates", gr.gate_activations(gr.lstm, params, xs, **flags)
    yield "decay", gr.flow.decay(np.linspace(-9, 0, 50))
    yield "selectivity", gr.flow.selectivity(xs[:, 0], jnp.arange(T) % 2)


def trained(task):
    """Two updates, a test, and the loop, of a setup in which nothing is drawn at random."""
    setup = gr.train.Setup(task, gr.gru, horizon=4, hidden_size=3, batch=2)
    state = gr.train.init(setup)
    for _ in range(2):
        state, metrics = gr.train.step(setup, state)
    rows = gr.train.fit(setup, steps=2, test_every=1, test_batches=1).rows
    return state.params, metrics, gr.train.measure(setup, state.params, 2), [row.test_loss for row in rows]


@functools.cache
def plainly():
    """Without a mode."""
    return dict(programme())


@pytest.mark.slow
@each_mode
def test_the_core(mode):
    want = plainly()
    with MODES[mode]():
        found = {name: jax.tree.map(np.asarray, tree) for name, tree in programme()}
    for name, tree in found.items():
        assert_close(jax.tree.leaves(tree), jax.tree.leaves(want[name]), "float32", 10 * T * (D + H))


@pytest.mark.slow
@each_mode
@pytest.mark.parametrize("task", [gr.tasks.adding, gr.tasks.parity], ids=lambda task: task.name)
def test_training(task, mode):
    """Values and classes train, with finite numbers; in 64 bits the random numbers are others."""
    with MODES[mode]():
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained(task)))


@pytest.mark.slow
@each_mode
@pytest.mark.parametrize("order", ["jvp", "jacfwd", "hessian", "grad of grad"])
def test_orders_of_differentiation(mode, order):
    """Forward mode and second derivatives of the default method, also of a value that is held still."""
    params, xs, flags = draw(gr.gru)
    loss = lambda xs: sum(jnp.sin(hold(gr.unroll(gr.gru, params, xs, **flags)[1] * xs[..., :1])).sum() for hold in HELD)
    want = ORDERS[order](loss, xs)
    with MODES[mode]():
        assert_close(ORDERS[order](loss, xs), want, "float32", 10 * T * (D + H))
