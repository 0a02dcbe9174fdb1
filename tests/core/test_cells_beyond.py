"""The cells beyond RNN, GRU and LSTM: laws, gradients against the papers' loops, closed forms, extreme inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference_beyond import lem
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.cells.lem import with_dt

T, B, D, H = 6, 2, 2, 4
LENGTH = T * (D + H)
BEYOND = {name: cell for name, cell in gr.cells.CELLS.items() if name not in gr.cells.CLASSICS}
each_cell = pytest.mark.parametrize("cell", BEYOND.values(), ids=BEYOND)


def method_of(cell):
    """By which a cell is differentiated by default."""
    return gr.Segmented(length=4) if cell.factored else gr.Autodiff()


@pytest.mark.thinned(3)
@each_cell
def test_laws(cell):
    """All that the cell can have."""
    found = gr.check_cell(cell)
    assert {"fit", "batch", "mask", "reset"} <= set(found)
    assert (len(found) == 8) == cell.factored == (cell not in (gr.lem, gr.gru_before))


@each_cell
def test_values_and_gradients_equal_the_paper(cell):
    """Outputs and last carry with masks and resets; every leaf's gradient against differences of the loop."""
    rng = np.random.default_rng(3)
    weights, xs = reference.weights(cell.name, D, H, rng), rng.normal(size=(T, B, D))
    if cell is gr.slstm:  # two heads
        weights = weights._replace(recurrent={"w": rng.normal(size=(2, H // 2, 2 * H))})
    flags = {"mask": rng.random((T, B)) < 0.8, "reset": rng.random((T, B)) < 0.2}
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, gr.Params(*weights))
        carry = reference.random_carry(cell.initial_carry(params), (B, H), rng)
        cotangents = *(rng.normal(size=(B, H)) for _ in carry), rng.normal(size=(T, B, H))

        def run(params, xs, carry):
            end, ys = gr.unroll(cell, params, xs, carry, method=method_of(cell), **jax.tree.map(jnp.asarray, flags))
            return (*end, ys)

        given = params, *jax.tree.map(jnp.asarray, (xs, carry))
        got, pull = jax.vjp(jax.jit(run), *given)
        gradients = pull(tuple(map(jnp.asarray, cotangents)))
    want = reference.LOOPS[cell.name](weights, xs, carry, **flags)
    assert_close(got, (*want.carry, want.ys), "float64", LENGTH)

    def loss():
        found = reference.LOOPS[cell.name](weights, xs, carry, **flags)
        return sum(np.vdot(a, b) for a, b in zip(cotangents, (*found.carry, found.ys), strict=True))

    arguments = gr.Params(*weights), xs, carry
    assert_close(gradients, jax.tree.map(lambda a: reference.central_difference(loss, a), arguments), "difference", 64)


@pytest.mark.parametrize("size", [1e3, 1e30])
@pytest.mark.parametrize("cell", [gr.gru_before, gr.lem, gr.slstm], ids=lambda cell: cell.name)
def test_extreme_inputs(cell, size):
    """Saturated gates: outputs within (-1, 1) and gradients that are numbers, for inputs of any size."""
    params = cell.init(jax.random.key(0), D, H)
    xs = size * jax.random.normal(jax.random.key(1), (40, B, D))

    def loss(params, xs):
        ys = gr.unroll(cell, params, xs, method=method_of(cell))[1]
        return ys.sum(), ys

    gradients, ys = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, xs)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((gradients, ys)))
    assert jnp.abs(ys).max() <= 1


def still(cell, bias=0.0, **options):
    """Weights of zeros, but for a bias of the first two gates: those that step, or write and keep."""
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), D, H, **options))
    return gr.initializers.fill_bias(params, len(cell.gates), 1, bias)


@pytest.mark.parametrize("dt", [1, 0.25])
def test_lem_at_rest(dt):
    """Without input both states fall by 1 - dt sigmoid(b) per step, each by its own bias."""
    cell, steps = with_dt(dt), 30
    params = gr.initializers.fill_bias(still(cell, bias=-2.0), 4, 0, 1.0)
    ones = gr.LEMState(jnp.ones((1, H)), jnp.ones((1, H)))
    end, _ = gr.unroll(cell, params, jnp.zeros((steps, 1, D)), ones, method=gr.Autodiff())
    for part, bias in ((end.z, 1.0), (end.h, -2.0)):
        np.testing.assert_allclose(part, (1 - dt / (1 + np.exp(-bias))) ** steps, rtol=1e-5)


