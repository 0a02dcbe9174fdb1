"""gr.flow.paths against explicit float64 Jacobians, closed forms, and JAX's own gradient of a network held fixed."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

B, D, H = 3, 4, 5
PLAIN = {"mask": None, "reset": None}


def elementwise(name, path, mask, reset):
    """The step Jacobians [T, S, S] with the recurrent half of every gate held fixed, by hand."""
    found = []
    for t, keep in enumerate(path.keep):
        size = len(path.states[0])
        if name == "lstm":
            h, c = np.split(path.states[t + 1], 2)
            with np.errstate(invalid="ignore"):
                shows = np.where(c == 0, 0.0, h / np.tanh(c) * (1 - np.tanh(c) ** 2))  # o (1 - tanh^2 c)
            nothing = np.zeros((H, H))
            step = np.block([[nothing, np.diag(shows * keep)], [nothing, np.diag(keep)]])
        else:
            step = np.diag(keep)  # z of the GRU; 0 of the Elman network
        masked, fresh = mask is not None and not mask[t], reset is not None and reset[t]
        found.append(np.eye(size) if masked else np.zeros_like(step) if fresh else step)
    return np.array(found)


def vectors(jacobians, final, direct):
    """dL/dstate_t, [T + 1, S]."""
    found = flow_reference.adjoint(jacobians, final, direct)
    return np.stack([np.ldexp(v, e) for v, e in zip(found.vectors, found.exponents, strict=True)])


def logs(a, axis=None):
    with np.errstate(divide="ignore"):
        return np.log10(np.abs(a) if axis is None else np.linalg.norm(a, axis=axis))


@pytest.mark.parametrize("name", ["lstm", "gru", pytest.param("rnn", marks=pytest.mark.slow)])
def test_against_explicit_jacobians(name, problem, put):
    """Norms by part and every unit, of a loss in outputs and the last carry, with masked steps and episodes."""
    params, xs, carry, dys, dcarry, flags = problem(name)
    T = len(xs)
    given = {key: put(value) for key, value in {"dys": dys, "dcarry": dcarry, **flags}.items()}
    got = gr.flow.paths(gr.cells.CLASSICS[name], put(params), put(xs), put(carry), **given, units=range(T + 1))
    parts = flow_reference.PARTS[name]
    for b in range(B):
        mask, reset = flags["mask"][:, b], flags["reset"][:, b]
        path = flow_reference.path(name, params, xs[:, b], [part[b] for part in carry], mask, reset)
        held = elementwise(name, path, mask, reset)
        final, direct = np.concatenate([part[b] for part in dcarry]), np.zeros((T, len(path.states[0])))
        direct[:, :H] = dys[:, b] * mask[:, None]
        whole, along = vectors(path.jacobians, final, direct), vectors(held, final, direct)
        for kind, want in {"whole": whole, "direct": along, "rest": whole - along}.items():
            norms, units = getattr(got, kind), getattr(got.units, kind)
            want = np.where(np.abs(want) < 1e-14, 0, want)  # what the difference leaves of nothing
            np.testing.assert_allclose(norms["state"][:, b], logs(want, 1), atol=2e-4, err_msg=kind)
            for part, numbers in zip(parts, np.split(want, len(parts), 1), strict=True):
                np.testing.assert_allclose(norms[part][:, b], logs(numbers, 1), atol=5e-4, err_msg=f"{kind} {part}")
                near = np.where(np.isneginf(units[part][:, b]), 0, 10 ** np.asarray(units[part][:, b], np.float64))
                np.testing.assert_allclose(near, np.abs(numbers), atol=1e-5, err_msg=f"{kind} {part}")
    assert got.units.rows.tolist() == list(range(T + 1)) and got.share == {}


@pytest.mark.parametrize("name", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_without_recurrent_weights_all_is_direct(name, weights, put):
    """Over 10,000 steps, unit by unit the product of the gates that keep; nothing of the rest, by 10^-1000 and less."""
    params, T = weights(name), 10_000
    params.recurrent["w"][:] = 0
    xs = np.random.default_rng(5).normal(size=(T, D))
    found = gr.flow.paths(gr.cells.CLASSICS[name], put(params), put(xs), units=[0, 1, T - 1, T])
    path = flow_reference.path(name, params, xs)
    product = np.concatenate([np.cumsum(np.log10(path.keep)[::-1], axis=0)[::-1], np.zeros((1, H))])  # [T + 1, H]
    if name == "lstm":
        h, c = np.split(path.states[-1], 2)
        product += np.log10(np.abs(h / np.tanh(c)) * (1 - np.tanh(c) ** 2))
    product += np.log10(H**-0.5)
    part = "c" if name == "lstm" else "h"
    np.testing.assert_allclose(found.units.direct[part][:3], product[[0, 1, T - 1]], rtol=1e-6, atol=1e-3)
    assert all(np.array_equal(found.whole[key], found.direct[key]) for key in found.whole)
    assert np.isneginf(found.rest["state"]).all() and found.whole["state"][0] < -1000


def fixed(cell, params, carry, x, held):
    """A step, by the three functions; with `held`, no gradient goes through the recurrent half of the gates."""
    h = jax.lax.stop_gradient(carry.h) if held else carry.h
    after = cell.pointwise(cell.project(params.input, x), cell.recur(params.recurrent, h), carry)
    return after, after.h


@pytest.mark.slow
def test_networks():
    """Against JAX's own gradient in the carry before each step of a plain loop, with U held fixed or not."""
    T, H, cells = 3, 2, (gr.lstm, gr.gru)
    rng = np.random.default_rng(1)
    network = gr.stack(*cells, skip=True)
    params = network.init(jax.random.key(0), D, H)
    params = jax.tree.map(lambda a: a + 0.3 * jnp.asarray(rng.normal(size=a.shape), a.dtype), params)
    xs, dys = (jnp.asarray(rng.normal(size=(T, 2, width)), jnp.float32) for width in (D, 2 * H))
    mask, reset = jnp.asarray(rng.random((T, 2)) < 0.8), jnp.zeros((T, 2), bool).at[1, 0].set(True)
    flags = {"mask": mask, "reset": reset & mask}
    initial = network.initial_carry(params, 2)

    def loss(nudges, held):
        carry, total = initial, 0.0
        for t in range(T):
            carry = jax.tree.map(lambda a, n, t=t: a + n[t], carry, nudges)
            either = lambda flag, *trees: jax.tree.map(lambda a, b: jnp.where(flag[:, None], a, b), *trees)
            before = either(flags["reset"][t], initial, carry)
            first, below = fixed(gr.lstm, params.layers[0], before[0], xs[t], held)
            second, y = fixed(gr.gru, params.layers[1], before[1], jnp.concatenate([below, xs[t]], 1), held)
            total += jnp.where(mask[t][:, None], jnp.concatenate([below, y], 1) * dys[t], 0).sum()
            carry = either(mask[t], (first, second), carry)
        return total

    nudges = jax.tree.map(lambda a: jnp.zeros((T, *a.shape)), initial)
    whole, along = (jax.jit(jax.grad(loss), static_argnums=1)(nudges, held) for held in (False, True))
    rest = jax.tree.map(jnp.subtract, whole, along)
    found = gr.flow.paths(network, params, xs, dys=dys, **flags)
    for kind, want in {"whole": whole, "direct": along, "rest": rest}.items():
        got = getattr(found, kind)
        for key, leaf in {"0.h": want[0].h, "0.c": want[0].c, "1.h": want[1].h}.items():
            leaf = np.where(np.abs(leaf) < 1e-7, 0, leaf)
            np.testing.assert_allclose(got[key][:T], logs(leaf, 2), atol=2e-3, err_msg=f"{kind} {key}")
        assert np.isneginf(got["state"][T]).all()  # the last output reads the carry before it
    size = [np.square(np.concatenate(jax.tree.leaves(layer), -1)).sum(-1) for layer in whole]
    share = np.divide(size[0], sum(size), out=np.zeros_like(size[0]), where=sum(size) > 0)
    np.testing.assert_allclose(found.share["0"][:T], share, atol=1e-4)
    assert set(np.unique(np.round(found.share["0"] + found.share["1"], 4))) == {0, 1}


