"""gr.flow.monitor: its numbers against literal loops, its log, and the kinds of steps that it wraps."""

import json
import sys
import types

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from monitor_problems import PRODUCT, XS, A, descend

import gatedrnn as gr

T, B, D, H = 12, 3, 4, 5


@pytest.mark.thinned(2)
@pytest.mark.parametrize("flagged", [False, True])
def test_numbers(flagged, problem, put, tmp_path, strict_json):
    """Every number of a record from explicit Jacobians, central differences and the literal loop, in float64."""
    params, xs, carry, _, _, flags = problem("gru")
    mask, reset = (flags["mask"], flags["reset"]) if flagged else (None, None)
    weights, small, begun = put(params), put(xs), put(carry)
    probe = lambda params, xs: gr.flow.Probe(gr.gru, params, xs, lambda ys: jnp.sum(ys[-1] ** 2), begun, mask, reset)
    log = tmp_path / "folder" / "run.jsonl"
    watched = gr.flow.monitor(lambda params, xs: params, probe, every=2, log=log, rows=2, guard=None)
    for _ in range(3):
        watched(weights, small)
    lines = [strict_json(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2] and lines[1] == watched.last == lines[0] | {"step": 2}

    run = lambda: reference.LOOPS["gru"](params, xs, carry, mask, reset)
    loss = lambda: (run().ys[-1] ** 2).sum()
    found = run()
    np.testing.assert_allclose(watched.last["loss"], loss(), rtol=1e-5)
    for name in ("input.w", "recurrent.b"):
        part, leaf = name.split(".")
        want = np.linalg.norm(reference.central_difference(loss, getattr(params, part)[leaf]))
        np.testing.assert_allclose(watched.last["gradient_norm"][name], want, rtol=1e-3)
    profiles = []
    for b in range(2):
        flag = lambda a, b=b: None if a is None else a[:, b]
        path = flow_reference.path("gru", params, xs[:, b], [carry.h[b]], flag(mask), flag(reset))
        direct = np.zeros((T, H))
        direct[-1] = 2 * found.ys[-1, b]
        rows = flow_reference.log10_norms(flow_reference.adjoint(path.jacobians, np.zeros(H), direct), ("h",))["state"]
        profiles.append(by_own_lag(rows, flag(mask), flag(reset)))
    assert watched.last["lags"] == list(range(T + 1))
    for lag, value in enumerate(watched.last["log10_norm"]):
        arrives = [rows[lag] for rows in profiles if lag < len(rows) and rows[lag] > -np.inf]
        assert abs(value - np.mean(arrives)) < 1e-4 if arrives else value is None
    few = {"mask": None if mask is None else mask[:, :2], "reset": None if reset is None else reset[:, :2]}
    first = gr.GRUState(begun.h[:2])
    exponent = gr.flow.lyapunov(gr.gru, weights, small[:, :2], first, k=1, **few).mean()
    np.testing.assert_allclose(watched.last["exponents"], [exponent], rtol=1e-4)
    ran = np.ones((T, 2), bool) if mask is None else mask[:, :2]
    for name, gate in found.gates.items():
        gate = gate[:, :2][ran]
        got = watched.last["gates"][name]
        np.testing.assert_allclose(got["mean"], gate.mean(), atol=1e-5)
        np.testing.assert_allclose(
            [got["closed"], got["open"]], [(gate < 0.05).mean(), (gate > 0.95).mean()], atol=1e-6
        )


def by_own_lag(rows, mask, reset):
    """Norms [T + 1] after each step that is run, the last first, as far as the last reset."""
    kept = []
    for t in range(T, -1, -1):
        ran = t == 0 or mask is None or mask[t - 1]
        kept += [rows[t]] if ran else []
        if t and ran and reset is not None and reset[t - 1]:
            break
    return kept


def test_rows_that_nothing_reaches():
    """A row that no step is run in, and one that the loss does not look at, hide nothing of the others."""
    loss = lambda ys: jnp.sum(ys[-1, 0])
    mask = jnp.ones((6, 3), bool).at[:, 2].set(False)
    xs = jnp.full((6, 3, 1), 0.5, "float32")
    probe = lambda params, xs: gr.flow.Probe(PRODUCT, params, xs, loss, None, mask)
    watched = gr.flow.monitor(lambda params, xs: params, probe, guard=None)
    watched(A, xs)
    assert watched.last["log10_norm"][0] is None  # the last output reads the carry before it
    np.testing.assert_allclose(watched.last["log10_norm"][1:], np.log10(0.5) * np.arange(1, 7), atol=1e-5)
    np.testing.assert_allclose(watched.last["exponents"], [np.log(0.5)], atol=1e-6)


def test_the_log_of_a_killed_run(tmp_path):
    """Half a line is left out, and cut off before the next is added; of a step run twice the last counts."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"step": 0, "loss": 1.0}\n{"step": 5, "loss": 2.0}\n{"step": 10, "lo')
    assert [record["step"] for record in gr.flow.monitored(path)] == [0, 5]
    step, probe = descend(PRODUCT)
    watched = gr.flow.monitor(step, probe, every=5, log=path, first=5)
    watched(A, XS)
    records = gr.flow.monitored(path)
    assert [record["step"] for record in records] == [0, 5] and records[1]["loss"] == 1.0
    assert path.read_bytes().count(b"\n") == 3 and "gates" not in records[1]
    path.write_text("no JSON\n")
    with pytest.raises(ValueError, match="`path` must be a file of `monitor`; got line 1"):
        gr.flow.monitored(path)


def test_tensorboard(monkeypatch, tmp_path):
    """Scalars go to whichever writer is there; it is asked for by name, and none is an error."""
    written = []
    writer = types.SimpleNamespace(add_scalar=lambda *scalar: written.append(scalar), flush=lambda: None)
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=lambda folder: writer))
    step, probe = descend(PRODUCT)
    gr.flow.monitor(step, probe, tensorboard=tmp_path)(A, XS)
    found = {place: value for place, value, step in written if step == 0}
    assert found["loss"] == 1.0 and found["exponents/0"] == 0.0 and abs(found["gradient_norm/params"] - 3.5) < 1e-6
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="`tensorboard` must be None where neither"):
        gr.flow.monitor(step, probe, tensorboard=tmp_path)


@pytest.mark.slow
def test_flax():
    """A linen `TrainState`; nnx modules, which a step changes, are put back."""
    from flax import nnx
    from flax.training.train_state import TrainState

    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        loss = lambda params, xs: jnp.mean(gr.unroll(PRODUCT, params["a"], xs)[1])
        state = TrainState.create(apply_fn=loss, params={"a": A}, tx=optax.adam(0.01))
        step = jax.jit(lambda state, xs: state.apply_gradients(grads=jax.grad(loss)(state.params, xs)))
        watched = gr.flow.monitor(step, lambda s, xs: (PRODUCT, s.params["a"], xs, jnp.mean), guard="skip")
        state = watched(state, XS)
        again = watched(state, XS * jnp.nan)
        assert again.step == 1 and again.params["a"] == state.params["a"] and watched.skipped == [1]

        class Model(nnx.Module):
            def __init__(self):
                self.a = nnx.Param(A)

        model = Model()
        optimizer = nnx.Optimizer(model, optax.adam(0.01), wrt=nnx.Param)

        @nnx.jit
        def change(model, optimizer, xs):
            value, gradient = nnx.value_and_grad(lambda m: jnp.mean(gr.unroll(PRODUCT, m.a[...], xs)[1]))(model)
            optimizer.update(model, gradient)
            return value

        watched = gr.flow.monitor(change, lambda m, o, xs: (PRODUCT, m.a[...], xs, jnp.mean), guard="skip")
        watched(model, optimizer, XS)
        before = float(model.a[...][0])
        watched(model, optimizer, XS * jnp.nan)
        assert watched.skipped == [1] and float(model.a[...][0]) == before != 1
        assert np.isfinite(float(watched(model, optimizer, XS))) and float(model.a[...][0]) != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guard": "stay"}, "`guard` must be 'stop', 'skip' or None"),
        ({"every": 0}, "`every` must be"),
        ({"probe": 3}, "`probe` must be a function"),
        ({"step": None}, "`step` must be a function"),
        ({"log": 3}, "`log` must be a path"),
    ],
)
def test_errors(options, message):
    """At the door."""
    step, probe = descend(PRODUCT)
    with pytest.raises(ValueError, match=message):
        gr.flow.monitor(**({"step": step, "probe": probe} | options))


def test_errors_of_a_call(tmp_path):
    """Traced arguments; a probe that says nothing; a step without a state to go back to."""
    step, probe = descend(PRODUCT)
    with pytest.raises(TypeError, match="outside of `jax.jit`"):
        jax.jit(gr.flow.monitor(step, probe))(A, XS)
    with pytest.raises(ValueError, match="`probe` must be such that it returns"):
        gr.flow.monitor(step, lambda params, xs: xs)(A, XS)
    with pytest.raises(ValueError, match=r"`probe` must be such that `xs` has at least one step, row and feature; got"):
        gr.flow.monitor(step, probe)(A, XS[:, :0])
    lost = gr.flow.monitor(lambda params, xs: {"loss": step(params, xs)[1]}, probe, guard="skip")
    with pytest.raises(ValueError, match="`guard` must be 'stop' for a step that returns no state"):
        lost(A, XS)  # said at once, not where the first is to be skipped
    assert json.dumps(lost.last)


def test_arguments_that_jax_takes_for_no_array():
    """Words of any number, records, and a count beyond JAX's integers; the probe is given them as they are."""
    step, _ = descend(PRODUCT)
    seen = []

    def probe(params, xs, words, counts):
        seen.append((words.tolist(), counts["seen"]))
        return PRODUCT, params, xs, jnp.mean

    watched = gr.flow.monitor(lambda params, xs, *_: step(params, xs), probe, every=1)
    records = np.zeros(3, [("a", "float32")])
    for words, seen_so_far in ((np.array(["a", "b"]), 7), (np.array(["c"]), 2**40), (records, 2**40)):
        watched(A, XS, words, {"seen": seen_so_far, "done": True})
        assert seen[-1][0] == words.tolist()
    assert [count for _, count in seen if isinstance(count, int)] == [2**40] * 4  # smaller ones are traced
    assert watched.count == 3
