"""Analyses of random cells under what must not change them.

Of the kinds of faults that were found from outside, these would have shown: a verdict that depends on the loss's scale;
a stack that is judged by its bottom layer; a cell of the user's whose `init` knows no more than it must.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_settings import bounded
from hypothesis import strategies as st

import gatedrnn as gr

D, H = 2, 3
HOUSE = [*gr.cells.CLASSICS.values()]
NAMES = ("rate_log10_per_step", "half_life", "lag_below_1e3", "lag_below_float32", "lowest", "highest", "word")


def said(profile):
    """What `decay` says of it; None as infinity."""
    found = gr.flow.decay(profile)
    plain = lambda value: value if isinstance(value, str) else np.inf if value is None else round(float(value), 4)
    return {name: plain(getattr(found, name)) for name in NAMES}


@bounded(12)
def test_a_loss_times_a_constant(data):
    """The same is said of the gradient, however small or large the loss."""
    draw = data.draw
    cell, steps = draw(st.sampled_from(HOUSE)), draw(st.sampled_from([4, 60]))
    params = cell.init(jax.random.key(draw(st.integers(0, 99))), D, H)
    params = jax.tree.map(lambda a: a * draw(st.sampled_from([0.5, 1.0, 2.0])), params)
    xs = jax.random.normal(jax.random.key(draw(st.integers(0, 99))), (steps, 1, D))
    probe = jax.tree.map(jnp.ones_like, cell.initial_carry(params, 1))
    of = lambda scale: gr.flow.adjoint(cell, params, xs, dcarry=jax.tree.map(lambda a: a * scale, probe)).log10_norm[
        "state"
    ]
    assert said(of(1.0)) == said(of(2.0 ** draw(st.integers(-60, 60))))


def stacked(lower, upper, order, told):
    """Two cells as one, with a count that nobody reads; `order`: how its carry is kept; `told`: whether of a dtype."""
    names = ("lower", "upper", "count")

    def packed(*parts):
        return {place: parts[names.index(name)] for place, name in zip("abc", order, strict=True)}

    def step(params, carry, x):
        first, second, count = (carry["abc"[order.index(name)]] for name in names)
        first, y = lower.step(params[0], first, x)
        second, y = upper.step(params[1], second, y)
        return packed(first, second, count + 1), y

    def init(key, input_size, hidden_size):
        keys = jax.random.split(key)
        return lower.init(keys[0], input_size, hidden_size), upper.init(keys[1], hidden_size, hidden_size)

    def initial_carry(params, batch_size=None):
        first, second = lower.initial_carry(params[0], batch_size), upper.initial_carry(params[1], batch_size)
        return packed(first, second, jnp.zeros_like(first.h[..., :1]))

    told_of = lambda key, input_size, hidden_size, *, dtype=jnp.float32: init(key, input_size, hidden_size)
    return gr.Cell.from_step("stack", step, init=told_of if told else init, initial_carry=initial_carry)


@pytest.mark.slow
@bounded(4)
def test_a_stack_of_cells(data):
    """It is judged by what it shows last, wherever in its carry that stands, by every function that takes a cell."""
    draw = data.draw
    lower, upper = draw(st.sampled_from(HOUSE)), draw(st.sampled_from(HOUSE))
    cell = stacked(lower, upper, draw(st.permutations(["lower", "upper", "count"])), draw(st.booleans()))
    params, steps = cell.init(jax.random.key(0), D, H), 12
    xs = jax.random.normal(jax.random.key(1), (steps, 1, D))
    dys = jnp.zeros((steps, 1, H)).at[-1].set(H**-0.5)
    got, want = (gr.flow.adjoint(cell, params, xs, **given).log10_norm for given in ({}, {"dys": dys}))
    for name, profile in want.items():
        np.testing.assert_allclose(got[name], profile, rtol=1e-4, atol=1e-4)
    use = draw(st.sampled_from(["compare", "model", "train"]))
    if use == "compare":
        runs = gr.flow.compare([cell], xs, hidden_size=H, seeds=1).runs
        assert all(np.isfinite(run.rate_log10_per_step) for run in runs)
    elif use == "model":
        model = gr.models.Model(cell, D, H, 1)
        assert gr.models.count(model.init(jax.random.key(0)))
    else:
        setup = gr.train.Setup(gr.tasks.adding, cell, horizon=4, hidden_size=H, batch=2, method=gr.Autodiff())
        assert np.isfinite(gr.train.step(setup, gr.train.init(setup))[1].loss).all()
