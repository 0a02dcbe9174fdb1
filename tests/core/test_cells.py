"""What every cell promises: the laws of the three-function form, its step and gates against the papers."""

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
FACTORED = {name: cell for name, cell in gr.cells.CELLS.items() if cell.factored}
each_factored_cell = pytest.mark.parametrize("cell", FACTORED.values(), ids=FACTORED)


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
def test_at_the_prompt(cell):
    """One line, and the equations on request; a list of what there is."""
    assert repr(cell) == f"<Cell {cell.name!r} with the gate{'s' * (len(cell.gates) > 1)} {', '.join(cell.gates)}>"
    equations = importlib.import_module(f"gatedrnn.cells.{cell.name}").__doc__
    assert all(line in pydoc.plain(pydoc.render_doc(cell)) for line in equations.splitlines())
    assert {cell.name, "unroll", "flow", "interop", "plots", "train"} < {*dir(gr)}
    assert not any(name.startswith("_") and not name.startswith("__") for name in dir(gr))