def test_lem_of_another_dt():
    """The paper's equations with it; a cell of its own, equal to its like, none of whose weights is dt."""
    cell, rng = with_dt(np.float32(0.25)), np.random.default_rng(0)
    weights, xs = reference.weights("lem", D, H, rng), rng.normal(size=(T, B, D))
    params = jax.tree.map(jnp.float32, gr.Params(*weights))
    _, ys = gr.unroll(cell, params, jnp.float32(xs), method=gr.Autodiff())
    assert_close(ys, lem(weights, xs, dt=0.25).ys, "float32", LENGTH)
    gates = gr.gate_activations(cell, params, jnp.float32(xs))
    assert_close(gates._asdict(), lem(weights, xs, dt=0.25).gates, "float32", LENGTH)
    assert with_dt(0.25) == cell and hash(with_dt(0.25)) == hash(cell)
    assert with_dt(1) == gr.lem != cell and (cell.name, cell.horizon_option) == ("lem dt=0.25", "")
    jax.tree.map(
        np.testing.assert_array_equal, cell.init(jax.random.key(0), D, H), gr.lem.init(jax.random.key(0), D, H)
    )
    for wrong in (0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="^`dt` must be a positive finite number of at most 1; got "):
            with_dt(wrong)


def test_slstm_is_its_equations_without_a_stabiliser():
    """Where exp(i) overflows nothing: c' = f c + i g, n' = f n + i, h' = o c' / n', from nothing written."""
    with jax.enable_x64(True):
        params = gr.slstm.init(jax.random.key(0), D, H, heads=2, dtype=jnp.float64)
        xs = 3 * jax.random.normal(jax.random.key(1), (T, B, D), jnp.float64)

        def step(state, x):
            h, n, c = state
            gates = zip(gr.slstm.project(params.input, x), gr.slstm.recur(params.recurrent, h), strict=True)
            i, f, g, o = (a + b for a, b in gates)
            c = jax.nn.sigmoid(f) * c + jnp.exp(i) * jnp.tanh(g)
            n = jax.nn.sigmoid(f) * n + jnp.exp(i)
            return (jax.nn.sigmoid(o) * c / n, n, c), jax.nn.sigmoid(o) * c / n

        (_, n, c), want = jax.lax.scan(step, (jnp.zeros((B, H)),) * 3, xs)
        end, ys = gr.unroll(gr.slstm, params, xs)
    assert_close((ys, jnp.exp(end.m) * end.n, jnp.exp(end.m) * end.c), (want, n, c), "float64", LENGTH)


def test_slstm_that_forgets_nothing_is_a_mean():
    """With i alike and f = 1, h is o times the mean of what was written; a later step that shouts drowns the rest."""
    params = still(gr.slstm, bias=100.0)
    params.input["w"] = params.input["w"].at[0, 2 * H : 3 * H].set(1.0).at[1, :H].set(1.0)  # candidate and input gate
    rows = np.random.default_rng(0).normal(size=(5, 1))
    loud = np.r_[np.c_[rows, np.zeros(5)], [[0.7, 1e4]]].astype(np.float32)  # [6, D]
    _, ys = gr.unroll(gr.slstm, params, jnp.asarray(loud))
    means = np.cumsum(np.tanh(rows)) / np.arange(1, 6)
    assert_close(ys, np.tile(0.5 * np.r_[means, np.tanh(0.7)][:, None], H), "float32", LENGTH)


def test_slstm_has_the_time_scale_of_its_forget_gate():
    """-1 / ln sigmoid(3), from its first step on."""
    found = gr.flow.timescales(gr.slstm, still(gr.slstm, bias=3.0), jnp.zeros((10, 1, D)))
    np.testing.assert_allclose(found, 20.58, rtol=1e-4)


