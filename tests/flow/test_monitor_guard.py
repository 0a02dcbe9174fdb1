"""The guard of gr.flow.monitor, against numbers planted at known places: where they arose, and what is given back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from monitor_problems import ADDED, PRODUCT, ROOT, XS, A, descend

import gatedrnn as gr
from gatedrnn.flow._origin import origin

PLANTED = {
    "input": (PRODUCT, A, XS.at[4, 0, 0].set(jnp.nan).at[3, 1, 0].set(jnp.inf), jnp.mean, "xs", 3, 1),
    "weight": (PRODUCT, A * jnp.nan, XS, jnp.mean, "params", None, None),
    "carry": (PRODUCT, A, XS.at[2:4, 1].set(1e30), jnp.mean, "carry.h", 3, 1),  # 10^30, then 10^60
    "loss": (PRODUCT, A, XS.at[2, 1].set(0), lambda ys: jnp.log(ys).sum(), "dL/dys", 2, 1),
    "share": (ADDED, A, XS.at[3, 1].set(0), jnp.mean, "dL/dparams", 3, 1),  # 0 / sqrt(0)
    "backward": (ROOT, A, XS.at[2, 1].set(0), lambda ys: ys[-1].sum(), "dL/dcarry.h", 2, 1),  # 0 / sqrt(0)
}


@pytest.mark.parametrize("case", PLANTED)
def test_planted(case):
    """The tensor, the time step and the row of the first number that is not finite; the state before it."""
    cell, params, xs, loss, tensor, time, row = PLANTED[case]
    step, probe = descend(cell, loss)
    watched = gr.flow.monitor(step, probe, every=100, first=7)
    good = watched(A, XS)[0]
    with pytest.raises(gr.flow.NonFiniteError, match=r"Step 8 gave `results\[0\]`") as caught:
        watched(good if case != "weight" else params, xs)
    assert caught.value.origin == gr.flow.Origin(tensor, time, row)
    kept, read = caught.value.good
    assert caught.value.step == 8 and kept is (good if case != "weight" else params) and read is xs  # no copies
    assert str(caught.value.origin) in str(caught.value)


def test_the_input_of_both_directions():
    """Of a network that reads backwards, too, an input that is not finite is named, and not the first output."""
    both = gr.bidirectional(PRODUCT)
    params = gr.networks.BidirectionalParams(A, A)
    for value, want in ((jnp.nan, gr.flow.Origin("xs", 4, 1)), (1, None)):
        assert origin(gr.flow.Probe(both, params, XS.at[4, 1, 0].set(value), jnp.mean)) == want


@pytest.mark.slow
def test_masked_and_excused():
    """NaN behind a mask, or in the state from the beginning, breaks nothing; from elsewhere it has no origin."""
    xs, mask = XS.at[4].set(jnp.nan), jnp.ones((6, 2), bool).at[4].set(False)
    rest = lambda ys: jnp.mean(ys[-1])

    @jax.jit
    def step(state, xs):
        value, gradient = jax.value_and_grad(lambda p: rest(gr.unroll(PRODUCT, p, xs, mask=mask)[1]))(state["a"])
        return state | {"a": state["a"] - state["rate"] * gradient}, value

    watched = gr.flow.monitor(step, lambda state, xs: gr.flow.Probe(PRODUCT, state["a"], xs, rest, None, mask))
    state = {"a": A, "best": jnp.asarray(jnp.inf, "float32"), "rate": jnp.asarray(0.1, "float32")}
    state, _ = watched(state, xs)
    with pytest.raises(gr.flow.NonFiniteError, match="outside of the recurrence") as caught:
        watched(state | {"rate": jnp.asarray(jnp.nan, "float32")}, xs)
    assert caught.value.origin is None and caught.value.path == "results[0]['a']"


@pytest.mark.parametrize("kind", ["plain", "donated", "donated later", "carried"])
def test_skip(kind, tmp_path):
    """The state is that before the step, and training goes on, also where arguments are donated, the first of NumPy."""
    descent, probe = descend(PRODUCT)
    path = tmp_path / "run.jsonl"
    if kind == "carried":  # as purejaxrl's `_update_step(runner_state, unused)`
        step = lambda runner, _: (lambda found: ((found[0], runner[1]), {"loss": found[1]}))(descent(*runner))
        watched = gr.flow.monitor(step, lambda runner, _: probe(*runner), guard="skip", log=path)
        after = lambda params, xs: watched((params, xs), None)[0][0]
    else:
        step = jax.jit(descent, donate_argnums=0) if kind.startswith("donated") else descent
        watched = gr.flow.monitor(step, probe, guard="skip", log=path)
        after = lambda params, xs: watched(params, xs)[0]
    first = after(np.asarray(A) if kind == "donated later" else jnp.copy(A), XS)
    kept = np.asarray(first).copy()
    second = after(first, XS.at[1, 1].set(jnp.nan))
    np.testing.assert_array_equal(second, kept)
    third = after(second, XS)
    assert watched.skipped == [1] and watched.count == 3 and np.isfinite(third).all() and third != kept
    (note,) = (record for record in gr.flow.monitored(path) if record.get("event") == "skipped")
    assert note["step"] == 1 and "`xs` at time step 1, row 1" in note["why"]


def test_which_argument_is_the_state():
    """Among arguments that are built alike it is the one that the results were given back as; a loss is no rate.

    Arguments by name, one that is a function, and results in a dict.
    """

    def step(target, params, rate, *, xs, of):
        value, gradient = jax.value_and_grad(lambda p: of(gr.unroll(PRODUCT, p, xs)[1]))(params)
        return {"loss": value, "params": params - rate * gradient}

    probe = lambda target, params, rate, xs, of: (PRODUCT, params, xs, of)
    watched = gr.flow.monitor(step, probe, guard="skip", every=2)
    target, rate = 7 * A, jnp.asarray(0.1, "float32")
    first = watched(target, A, rate, xs=XS, of=jnp.mean)
    second = watched(target, first["params"], rate, xs=XS.at[2, 1].set(jnp.nan), of=jnp.mean)
    assert watched.skipped == [1] and np.isnan(second["loss"]) and second["params"] == first["params"] != 1
    third = watched(target, second["params"], rate, xs=XS, of=jnp.sum)
    assert np.isfinite(third["params"]) and watched.last["loss"] > 2  # the sum; the mean is 0.3