@pytest.mark.slow
def test_a_network_that_reads_backwards():
    """Row for row the adjoint's; all of it direct where no unit reads another."""
    both = gr.bidirectional(gr.lstm)
    params = both.init(jax.random.key(0), D, 2)
    xs = jax.random.normal(jax.random.key(1), (7, 2, D))
    flags = {"mask": xs[..., 0] < 1, "reset": xs[..., 1] > 1, "reverse": True}
    found = gr.flow.paths(both, params, xs, **flags)
    for key, rows in gr.flow.adjoint(both, params, xs, **flags).log10_norm.items():
        np.testing.assert_allclose(found.whole[key], rows, atol=1e-5)
    alone = type(params)(*(each._replace(recurrent={"w": 0 * each.recurrent["w"]}) for each in params))
    found = gr.flow.paths(both, alone, xs, **flags)
    assert np.isneginf(found.rest["state"]).all()
    np.testing.assert_allclose(found.whole["state"], found.direct["state"], atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 2, 1), (4, 1)])
def test_parts_stand_in_the_order_of_the_carry(shape):
    """Of an LSTM h before c, of the adjoint and of its split."""
    params, xs = gr.lstm.init(jax.random.key(0), 1, 3), jnp.ones(shape)
    split = gr.flow.paths(gr.lstm, params, xs, units=[0])
    for found in (gr.flow.adjoint(gr.lstm, params, xs).log10_norm, split.whole, split.direct, split.rest):
        assert list(found) == ["h", "c", "state"]
    assert list(split.units.whole) == ["h", "c"]


def test_rows_and_refusals(weights, put):
    """A number of rows is spread over the lag; no steps leave one row; what has no split is told so."""
    params, xs = put(weights("gru")), jnp.zeros((0, D))
    found = gr.flow.paths(gr.gru, params, xs)
    assert found.whole["state"].tolist() == [0] and np.isneginf(found.rest["state"]).all() and found.units is None
    rows = gr.flow.paths(gr.gru, params, jnp.zeros((100, D)), units=4).units.rows
    assert rows.tolist() == [0, 90, 99, 100]
    for units in ([101], [], -1, 1.5, "all"):
        with pytest.raises(ValueError, match="`units` must be"):
            gr.flow.paths(gr.gru, params, jnp.zeros((100, D)), units=units)
    for cell in (gr.gru_before, gr.stack(gr.gru, gr.gru_before)):
        with pytest.raises(ValueError, match="`cell` must be a Cell with `project`.* elementwise path .*gru_before"):
            gr.flow.paths(cell, cell.init(jax.random.key(0), D, H), jnp.zeros((3, D)))
