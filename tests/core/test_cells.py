"""What every cell promises: the laws of the three-function form, its gates against the papers, its initialisation."""

import copy
import dataclasses
import importlib
import pydoc

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H = 9, 3, 4, 6
each_cell = pytest.mark.parametrize("cell", gr.cells.CELLS.values(), ids=gr.cells.CELLS)
each_of = lambda which: pytest.mark.parametrize(
    "cell", [cell for cell in gr.cells.CELLS.values() if which(cell)], ids=lambda cell: cell.name
)
each_factored_cell = each_of(lambda cell: cell.factored)
each_dense_cell = each_of(lambda cell: cell not in (gr.slstm, gr.indrnn))


def problem(cell):
    """Random params, xs [T, B, D] and a carry [B, H] of a cell, float32, with the float64 weights they came from."""
    rng = np.random.default_rng(len(cell.gates))
    params = jax.tree.map(jnp.float32, gr.Params(*reference.weights(cell.name, D, H, rng)))
    xs = jnp.float32(rng.normal(size=(T, B, D)))
    return params, xs, jax.tree.map(jnp.float32, reference.random_carry(cell.initial_carry(params), (B, H), rng))


@each_cell
def test_carry_is_a_named_tuple_with_h_first(cell):
    """The carry is zero, [B, H] or [H] in every part, and stays of one type from step to step."""
    params, xs, carry = problem(cell)
    for batch_size, shape in ((B, (B, H)), (None, (H,))):
        zero = cell.initial_carry(params, batch_size)
        assert zero._fields[0] == "h"
        assert all(part.shape == shape and part.dtype == jnp.float32 and not part.any() for part in zero)
    after, y = cell.step(params, carry, xs[0])
    assert type(after) is type(carry) is type(zero)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, carry)
    chex.assert_trees_all_equal(y, after.h)


@each_factored_cell
def test_step_is_the_composition(cell):
    """pointwise(project(x), recur(h), carry) = step, with one array [B, H] per gate, at one step as at all."""
    params, xs, carry = problem(cell)
    gates_x = cell.project(params.input, xs)
    gates_h = cell.recur(params.recurrent, carry.h)
    assert len(gates_x) == len(gates_h) == len(cell.gates)
    assert all(gate.shape == (T, B, H) for gate in gates_x)
    assert all(gate.shape == (B, H) for gate in gates_h)
    composed = cell.pointwise(tuple(gate[2] for gate in gates_x), gates_h, carry)
    assert_close(composed, cell.step(params, carry, xs[2])[0], "float32", D + H)


@each_cell
def test_step_equals_the_paper(cell):
    """One step from a random carry; unbatched, row by row, the same."""
    params, xs, carry = problem(cell)
    after, y = cell.step(params, carry, xs[0])
    want = reference.LOOPS[cell.name](params, xs[:1], carry)
    assert_close((tuple(after), y), (want.carry, want.ys[0]), "float32", D + H)
    row, _ = cell.step(params, jax.tree.map(lambda part: part[1], carry), xs[0, 1])
    assert_close(tuple(row), tuple(part[1] for part in want.carry), "float32", D + H)


@each_factored_cell
def test_recur_is_affine_in_h(cell):
    """recur(a h + (1 - a) k) = a recur(h) + (1 - a) recur(k): what lets its transpose stand outside the loop."""
    params, xs, _ = problem(cell)
    h, k = jax.random.normal(jax.random.key(0), (2, B, H))
    mixed = cell.recur(params.recurrent, 3 * h - 2 * k)
    both = zip(cell.recur(params.recurrent, h), cell.recur(params.recurrent, k), strict=True)
    assert_close(mixed, tuple(3 * a - 2 * b for a, b in both), "float32", 9 * H)


@each_factored_cell
def test_pointwise_is_elementwise(cell):
    """No unit and no row reaches another: the Jacobian of every output in every argument is diagonal."""
    params, xs, carry = problem(cell)
    arguments = (cell.project(params.input, xs[0]), cell.recur(params.recurrent, carry.h), carry)
    jacobian = jax.jacrev(lambda arguments: tuple(cell.pointwise(*arguments)))(arguments)
    for block in jax.tree.leaves(jacobian):
        block = np.asarray(block).reshape(B * H, B * H)
        np.testing.assert_array_equal(block, np.diag(np.diag(block)))


