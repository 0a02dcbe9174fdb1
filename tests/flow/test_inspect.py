"""`flow.inspect` of a network: places, reasons, and the weight of units; its other numbers are the command's tests'."""

import sys

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from flow_reference import differences

import gatedrnn as gr

D = 2


@pytest.fixture
def without_audits(monkeypatch):
    """Those measures that are the same for any cell, and take longest, are left to the other tests."""
    module = sys.modules["gatedrnn.flow.inspect"]
    for name in ("spectrum", "window_audit", "precision_audit"):
        monkeypatch.setattr(module, name, lambda *_, **__: None)


def test_a_network(without_audits):
    """Layers by their places; what cannot be split or has no gates is left out, with the reason; units by their weight.

    The weight of a unit, by differences of the readout in what it holds.
    """
    tanh = gr.Cell.from_step("tanh", gr.rnn.step, init=gr.rnn.init, initial_carry=gr.rnn.initial_carry)
    cell = gr.stack(gr.rnn, tanh)
    params = jax.tree.map(lambda a: 1.5 * a, cell.init(jax.random.key(1), D, 2))
    xs = jax.random.normal(jax.random.key(2), (6, 2, D))
    found = gr.flow.inspect(cell, params, xs, shown=5)
    assert found.cells == {"0": "rnn", "1": "tanh"} and found.keeps == {"0": "", "1": ""}
    assert sorted(found.left_out) == ["gates", "paths, time scales", "states"]
    assert found.left_out["gates"] == "tanh names no gates" and found.paths is None and found.profile.shape == (7, 2)
    x = np.array(xs[:, 0], np.float64)
    weights = [reference.Weights(*(jax.tree.map(np.float64, part) for part in layer[:2])) for layer in params.layers]

    def run(held, start, stop=6):
        """The states of both layers after some steps."""
        for t in range(start, stop):
            (first,), _, _ = reference.rnn(weights[0], x[t, None, None], (held[None, :2],))
            (second,), _, _ = reference.rnn(weights[1], first[None], (held[None, 2:],))
            held = np.concatenate([first[0], second[0]])
        return held

    states = np.array([run(np.zeros(4), 0, t) for t in range(6)])
    pulls = np.array([differences(lambda held, t=t: run(held, t)[2:].mean(), states[t]) for t in range(6)])
    weight = abs(pulls * (states - states[1:].mean(0)))[1:]
    share = (weight / weight.sum(1, keepdims=True)).mean(0)
    order = np.argsort(-share)[:3]
    assert [2 * int(unit.place) + unit.unit for unit in found.units] == order.tolist()
    np.testing.assert_allclose([unit.share for unit in found.units], share[order], rtol=1e-3)


def test_the_keeper(without_audits):
    """Of an LSTM it is a unit's cell state, by explicit Jacobians; along itself comes the product of forget gates."""
    weights = gr.Params(*reference.weights("lstm", D, 3, np.random.default_rng(0)))
    x = np.random.default_rng(1).normal(size=(8, 1, D))
    params, xs = jax.tree.map(lambda a: jnp.asarray(a, "float32"), (weights, x))
    found = gr.flow.inspect(gr.lstm, params, xs)
    jacobians = flow_reference.path("lstm", weights, x[:, 0], [np.zeros(3)] * 2).jacobians
    probe = np.repeat([3**-0.5, 0], 3)
    row = flow_reference.adjoint(jacobians, probe).vectors[8 - found.keeper.lag] ** 2
    unit = row[3:].argmax()
    assert (found.keeper.unit, list(found.paths.units.whole)) == (unit, ["h", "c"])
    np.testing.assert_allclose(found.keeper.share, row[3 + unit] / row.sum(), rtol=1e-4)
    run = reference.LOOPS["lstm"](weights, x, [np.zeros((1, 3))] * 2)
    shows = run.gates["output"][-1] * (1 - np.tanh(run.carry[1]) ** 2)
    direct = 3**-0.5 * shows[0, unit] * run.gates["forget"][8 - found.keeper.lag :, 0, unit].prod()
    np.testing.assert_allclose(found.keeper.direct, np.log10(abs(direct)), rtol=1e-4)


def test_refused():
    """At the door, before anything is run: what has NaN, or a shape or a window of its own."""
    params, xs = gr.rnn.init(jax.random.key(0), D, 2), jnp.ones((4, 2, D))
    for change, message in (
        (
            {"xs": xs.at[1, 1, 0].set(jnp.nan)},
            r"`xs` must be of finite numbers; got NaN or infinity in float32 \(4, 2, 2",
        ),
        ({"along": -jnp.inf * xs}, "`along` must be of finite numbers"),
        ({"along": xs[1:]}, r"`along` must be like `xs`, \(4, 2, 2\); got \(3, 2, 2\)"),
        ({"longer": xs}, "`trained` must be given with `longer`"),
        ({"longer": xs[..., :1], "trained": 2}, r"`longer` must be \[T', B', D\] with D = 2 as in `xs`; got"),
        ({"loss": 3}, "`loss` must be a function of the outputs"),
        ({"windows": ()}, "`windows` must be a sequence of whole numbers"),
        ({"back": 4}, "`back` must be a whole number from 0 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            gr.flow.inspect(gr.rnn, params, **({"xs": xs} | change))
    step = lambda params, carry, x: (gr.RNNState((carry.h + x) ** 9 - 1e30 * x), carry.h)
    grow = lambda params, carry, x: (gr.RNNState(1e20 * carry.h + x), carry.h)  # whose gradient is a number, scaled
    for function in (step, grow):
        cell = gr.Cell.from_step("grows", function, init=gr.rnn.init, initial_carry=gr.rnn.initial_carry)
        with pytest.raises(ValueError, match="`params` must be such that the recurrence stays within a float's range"):
            gr.flow.inspect(cell, params, xs)
