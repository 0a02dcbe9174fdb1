"""gr.flow of networks that read backwards: against finite differences and explicit Jacobians, in float64 loops."""

from dataclasses import dataclass

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.networks._layers import as_cell
from gatedrnn.networks.stack import Layers

T, B, D, H = 6, 2, 3, 2
LSTM, GRU = gr.bidirectional(gr.lstm), gr.stack(gr.bidirectional(gr.gru), layers=2)
NETWORKS = {"lstm": LSTM, "gru": GRU}
each_network = pytest.mark.parametrize("name", NETWORKS)
MASK = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1], [1, 0]], bool)
RESET = np.array([[0, 0], [0, 0], [0, 1], [0, 0], [1, 0], [0, 0]], bool)


def drawn(network, steps=T):
    rng = np.random.default_rng(3)
    params = network.init(jax.random.key(3), D, H)
    params = jax.tree.map(lambda a: a + 0.3 * jnp.asarray(rng.normal(size=a.shape), a.dtype), params)
    return params, jnp.asarray(rng.normal(size=(steps, B, D)), jnp.float32), rng


def both(params):
    """The weights of every direction, from the input's side, and whether it runs against time."""
    layers = getattr(params, "layers", (params,))
    return [pair for layer in layers for pair in ((layer.forward, False), (layer.backward, True))]


def one_way(name, weights, xs, mask, reset, backwards, nudge):
    """Outputs [T, H] of one row; `nudge` [T + 1, S] is added to what is handed over at each place between steps."""
    state, ys = np.zeros(nudge.shape[1]), np.zeros((len(xs), H))
    for t in range(len(xs))[:: -1 if backwards else 1]:
        state = state + nudge[t + 1 if backwards else t]
        if mask[t]:
            before = np.zeros_like(state) if reset[t] else state
            state = flow_reference.STEPS[name](weights, xs[t], before).state
            ys[t] = state[:H]
    return ys


def shown(name, params, xs, mask, reset, nudges, reverse=False):
    """What every layer shows, both directions side by side, [T, 2 H] each."""
    run = np.flatnonzero(mask)[:: -1 if reverse else 1]
    ends = np.zeros_like(reset)
    ends[run[:-1]] = reset[run[1:]]
    layers, directions = [xs], both(params)
    for i in range(0, len(directions), 2):
        found = [
            one_way(name, weights, layers[-1], mask, ends if against else reset, against != reverse, nudges[i + j])
            for j, (weights, against) in enumerate(directions[i : i + 2])
        ]
        layers.append(np.concatenate(found, axis=1))
    return layers[1:]


def differences(name, params, loss, *given, reverse=False):
    """d loss / d what every direction hands over at every place, [T + 1, S] each, by central differences."""
    size = H * len(flow_reference.PARTS[name])
    nudges = [np.zeros((T + 1, size)) for _ in both(params)]
    found = [np.zeros_like(each) for each in nudges]
    for each, slope in zip(nudges, found, strict=True):
        for place in np.ndindex(each.shape):
            ends = []
            for each[place] in (1e-5, -1e-5):
                ends.append(loss(shown(name, params, *given, nudges, reverse)[-1]))
            each[place] = 0
            slope[place] = (ends[0] - ends[1]) / 2e-5
    return found


def assert_rows(got, want, name, row):
    """Each part's norms, of every direction, and those of all."""
    parts = flow_reference.PARTS[name]
    places = [
        f"{layer}{way}" for layer in ([""] if name == "lstm" else ["0.", "1."]) for way in ("forward", "backward")
    ]
    with np.errstate(divide="ignore"):
        norm = lambda a: np.log10(np.linalg.norm(a, axis=1))
        wanted = {"state": norm(np.concatenate(want, axis=1))}
        for place, slope in zip(places, want, strict=True):
            wanted |= {f"{place}.{p}": norm(a) for p, a in zip(parts, np.split(slope, len(parts), 1), strict=True)}
    assert set(got) == set(wanted)
    for part, rows in wanted.items():
        np.testing.assert_allclose(got[part][:, row], rows, atol=2e-4, err_msg=part)