@each_cell
def test_cell_is_a_static_value(cell):
    """Frozen, hashable, equal to its copies and to no other cell; no leaf when it crosses jit as an argument."""
    copies = copy.copy(cell), dataclasses.replace(cell), dataclasses.replace(cell, init=cell.init)
    assert all(other == cell and hash(other) == hash(cell) for other in copies)
    assert sum(other == cell for other in gr.cells.CELLS.values()) == 1
    assert dataclasses.replace(cell, name="another") != cell
    assert jax.tree.leaves(cell) == []
    with pytest.raises(dataclasses.FrozenInstanceError):
        cell.name = "changed"
    params, xs, carry = problem(cell)
    step = jax.jit(lambda cell, *arguments: cell.step(*arguments))
    assert_close(step(cell, params, carry, xs[0]), cell.step(params, carry, xs[0]), "float32", D + H)


def test_cells_from_equal_parts_are_equal():
    """from_step keeps the step it was given, and equal parts make equal cells."""
    make = lambda name: gr.Cell.from_step(name, gr.gru.step, init=gr.gru.init, initial_carry=gr.gru.initial_carry)
    assert make("foreign") == make("foreign") != make("other")
    assert hash(make("foreign")) == hash(make("foreign"))
    params, xs, carry = problem(gr.gru)
    chex.assert_trees_all_equal(make("foreign").step(params, carry, xs[0]), gr.gru.step(params, carry, xs[0]))


GATES = [  # function, its position among the gates, the nonlinearity of its pre-activation
    (gr.cells.rnn.candidate, "tanh"),
    (gr.cells.gru.reset_gate, "sigmoid"),
    (gr.cells.gru.update_gate, "sigmoid"),
    (gr.cells.lstm.input_gate, "sigmoid"),
    (gr.cells.lstm.forget_gate, "sigmoid"),
    (gr.cells.lstm.candidate, "tanh"),
    (gr.cells.lstm.output_gate, "sigmoid"),
    (gr.cells.gru_before.candidate, "tanh"),
    (gr.cells.lem.memory_step, "sigmoid"),
    (gr.cells.lem.output_step, "sigmoid"),
    (gr.cells.lem.memory_candidate, "tanh"),
    (gr.cells.lem.output_candidate, "tanh"),
    (gr.cells.slstm.candidate, "tanh"),
    (gr.cells.slstm.output_gate, "sigmoid"),
    (gr.cells.indrnn.candidate, "relu"),
    (gr.cells.relu_rnn.candidate, "relu"),
]


