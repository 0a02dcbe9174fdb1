"""flax, linen and nnx: converted cells agree with `unroll` in values and in every gradient, there and back."""

import subprocess
import sys

import chex
import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from flax_cells import B, D, H, linen_of, nnx_of
from tolerances import assert_close, tolerance

import gatedrnn as gr
from gatedrnn.interop import _flax_cells, flax as interop

T = 7
LENGTH = T * (D + H)  # additions behind the last output
LINEN = {nn.SimpleCell: 3, nn.GRUCell: 10, nn.LSTMCell: 12, nn.OptimizedLSTMCell: 12}  # number of weights
NNX = {nnx.SimpleCell: 3, nnx.GRUCell: 3, nnx.LSTMCell: 12, nnx.OptimizedLSTMCell: 3}
each_linen = pytest.mark.parametrize("kind", LINEN, ids=lambda kind: kind.__name__)
each_nnx = pytest.mark.parametrize("kind", NNX, ids=lambda kind: kind.__name__)
each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@each_linen
@each_dtype
def test_linen_verified(kind, dtype, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of linen's weights."""
    with jax.enable_x64(dtype == "float64"):
        errors = interop.verify_linen(*linen_of(kind, dtype), inputs)
    assert len(errors.dweights) == LINEN[kind]
    assert errors.largest <= tolerance(dtype, LENGTH)


@pytest.mark.thinned(3)
@each_nnx
@each_dtype
def test_nnx_verified(kind, dtype, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of nnx's weights."""
    with jax.enable_x64(dtype == "float64"):
        errors = interop.verify_nnx(nnx_of(kind, dtype), inputs)
    assert len(errors.dweights) == NNX[kind]
    assert errors.largest <= tolerance(dtype, LENGTH)


BOXES = {
    "partitioned": lambda a: nn.Partitioned(a, (None,) * a.ndim),
    "logically": lambda a: nn.LogicallyPartitioned(a, (None,) * a.ndim),
    "variable": nnx.Param,
}


@each_linen
@pytest.mark.parametrize("box", BOXES)
def test_boxed_and_frozen_weights(kind, box, inputs):
    """Boxes change no number; what flax itself runs boxed is proved boxed."""
    module, variables = linen_of(kind)
    want = interop.from_linen(module, variables)[1]
    boxed = jax.tree.map(BOXES[box], variables)
    for one in (boxed, flax.core.freeze(boxed), flax.core.freeze(variables)):
        chex.assert_trees_all_equal(interop.from_linen(module, one)[1], want, strict=True)
    if box != "variable":
        assert interop.verify_linen(module, boxed, inputs).largest <= tolerance("float32", LENGTH)


def test_partitioned_by_linen_itself(inputs):
    """A kernel initialiser with partitioning."""
    kernel = nn.with_partitioning(nn.initializers.normal(0.5), (None, "model"))
    module, x = nn.LSTMCell(H, kernel_init=kernel), jnp.zeros((B, D))
    variables = module.init(jax.random.key(0), module.initialize_carry(jax.random.key(0), x.shape), x)
    assert interop.verify_linen(module, variables, inputs).largest <= tolerance("float32", LENGTH)


def ours(cell, params, xs):
    """Outputs of `unroll` on batch-major inputs, [B, T, H]."""
    return gr.unroll(cell, params, xs.swapaxes(0, 1))[1].swapaxes(0, 1)


def assert_agree(mine, theirs, weights, xs):
    """Two functions of weights and batch-major inputs agree in values, and in gradients in both arguments."""
    xs = jnp.float32(xs).swapaxes(0, 1)
    (got, pull_got), (want, pull_want) = (jax.vjp(run, weights, xs) for run in (mine, theirs))
    assert_close(got, want, "float32", LENGTH)
    grads = (jax.tree.leaves(pull(jnp.cos(want))) for pull in (pull_got, pull_want))
    assert_close(*grads, "float32", LENGTH)


@each_linen
def test_agrees_with_linen_rnn(kind, inputs):
    """The layer flax's users call, from its own first carry."""
    module, variables = linen_of(kind)
    assert_agree(
        lambda variables, xs: ours(*interop.from_linen(module, variables), xs),
        lambda variables, xs: nn.RNN(module).apply({"params": {"cell": variables["params"]}}, xs),
        variables,
        inputs,
    )


@each_nnx
def test_agrees_with_nnx_rnn(kind, inputs):
    """The layer flax's users call, from its own first carry."""
    structure, weights = nnx.split(nnx_of(kind))
    assert_agree(
        lambda weights, xs: ours(*interop.from_nnx(nnx.merge(structure, weights)), xs),
        lambda weights, xs: nnx.RNN(nnx.merge(structure, weights))(xs),
        weights,
        inputs,
    )


FAULTS = {
    "swapped_gates": lambda w, u, b_x, b_h: (jnp.roll(w, H, -1), u, b_x, b_h),
    "swapped_recurrent_gates": lambda w, u, b_x, b_h: (w, jnp.roll(u, H, -1), b_x, b_h),
    "lost_input_bias": lambda w, u, b_x, b_h: (w, u, None, b_h),
    "lost_state_bias": lambda w, u, b_x, b_h: (w, u, b_x, None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_conversion_shows(fault, monkeypatch, inputs):
    """What verify_linen proves can fail: in the outputs, and in the gradients of the weights."""
    right = _flax_cells.join
    monkeypatch.setattr(_flax_cells, "join", lambda cell, *blocks: right(cell, *FAULTS[fault](*blocks)))
    errors = interop.verify_linen(*linen_of(nn.GRUCell), inputs)
    assert min(errors.ys, errors.carry, errors.dxs, errors.dcarry, max(errors.dweights.values())) > 1e-2


@each_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_linen_round_trip(cell, dtype, params_of):
    """Ours, through linen and back, bit for bit, and the variables are those that linen's `init` would make."""
    with jax.enable_x64(dtype == "float64"):
        params = params_of(cell, dtype)
        module, variables = interop.to_linen(cell, params)
        back, again = interop.from_linen(module, variables)
        chex.assert_trees_all_equal_shapes_and_dtypes(variables, linen_of(type(module), dtype)[1])
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


@each_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_nnx_round_trip(cell, dtype, params_of, inputs):
    """Ours, through nnx and back, bit for bit; the GRU without the bias that nnx lacks."""
    with jax.enable_x64(dtype == "float64"):
        params = params_of(cell, dtype)
        if cell is gr.gru:
            params.recurrent["b"] = jnp.zeros(H, dtype)
        module = interop.to_nnx(cell, params)
        back, again = interop.from_nnx(module)
        if dtype != "bfloat16":
            assert interop.verify_nnx(module, inputs).largest <= tolerance(dtype, LENGTH)
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


def test_nnx_gru_lacks_a_bias(params_of):
    """A GRU whose candidate has a bias inside the reset gate's product does not fit."""
    with pytest.raises(ValueError, match=r"^`params.recurrent\[\"b\"\]` must be zero .*nnx.GRUCell.*; got values up"):
        interop.to_nnx(gr.gru, params_of(gr.gru, "float32"))


def test_frameworks_load_when_used():
    """The folder imports no framework; its file for one imports that one alone."""
    program = "import sys, gatedrnn.interop{}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    frameworks = {"torch", "keras", "flax", "haiku", "equinox", "onnx"}
    for file, loaded in (("", set()), (".flax", {"flax"})):
        command = [sys.executable, "-c", program.format(file)]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert set(names) & frameworks == loaded
