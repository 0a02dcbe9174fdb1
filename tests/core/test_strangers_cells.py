"""Cells that strangers bring: they keep the laws, compute their equations, and are used as the others are."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stranger_cells import COUPLED, HEADS, INDRNN, MGU, PEEPHOLE, STRANGERS
from tolerances import assert_close

import gatedrnn as gr

D, H, T, B = 3, 4, 6, 2
LENGTH = T * (D + H)
each_stranger = pytest.mark.parametrize("cell", STRANGERS.values(), ids=STRANGERS)


def sigma(a):
    """Logistic."""
    return 1 / (1 + np.exp(-a))


def loop(cell, params, xs):
    """Outputs [T, H] of a cell above over xs [T, D], from its equations."""
    n, h, c = np, np.zeros(H), np.zeros(H)
    w, b = params.input["w"], params.input["b"]
    ys = []
    for x in xs:
        g = n.split(x @ w + b, len(cell.gates))
        if cell is MGU:
            u = n.split(params.recurrent["w"], 2, axis=1)
            f = sigma(g[0] + h @ u[0])
            h = (1 - f) * h + f * n.tanh(g[1] + f * (h @ u[1]))
        elif cell is INDRNN:
            h = n.maximum(g[0] + params.recurrent["u"] * h, 0)
        elif cell is COUPLED:
            u = n.split(params.recurrent["w"], 3, axis=1)
            f = sigma(g[0] + h @ u[0])
            c = f * c + (1 - f) * n.tanh(g[1] + h @ u[1])
            h = sigma(g[2] + h @ u[2]) * n.tanh(c)
        elif cell is PEEPHOLE:
            p, u = params.unit, n.split(params.recurrent["w"], 4, axis=1)
            i, f = sigma(g[0] + h @ u[0] + p["i"] * c), sigma(g[1] + h @ u[1] + p["f"] * c)
            c = f * c + i * n.tanh(g[2] + h @ u[2])
            h = sigma(g[3] + h @ u[3] + p["o"] * c) * n.tanh(c)
        else:
            whole = [n.zeros((H, H)) for _ in g]
            for head in range(2):
                units = slice(2 * head, 2 * head + 2)
                for gate, block in enumerate(n.split(params.recurrent[head], 4, axis=1)):
                    whole[gate][units, units] = block
            i, f, a, o = (gate + h @ u for gate, u in zip(g, whole, strict=True))
            c = sigma(f) * c + sigma(i) * n.tanh(a)
            h = sigma(o) * n.tanh(c)
        ys.append(h)
    return n.stack(ys)


@pytest.mark.slow
@each_stranger
def test_a_strangers_cell_keeps_the_laws(cell):
    """Every law, at the least sizes and at others."""
    laws = ("fit", "affine", "elementwise", "keeps", "batch", "mask", "reset", "gradient")
    assert gr.check_cell(cell) == laws
    assert gr.check_cell(cell, input_size=1, hidden_size=6) == laws


@each_stranger
def test_a_strangers_cell_computes_its_equations(cell):
    """Against the loop above; the gradient of every weight against differences of the loop."""
    with jax.enable_x64(True):
        params = cell.init(jax.random.key(1), D, H, dtype=jnp.float64)
        xs = jax.random.normal(jax.random.key(2), (T, D), jnp.float64)
        plain, rows = jax.tree.map(np.array, params), np.asarray(xs)
        ys = gr.unroll(cell, params, xs)[1]
        assert_close(ys, loop(cell, plain, rows), "float64", LENGTH)
        got = jax.grad(lambda params: jnp.sum(jnp.sin(gr.unroll(cell, params, xs)[1])))(params)
    for path, leaf in jax.tree.leaves_with_path(plain):
        want = np.zeros_like(leaf)
        for place in np.ndindex(leaf.shape):
            moved = []
            for step in (1e-6, -1e-6):
                leaf[place] += step
                moved.append(np.sin(loop(cell, plain, rows)).sum())
                leaf[place] -= step
            want[place] = (moved[0] - moved[1]) / 2e-6
        found = {jax.tree_util.keystr(p): a for p, a in jax.tree.leaves_with_path(got)}
        np.testing.assert_allclose(found[jax.tree_util.keystr(path)], want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "kind", "shape"),
    [(gr.lstm, "dense", (H, H)), (INDRNN, "diagonal", (H,)), (HEADS, "block-diagonal", (2, H // 2, H // 2))],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_method_can_ask_for_u(cell, kind, shape):
    """Which kind it is, and U itself; its transpose is that of the tangent map."""
    params = cell.init(jax.random.key(0), D, H)
    h, *dgates = jax.random.normal(jax.random.key(1), (1 + len(cell.gates), B, H))
    found = gr.recurrence(cell, params, h)
    assert (found.kind, found.u[0].shape, len(found.u)) == (kind, shape, len(cell.gates))
    _, pull = jax.vjp(lambda h: tuple(cell.recur(params.recurrent, h)), h)
    assert_close(found.transposed(dgates), pull(tuple(dgates))[0], "float32", H)


def test_what_a_gate_reads_is_what_pointwise_reads():
    """The gates' values of the peephole cell, of which the output gate looks at the new cell state."""
    params = PEEPHOLE.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, D))
    gates = gr.gate_activations(PEEPHOLE, params, xs)
    state = gr.LSTMState(jnp.zeros(H), jnp.zeros(H))
    for t, x in enumerate(xs):
        c = gates.forget[t] * state.c + gates.input[t] * gates.candidate[t]
        want = gr.LSTMState(gates.output[t] * jnp.tanh(c), c)
        state, _ = PEEPHOLE.step(params, state, x)
        assert_close(state, want, "float32", LENGTH)


@pytest.mark.slow
def test_a_strangers_cell_is_trained_saved_and_compared(tmp_path):
    """Without a line of the library being changed."""
    setup = gr.train.Setup(gr.tasks.adding, MGU, horizon=8, hidden_size=5, batch=2)
    fitted = gr.train.fit(setup, steps=2, test_every=1, folder=tmp_path / "run")
    gr.models.save(tmp_path, setup.model, fitted.params(), {"task": "adding"})
    loaded = gr.load(tmp_path, cells=[MGU])
    assert loaded.model == setup.model
    jax.tree.map(np.testing.assert_array_equal, loaded.params, fitted.params())
    noise = jax.random.normal(jax.random.key(0), (50, 1, 2))
    found = gr.flow.compare([MGU, gr.lstm], noise, hidden_size=4, seeds=1)
    assert {run.cell for run in found.runs} == {"mgu", "lstm"}
    assert {each.gate for each in found.gate_maps} == {"1 - forget", "forget"}
    assert any(re.search("mgu.*no option of its `init`", note) for note in found.notes)