@pytest.mark.parametrize(("gate", "shape"), GATES, ids=lambda part: getattr(part, "__qualname__", part))
def test_gate_equation(gate, shape):
    """A gate squashes the sum of its two parts; no bias hides in it."""
    x, h = np.random.default_rng(0).normal(size=(2, B, H))
    want = {"tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "relu": lambda a: np.maximum(a, 0)}
    want = want[shape](x + h)
    assert_close(gate(jnp.float32(x), jnp.float32(h)), want, "float32", 1)


def test_gru_candidate_equation():
    """The reset gate scales the recurrent part after its product and leaves the input's alone."""
    x, h, r = np.random.default_rng(0).normal(size=(3, B, H))
    got = gr.cells.gru.candidate(*(jnp.float32(a) for a in (x, h, r)))
    assert_close(got, np.tanh(x + r * h), "float32", 1)


@each_cell
def test_gate_activations_equal_the_paper(cell):
    """Every gate along a sequence under its name, from a given carry, with mask and reset."""
    params, xs, carry = problem(cell)
    mask, reset = np.random.default_rng(1).random((2, T, B)) < np.array([0.8, 0.3])[:, None, None]
    assert (reset & ~mask).any() and (reset & mask).any()
    got = gr.gate_activations(cell, params, xs, carry, mask=jnp.array(mask), reset=jnp.array(reset))
    want = reference.LOOPS[cell.name](params, xs, carry, mask, reset)
    assert got._fields == cell.gates == tuple(want.gates)
    for name, values in got._asdict().items():
        assert values.shape == (T, B, H)
        assert_close(values[mask], want.gates[name][mask], "float32", T * (D + H))
    plain, fresh = gr.gate_activations(cell, params, xs), reference.LOOPS[cell.name](params, xs)
    assert_close(plain._asdict(), fresh.gates, "float32", T * (D + H))


@each_cell
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_init_layout(cell, dtype):
    """The contract's names and shapes, in the asked dtype; the same key draws the same weights, another others."""
    layout = gr.Params(*reference.weights(cell.name, D, H, np.random.default_rng(0)))
    draw = lambda seed: cell.init(jax.random.key(seed), D, H, dtype=dtype)
    chex.assert_trees_all_equal_shapes(draw(0), layout)
    assert {leaf.dtype for leaf in jax.tree.leaves(draw(0))} == {jnp.dtype(dtype)}
    chex.assert_trees_all_equal(draw(0), draw(0))
    pairs = zip(jax.tree.leaves(draw(0)), jax.tree.leaves(draw(1)), strict=True)
    assert sum(bool((one != other).any()) for one, other in pairs) == (1 if cell is gr.relu_rnn else 2)


@each_dense_cell
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_blocks(cell, gain):
    """Each gate's [H, H] block is `gain` times an orthogonal matrix of its own."""
    w = cell.init(jax.random.key(0), D, H, recurrent_init=gr.initializers.orthogonal(gain)).recurrent["w"]
    blocks = np.split(np.asarray(w, np.float64), len(cell.gates), axis=1)
    assert_close([block.T @ block for block in blocks], [gain**2 * np.eye(H)] * len(blocks), "float32", H)
    distinct = {tuple(block.ravel()) for block in blocks}
    assert len(distinct) == len(blocks)


@each_dense_cell
def test_gaussian_weights(cell):
    """Standard deviation gain / sqrt(fan_in), entry by entry independent of the gate; default recurrence orthogonal."""
    wide = 200
    params = cell.init(
        jax.random.key(0),
        50,
        wide,
        input_init=gr.initializers.gaussian(0.5),
        recurrent_init=gr.initializers.gaussian(2.0),
    )
    for weights, deviation in ((params.input["w"], 0.5 / 50**0.5), (params.recurrent["w"], 2.0 / wide**0.5)):
        for block in np.split(np.asarray(weights, np.float64) / deviation, len(cell.gates), axis=1):
            error = 1 / block.size**0.5
            assert abs(block.mean()) < 4 * error
            assert abs(block.std() - 1) < 4 * error / 2**0.5
            assert abs((block**4).mean() - 3) < 4 * error * 96**0.5  # Var(x^4) = 105 - 9
    default = cell.init(jax.random.key(0), D, H).recurrent["w"][:, :H]
    assert_close(default.T @ default, np.eye(H), "float32", H)


def biases(params, gates):
    """The input biases by gate, [H] each."""
    return np.split(np.asarray(params.input["b"]), gates)


def test_lstm_forget_bias():
    """1 by default, as asked otherwise, in the forget block alone."""
    for options, want in (({}, 1.0), ({"forget_bias": 2.5}, 2.5)):
        i, f, g, o = biases(gr.lstm.init(jax.random.key(0), D, H, **options), 4)
        np.testing.assert_array_equal(f, np.full(H, want, np.float32))
        assert not np.concatenate([i, g, o]).any()


def test_gru_update_bias():
    """As asked in the update block alone; the candidate's recurrent bias stays zero."""
    params = gr.gru.init(jax.random.key(0), D, H, update_bias=2.5)
    r, z, n = biases(params, 3)
    np.testing.assert_array_equal(z, np.full(H, 2.5, np.float32))
    assert not np.concatenate([r, n, np.asarray(params.recurrent["b"])]).any()


def kolmogorov_smirnov(sample, low, high):
    """sqrt(n) times the largest distance of the sample's distribution from U(low, high); above 1.63 once in 100."""
    ranks = (np.sort(sample) - low) / (high - low)
    return len(ranks) ** 0.5 * np.abs(ranks - (np.arange(len(ranks)) + 0.5) / len(ranks)).max()


@pytest.mark.parametrize("t_max", [10, 10_000])
def test_chrono_biases(t_max):
    """exp(bias) is uniform on (1, t_max - 1): LSTM forget, with input its negative; GRU update. The rest is zero.

    So it is of the variants that have such a gate; the time steps of the LEM have the negative, for they let go.
    """
    wide, cheap = 400, {"recurrent_init": gr.initializers.gaussian(1.0), "chrono": t_max}
    i, f, g, o = biases(gr.lstm.init(jax.random.key(1), 1, wide, **cheap), 4)
    r, z, n = biases(gr.gru.init(jax.random.key(2), 1, wide, **cheap), 3)
    r_before, z_before, n_before = biases(gr.gru_before.init(jax.random.key(2), 1, wide, **cheap), 3)
    i_mean, f_mean, g_mean, o_mean = biases(gr.slstm.init(jax.random.key(3), 1, wide, **cheap), 4)
    s, t, m, y = biases(gr.lem.init(jax.random.key(4), 1, wide, **cheap), 4)
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal(z_before, z)
    assert not np.concatenate([g, o, r, n, r_before, n_before, i_mean, g_mean, o_mean, m, y]).any()
    for bias in (f, z, f_mean, -s, -t):
        times = np.exp(np.float64(bias))
        assert times.min() > 1 - 1e-6 and times.max() < t_max - 1 + 1e-3 * t_max
        assert kolmogorov_smirnov(times, 1, t_max - 1) < 1.63


BAD_INIT = [  # cell, what it is told, what the message names, expects and got
    (gr.rnn, {"input_size": 0}, "`input_size` must be .*at least 1; got 0"),
    (gr.gru, {"hidden_size": 2.5}, "`hidden_size` must be .*at least 1; got 2.5"),
    (gr.lstm, {"dtype": jnp.int32}, "`dtype` must be .*floating.*; got int32"),
    (gr.gru, {"chrono": 2}, "`chrono` must be .*above 2 .*; got 2"),
    (gr.lstm, {"chrono": float("inf")}, "`chrono` must be .*finite.*; got inf"),
    (gr.gru_before, {"update_bias": float("nan")}, "`update_bias` must be a finite number .*; got nan"),
    (gr.lem, {"chrono": 1}, "`chrono` must be .*above 2 .*; got 1"),
    (gr.slstm, {"heads": 4}, "`heads` must be a number that divides `hidden_size` = 6; got 4"),
    (gr.slstm, {"heads": 0}, "`heads` must be a whole number of at least 1; got 0"),
    (gr.slstm, {"forget_bias": [1.0, 2.0]}, r"`forget_bias` must be a finite number of float32, or \[H\]"),
    (gr.indrnn, {"horizon": 0}, "`horizon` must be a positive finite number; got 0"),
    (gr.indrnn, {"epsilon": -1}, "`epsilon` must be a finite number of at least 0 and at most 2; got -1"),
    (gr.indrnn, {"dtype": "int8"}, "`dtype` must be .*floating.*; got 'int8'"),
    (gr.relu_rnn, {"recurrent_init": "identity"}, "`recurrent_init` must be a function .*; got 'identity'"),
]


@pytest.mark.parametrize(("cell", "wrong", "message"), BAD_INIT, ids=lambda part: getattr(part, "name", None))
def test_bad_init(cell, wrong, message):
    """A ValueError that names the argument, what was expected and what came."""
    with pytest.raises(ValueError, match=message):
        cell.init(**{"key": jax.random.key(0), "input_size": D, "hidden_size": H} | wrong)


@each_cell
def test_at_the_prompt(cell):
    """One line, and the equations on request; a list of what there is."""
    assert repr(cell) == f"<Cell {cell.name!r} with the gate{'s' * (len(cell.gates) > 1)} {', '.join(cell.gates)}>"
    equations = importlib.import_module(f"gatedrnn.cells.{cell.name}").__doc__
    assert all(line in pydoc.plain(pydoc.render_doc(cell)) for line in equations.splitlines())
    assert {cell.name, "unroll", "flow", "interop", "plots", "train"} < {*dir(gr)}
    assert not any(name.startswith("_") and not name.startswith("__") for name in dir(gr))