@each_network
@pytest.mark.thinned(5)
@pytest.mark.parametrize("reverse", [False, True])
def test_adjoint_against_finite_differences(name, reverse):
    """A loss of every output, with masked steps and episodes; what is handed over to a reset counts for nothing."""
    params, xs, rng = drawn(NETWORKS[name])
    dys = rng.normal(size=(T, B, 2 * H)).astype(np.float32)
    flags = {"mask": jnp.asarray(MASK), "reset": jnp.asarray(RESET), "reverse": reverse}
    got = gr.flow.adjoint(NETWORKS[name], params, xs, dys=jnp.asarray(dys), **flags).log10_norm
    for row in range(B):
        loss = lambda ys, row=row: (ys * dys[:, row]).sum()
        given = np.asarray(xs[:, row], np.float64), MASK[:, row], RESET[:, row]
        want = differences(name, params, loss, *given, reverse=reverse)
        assert_rows(got, want, name, row)
    assert np.isneginf(got["state"][5 if reverse else 4, 0])  # between episodes neither direction hands anything over


@pytest.mark.slow
@each_network
def test_the_default_probe_reads_each_directions_last_output(name):
    params, xs, _ = drawn(NETWORKS[name])
    got = gr.flow.adjoint(NETWORKS[name], params, xs, mask=jnp.asarray(MASK)).log10_norm
    for row in range(B):
        first, *_, last = np.flatnonzero(MASK[:, row])
        loss = lambda ys, ends=(last, first): (ys[ends[0], :H].sum() + ys[ends[1], H:].sum()) / np.sqrt(2 * H)
        given = np.asarray(xs[:, row], np.float64), MASK[:, row], np.zeros(T, bool)
        assert_rows(got, differences(name, params, loss, *given), name, row)


@pytest.mark.slow
def test_gradient_of_the_last_and_the_first_carry(unscaled):
    """`dcarry` alone, and the mantissa, which is the plain gradient in the first carry."""
    params, xs, rng = drawn(GRU)
    carry = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), GRU.initial_carry(params, B))
    dcarry = jax.tree.map(jnp.cos, carry)
    dys = jnp.asarray(rng.normal(size=(T, B, 2 * H)), jnp.float32)

    def loss(carry, weight):
        end, ys = gr.unroll(GRU, params, xs, carry, method=gr.Autodiff())
        ends = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(end), jax.tree.leaves(dcarry), strict=True))
        return ends + weight * jnp.vdot(ys, dys)

    for weight in (0.0, 1.0):
        got = gr.flow.adjoint(GRU, params, xs, carry, dys=dys if weight else None, dcarry=dcarry)
        assert_close(unscaled(got), jax.grad(loss)(carry, weight), "float32", 40)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Apart(Layers):
    """A stack that is measured layer by layer."""

    causal = False


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"skip": True, "norm": gr.networks.layer_norm}, marks=pytest.mark.slow)],
    ids=["plain", "skip"],
)
def test_layers_apart_are_the_stack(options, unscaled):
    """The adjoint of a stack's joint steps is that of its layers, each with what arrives from the one above."""
    stack = gr.stack(gr.lstm, gr.gru, **options)
    run = stack.network
    apart = as_cell(Apart(run.cells, run.residual, run.skip, run.norm, run.dropout), stack.name, "", False)
    params, xs, rng = drawn(stack)
    width = gr.unroll(stack, params, xs)[1].shape[-1]
    given = {"mask": jnp.asarray(MASK), "reset": jnp.asarray(RESET), "dys": jnp.asarray(rng.normal(size=(T, B, width)))}
    given["dys"] = given["dys"].astype(jnp.float32)
    want, got = (gr.flow.adjoint(cell, params, xs, **given) for cell in (stack, apart))
    assert set(got.log10_norm) == {"0.h", "0.c", "1.h", "state"}
    for part, rows in want.log10_norm.items():
        np.testing.assert_allclose(got.log10_norm[part], rows, atol=1e-5)
    assert_close(unscaled(got), unscaled(want), "float32", 40)


@pytest.mark.slow
def test_nan_in_another_episode():
    """It reaches neither the rows of this one nor its gradient."""
    params, xs, rng = drawn(GRU)
    reset = jnp.zeros((T, B), bool).at[3].set(True)
    dys = jnp.asarray(rng.normal(size=(T, B, 2 * H)), jnp.float32).at[:3].set(0)
    want, got = (gr.flow.adjoint(GRU, params, x, dys=dys, reset=reset).log10_norm for x in (xs, xs.at[1].set(jnp.nan)))
    for part, rows in want.items():
        np.testing.assert_array_equal(got[part], rows)