def test_slstm_before_its_first_step():
    """dh / dc and dh / dn from nothing written are o f / i and -o g f / i, as without a stabiliser."""
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.float64, still(gr.slstm, bias=0.5))
        params.input["b"] = params.input["b"].at[:H].set(jnp.array([-30.0, -2.0, 0.0, 3.0])).at[2 * H : 3 * H].set(1.0)
        start = jax.tree.map(jnp.float64, gr.slstm.initial_carry(params))
        found = jax.grad(lambda carry: gr.slstm.step(params, carry, jnp.zeros(D))[1].sum())(start)
        ratio = 0.5 / (1 + np.exp(-0.5)) / np.exp([-30.0, -2.0, 0.0, 3.0])
    assert found.c.dtype == jnp.float64
    for got, want in ((found.c, ratio), (found.n, -np.tanh(1.0) * ratio)):
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_heads_see_nothing_of_each_other(heads):
    """A unit of the last head moves no pre-activation of the others; weights are [N, H / N, 4 H / N]."""
    params = gr.slstm.init(jax.random.key(0), D, H, heads=heads)
    assert params.recurrent["w"].shape == (heads, H // heads, 4 * H // heads)
    jacobian = jax.jacfwd(lambda h: sum(gr.slstm.recur(params.recurrent, h)))(jnp.ones(H))
    seen = np.kron(np.eye(heads), np.ones((H // heads, H // heads)))
    np.testing.assert_array_equal(np.asarray(jacobian) != 0, seen != 0)


def test_indrnn_keeps_powers_of_u():
    """At constant positive input every unit is active, and its adjoint at lag k is u^k, exactly."""
    steps, u = 200, jnp.array([0.5, 0.99, 1.0, 1.01])
    params = gr.Params({"w": jnp.ones((D, H)), "b": jnp.zeros(H)}, {"u": u})
    for unit in range(H):
        probe = gr.RNNState(jnp.zeros((1, H)).at[0, unit].set(1.0))
        rows = gr.flow.adjoint(gr.indrnn, params, jnp.ones((steps, 1, D)), dcarry=probe).log10_norm["h"][:, 0]
        np.testing.assert_allclose(rows[::-1], np.arange(steps + 1) * np.log10(np.float64(u[unit])), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "low", "high"), [({}, 0, 1), ({"horizon": 1000}, 0.5, 2), ({"horizon": 50, "epsilon": 0}, 0, 2)]
)
def test_indrnn_for_a_horizon(options, low, high):
    """Over T steps a unit keeps from epsilon to twice of what it holds; from 0 to 1 per step where T is not given."""
    steps = options.get("horizon", 1)
    u = np.float64(gr.indrnn.init(jax.random.key(0), 1, 2000, **options).recurrent["u"])
    gains = u**steps
    assert low <= gains.min() and gains.max() <= high * (1 + 1e-4 * (steps > 1))
    spread = (u - low ** (1 / steps)) / (high ** (1 / steps) - low ** (1 / steps))
    assert abs(spread.mean() - 0.5) < 0.03 and abs(spread.std() - 12**-0.5) < 0.02


def test_relu_rnn_adds_up():
    """As it is drawn: a sum of inputs above zero, whose adjoint is 1 at every lag; at rest, on the kink, it is 0."""
    steps = 500
    params = gr.relu_rnn.init(jax.random.key(0), D, H)
    np.testing.assert_array_equal(params.recurrent["w"], np.eye(H))
    params.input["w"] = jnp.abs(params.input["w"])
    xs = jax.random.uniform(jax.random.key(1), (steps, 1, D))
    end, _ = gr.unroll(gr.relu_rnn, params, xs)
    np.testing.assert_allclose(end.h, xs.sum(0) @ params.input["w"], rtol=1e-4)
    np.testing.assert_allclose(gr.flow.adjoint(gr.relu_rnn, params, xs).log10_norm["h"], 0, atol=1e-6)
    silent = gr.flow.adjoint(gr.relu_rnn, params, jnp.zeros((3, 1, D))).log10_norm["h"][:, 0]
    np.testing.assert_array_equal(silent, [-np.inf, -np.inf, -np.inf, 0])


def test_identity():
    """Scaled, in any dtype; a scale is a finite number."""
    draw = gr.initializers.identity(0.25)
    for dtype in ("float32", "bfloat16"):
        found = draw(jax.random.key(0), (3, 3), dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(np.float32(found), 0.25 * np.eye(3))
    with pytest.raises(ValueError, match="^`scale` must be a finite number; got inf"):
        gr.initializers.identity(float("inf"))
