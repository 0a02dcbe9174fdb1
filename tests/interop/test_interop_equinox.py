"""equinox: converted cells agree with `unroll` in values and in every gradient, there and back."""

import importlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close, tolerance

import gatedrnn as gr

eqx = pytest.importorskip("equinox")
interop = importlib.import_module("gatedrnn.interop.equinox")

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output
KINDS = {eqx.nn.GRUCell: gr.gru, eqx.nn.LSTMCell: gr.lstm}
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def module_of(kind, dtype="float32", **options):
    """A cell of equinox with random numbers in every weight and bias."""
    rng = np.random.default_rng(0)
    module = kind(D, H, dtype=jnp.dtype(dtype), key=jax.random.key(0), **options)
    return jax.tree.map(lambda a: jnp.asarray(0.7 * rng.normal(size=a.shape), dtype), module)


@pytest.mark.thinned(3)
@each_kind
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_verified(kind, bias, dtype, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of equinox's weights."""
    with jax.enable_x64(dtype == "float64"):
        errors = interop.verify_equinox(module_of(kind, dtype, use_bias=bias), inputs)
    biases = {"bias", "bias_n"} if kind is eqx.nn.GRUCell else {"bias"}
    assert set(errors.dweights) == {"weight_ih", "weight_hh"} | (biases if bias else set())
    assert errors.largest <= tolerance(dtype, LENGTH)


@each_kind
def test_agrees_step_by_step(kind, inputs):
    """equinox's cell as its users call it, unbatched, from zeros: values, and gradients in its weights and in xs."""

    def theirs(module, xs):
        state, ys = (jnp.zeros(H), jnp.zeros(H)) if kind is eqx.nn.LSTMCell else jnp.zeros(H), []
        for x in xs:
            state = module(x, state)
            ys.append(state[0] if kind is eqx.nn.LSTMCell else state)
        return jnp.stack(ys)

    module, xs = module_of(kind), jnp.float32(inputs[:, 0])
    assert interop.from_equinox(module)[0] == KINDS[kind]
    want, pull_want = jax.vjp(theirs, module, xs)
    got, pull_got = jax.vjp(lambda module, xs: gr.unroll(*interop.from_equinox(module), xs)[1], module, xs)
    assert_close(got, want, "float32", LENGTH)
    assert_close(*(jax.tree.leaves(pull(jnp.cos(want))) for pull in (pull_got, pull_want)), "float32", LENGTH)


FAULTS = {
    "swapped_gates": lambda w, u, b_x, b_h: (jnp.roll(w, H, -1), u, b_x, b_h),
    "swapped_recurrent_gates": lambda w, u, b_x, b_h: (w, jnp.roll(u, H, -1), b_x, b_h),
    "lost_input_bias": lambda w, u, b_x, b_h: (w, u, None, b_h),
    "lost_state_bias": lambda w, u, b_x, b_h: (w, u, b_x, None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_conversion_shows(fault, monkeypatch, inputs):
    """What verify_equinox proves can fail: in the outputs, and in the gradients of the weights."""
    right = interop.join
    monkeypatch.setattr(interop, "join", lambda cell, *blocks: right(cell, *FAULTS[fault](*blocks)))
    errors = interop.verify_equinox(module_of(eqx.nn.GRUCell), inputs)
    assert min(errors.ys, errors.carry, errors.dxs, errors.dcarry, max(errors.dweights.values())) > 1e-2


@pytest.mark.thinned(5)
@each_kind
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_round_trip(kind, dtype, params_of, inputs):
    """Ours, through equinox and back, bit for bit, and the module is such as equinox makes."""
    cell = KINDS[kind]
    with jax.enable_x64(dtype == "float64"):
        params = params_of(cell, dtype)
        module = interop.to_equinox(cell, params)
        back, again = interop.from_equinox(module)
        chex.assert_trees_all_equal_shapes_and_dtypes(module, module_of(kind, dtype))
        if dtype != "bfloat16":
            assert interop.verify_equinox(module, inputs).largest <= tolerance(dtype, LENGTH)
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


@pytest.mark.slow
def test_cells_on_each_other(network_params, inputs):
    """A list or a tuple is a stack, there and back; one alone is the cell."""
    lower, upper = module_of(eqx.nn.LSTMCell), eqx.nn.GRUCell(H, 4, key=jax.random.key(1))
    cell, _ = interop.from_equinox([lower, upper])
    assert cell == gr.stack(gr.lstm, gr.gru)
    errors = interop.verify_equinox((lower, upper), inputs)
    assert errors.largest < 1e-5 and "0/weight_ih" in errors.dweights
    params = network_params(cell)
    back, again = interop.from_equinox(interop.to_equinox(cell, params))
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)
    assert interop.from_equinox([lower])[0] == gr.lstm
    with pytest.raises(ValueError, match="^`module` must be cells that lie on each other, .*; got 3"):
        interop.from_equinox([lower, lower])
    with pytest.raises(ValueError, match="^`module` must be a cell of equinox, or several; got none"):
        interop.from_equinox([])


def test_others_refused(params_of):
    """Another module, a subclass, which may compute anything, and the cell that equinox has not."""

    class Foreign(eqx.nn.LSTMCell):
        pass

    with pytest.raises(ValueError, match="^`module` must be one of GRUCell, LSTMCell; got Linear"):
        interop.from_equinox(eqx.nn.Linear(D, H, key=jax.random.key(0)))
    with pytest.raises(ValueError, match="^`module` must be one of GRUCell, LSTMCell; got Foreign"):
        interop.from_equinox(Foreign(D, H, key=jax.random.key(0)))
    with pytest.raises(ValueError, match="^`cell` must be one of gatedrnn.gru, gatedrnn.lstm.*; got 'rnn'"):
        interop.to_equinox(gr.rnn, params_of(gr.rnn, "float32"))