@each_network
def test_exponents_are_those_of_every_direction(name):
    """Each driven by what the layer below shows, in its own order; a masked step is as if deleted."""
    steps = 12
    params, xs, _ = drawn(NETWORKS[name], steps)
    mask = np.ones(steps, bool)
    mask[[2, 7]] = False
    got = gr.flow.lyapunov(NETWORKS[name], params, xs[:, 0], mask=jnp.asarray(mask))
    size = H * len(flow_reference.PARTS[name])
    still = [np.zeros((steps, size))] * len(both(params))
    kept = np.asarray(xs[:, 0], np.float64)[mask]
    layers = [kept, *shown(name, params, kept, np.ones(len(kept), bool), np.zeros(len(kept), bool), still)]
    want = []
    for i, (weights, against) in enumerate(both(params)):
        read = layers[i // 2][:: -1 if against else 1]
        want.append(flow_reference.lyapunov(flow_reference.path(name, weights, read).jacobians, np.eye(size)))
    want = np.sort(np.concatenate(want))[::-1]
    np.testing.assert_allclose(got, want, atol=2e-3 if name == "lstm" else 1e-4)
    with pytest.raises(ValueError, match=f"`k` must be at most {len(want)}, "):
        gr.flow.lyapunov(NETWORKS[name], params, xs, k=len(want) + 1)


@pytest.mark.slow
def test_gates_and_time_scales_of_every_cell():
    """In the places of their carries, each cell driven by what it reads, in its own direction."""
    network = gr.stack(gr.bidirectional(gr.lstm), gr.gru)
    params, xs, _ = drawn(network)
    below = gr.unroll(gr.bidirectional(gr.lstm), params.layers[0], xs)[1]
    (first, second), weights = gr.flow.timescales(network, params, xs), params.layers[0]
    ahead, back = (gr.flow.timescales(gr.lstm, w, xs, reverse=r) for w, r in zip(weights, (False, True), strict=True))
    np.testing.assert_allclose(first.forward, ahead, rtol=1e-5)
    np.testing.assert_allclose(first.backward, back, rtol=1e-5)
    np.testing.assert_allclose(second, gr.flow.timescales(gr.gru, params.layers[1], below), rtol=1e-5)
    gates, top = gr.gate_activations(network, params, xs)
    turned = gr.gate_activations(gr.lstm, weights.backward, xs[::-1])
    np.testing.assert_allclose(gates.backward.forget, turned.forget[::-1], rtol=1e-5)
    np.testing.assert_allclose(top.update, gr.gate_activations(gr.gru, params.layers[1], below).update, rtol=1e-5)
    network = gr.stack(gr.projected(gr.lstm), gr.gru)
    params = network.init(jax.random.key(0), D, H)
    for analysis in (gr.flow.timescales, gr.gate_activations):
        with pytest.raises(ValueError, match="`cell` must be a Cell"):
            analysis(network, params, xs)


@pytest.mark.slow
def test_compared_by_lag():
    """A comparison counts lags from each direction's own last output."""
    network = gr.bidirectional(gr.gru)
    xs = jax.random.normal(jax.random.key(0), (T, 1, D))
    (run,) = gr.flow.compare([network], {"driven": xs}, hidden_size=H, inits=["default"], seeds=1).runs
    rows = gr.flow.adjoint(network, network.init(jax.random.key(0), D, H), xs).log10_norm
    ahead, back = rows["forward.h"][::-1, 0], rows["backward.h"][:, 0]
    with np.errstate(divide="ignore"):
        want = np.log10(np.hypot(10.0**ahead, 10.0**back))
    assert run.log10_norm[0] is None and run.closed_form_log10_norm is None
    np.testing.assert_allclose(np.array(run.log10_norm[1:]), want[1:], atol=1e-5)


def test_what_has_no_last_output_needs_a_loss():
    network = gr.stack(gr.bidirectional(gr.gru), layers=2, residual=True)
    params, xs, _ = drawn(network)
    with pytest.raises(ValueError, match="`dys` must be given where `residual` or `skip` lie over both directions"):
        gr.flow.adjoint(network, params, xs)
    got = gr.flow.adjoint(network, params, xs, dys=jnp.ones((T, B, 2 * H)))
    assert np.isfinite(got.log10_norm["state"]).all()
