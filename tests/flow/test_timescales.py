"""gr.flow.timescales, -1 / E[ln f] of the gate that carries the state, against its closed forms."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

D, H = 3, 4
CELLS = gr.cells.CLASSICS
PLACE = reference.PerCell("place among the blocks of its weights, for the gate that keeps", gru=1, lstm=1)
each_gated_cell = pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.keeps])


def put(tree, dtype="float32"):
    """The tree's arrays as JAX arrays of a dtype."""
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)


def gate_alone(name, bias, input_size=D, hidden_size=H):
    """Float64 weights, all zero but the carrying gate's bias."""
    params = gr.Params(*reference.weights(name, input_size, hidden_size, np.random.default_rng(0)))
    params = jax.tree.map(np.zeros_like, params)
    params.input["b"].reshape(-1, hidden_size)[PLACE[name]] = bias
    return params


HORIZONS = {0: 1.443, 1: 3.192, 2: 7.878, 3: 20.58, 5: 148.9, 7: 1097.0}


@each_gated_cell
@pytest.mark.parametrize("bias", list(HORIZONS))
def test_constant_gate(name, bias):
    """-1 / ln sigmoid(b): 1.443 steps at bias 0, 1097 at 7; silent input, batched or not."""
    params = put(gate_alone(name, bias))
    for shape in ((20, 2, D), (20, D)):
        got = gr.flow.timescales(CELLS[name], params, jnp.zeros(shape))
        assert got.shape == (H,)
        np.testing.assert_allclose(got, np.full(H, 1 / np.log1p(np.exp(-bias))), rtol=2e-4)
        np.testing.assert_allclose(got, np.full(H, HORIZONS[bias]), rtol=5e-4)  # the table has four digits


@each_gated_cell
def test_bias_sets_the_horizon(name):
    """b = ln(T - 1) gives a horizon of T - 1/2 steps, up to terms in 1 / T, unit by unit; T = 10,000 in float32."""
    horizons = np.array([2.0, 10.0, 100.0, 10_000.0])
    got = gr.flow.timescales(CELLS[name], put(gate_alone(name, np.log(horizons - 1))), jnp.zeros((10, 1, D)))
    np.testing.assert_allclose(got, -1 / np.log1p(-1 / horizons), rtol=1e-3)
    np.testing.assert_allclose(got[2:], horizons[2:] - 0.5, rtol=1e-3)


@each_gated_cell
def test_saturated_gates(name):
    """A gate that rounds to 1 has a huge, never a negative time scale; one that rounds to 0 keeps nothing. No NaN."""
    got = np.asarray(
        gr.flow.timescales(CELLS[name], put(gate_alone(name, [40.0, -200.0, 15.0, 0.0])), jnp.zeros((9, 1, D)))
    )
    assert got[0] > 1e7
    assert 0 <= got[1] < 0.02
    np.testing.assert_allclose(got[2], 1 / np.log1p(np.exp(-15.0)), rtol=0.2)  # 1 - f is five units in the last place
    np.testing.assert_allclose(got[3], 1 / np.log(2), rtol=1e-5)


def log_gate_variance(bias):
    """Variance of ln sigmoid(b + Logistic(0, 1)), by the midpoint rule over the noise's quantiles."""
    u = (np.arange(1_000_000) + 0.5) / 1_000_000
    return np.log(u / (u + (1 - u) * np.exp(-bias))).var()


@each_gated_cell
def test_logistic_noise_on_the_gate(name):
    """E ln f = -b / (e^b - 1) for b + Logistic(0, 1), -1 at b = 0: a noisy gate forgets sooner than its mean says."""
    T, B = 2000, 20
    biases = np.array([-1.0, 0.0, 1.0, 3.0])
    params = gate_alone(name, biases, input_size=H)
    params.input["w"].reshape(H, -1, H)[:, PLACE[name]] = np.eye(H)
    noise = np.random.default_rng(0).logistic(size=(T, B, H))
    got = gr.flow.timescales(CELLS[name], put(params), put(noise))
    means = -1 / np.float64(got)
    want = np.array([-1.0 if b == 0 else -b / np.expm1(b) for b in biases])
    np.testing.assert_allclose(want[1:3], [-1, -0.581977], atol=1e-6)
    errors = np.sqrt([log_gate_variance(b) / (T * B) for b in biases])
    assert (np.abs(means - want) < 3 * errors).all()
    assert (errors < 0.02 * np.abs(want)).all()
    gates = 1 / (1 + np.exp(-biases - noise))
    np.testing.assert_allclose(means, np.log(gates).mean((0, 1)), rtol=1e-4)
    assert (np.asarray(got) < 0.95 / (1 - gates.mean((0, 1)))).all()  # 1 / (1 - E f) would promise more


@each_gated_cell
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_that_read_the_state(name, dtype):
    """With recurrent weights, the gate's values along the trajectory of an explicit NumPy run, every row counted."""
    T, B = 300, 3
    rng = np.random.default_rng(1)
    params = gr.Params(*reference.weights(name, D, H, rng))
    xs = rng.normal(size=(T, B, D)) * np.array([0.5, 1.0, 2.0])[:, None]
    logs = [np.log(flow_reference.path(name, params, xs[:, b]).keep) for b in range(B)]
    with jax.enable_x64(dtype == "float64"):
        got = gr.flow.timescales(CELLS[name], *put((params, xs), dtype))
        assert got.dtype == dtype
    np.testing.assert_allclose(got, -1 / np.mean(logs, axis=(0, 1)), rtol={"float32": 1e-5, "float64": 1e-12}[dtype])


def test_rnn_has_no_gate():
    """Nothing carries the state of a tanh RNN from step to step: 0, whatever its recurrent weights."""
    params = gr.rnn.init(jax.random.key(0), D, H, recurrent_init=gr.initializers.orthogonal(2.0))
    for xs in (jnp.zeros((20, 1, D)), jax.random.normal(jax.random.key(1), (20, 2, D))):
        np.testing.assert_array_equal(gr.flow.timescales(gr.rnn, params, xs), np.zeros(H))


@pytest.mark.parametrize("step", [gr.gru.step, lambda *arguments: gr.gru.step(*arguments)], ids=["composed", "foreign"])
def test_foreign_cells_have_no_named_gate(step):
    """A cell with `step` alone does not say which gate carries the state."""
    cell = gr.Cell.from_step("foreign", step, init=gr.gru.init, initial_carry=gr.gru.initial_carry)
    params = gr.gru.init(jax.random.key(0), D, H)
    with pytest.raises(ValueError, match="foreign"):
        gr.flow.timescales(cell, params, jnp.zeros((5, 1, D)))


@each_gated_cell
def test_traced(name):
    """Under jit and vmap over seeds, the same numbers."""
    xs = jax.random.normal(jax.random.key(0), (50, 2, D))
    several = [put(gr.Params(*reference.weights(name, D, H, np.random.default_rng(seed)))) for seed in range(3)]
    scales = jax.jit(jax.vmap(lambda params: gr.flow.timescales(CELLS[name], params, xs)))
    got = scales(jax.tree.map(lambda *a: jnp.stack(a), *several))
    want = [gr.flow.timescales(CELLS[name], params, xs) for params in several]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_no_steps():
    """An empty sequence has no mean."""
    params = gr.lstm.init(jax.random.key(0), D, H)
    with pytest.raises(ValueError, match="`xs`"):
        gr.flow.timescales(gr.lstm, params, jnp.zeros((0, 1, D)))
