"""torch: converted modules agree with `unroll` in values and in every gradient, there and back."""

import importlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close, tolerance

import gatedrnn as gr

torch = pytest.importorskip("torch")
interop = importlib.import_module("gatedrnn.interop.torch")

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output
LAYERS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
CELLS = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
each_kind = pytest.mark.parametrize("kind", [*LAYERS.values(), *CELLS.values()], ids=lambda kind: kind.__name__)
each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)


def module_of(kind, dtype="float64", **options):
    """A module whose every weight and bias is a random number."""
    module = kind(D, H, dtype=getattr(torch, dtype), **options)
    generator = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.7, generator=generator)
    return module


def numpy(tensor):
    """A tensor's numbers."""
    return tensor.detach().numpy()


@pytest.mark.thinned(5)
@each_kind
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_verified(kind, bias, dtype, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of torch's weights."""
    module = module_of(kind, dtype, bias=bias)
    with jax.enable_x64(dtype == "float64"):
        errors = interop.verify_torch(module, inputs)
    assert len(errors.dweights) == (4 if bias else 2)
    assert errors.largest <= tolerance(dtype, LENGTH)


@pytest.mark.parametrize("name", LAYERS)
def test_agrees_by_hand(name, inputs):
    """The same in float64 with nothing of ours in torch's half, each gradient set against torch's own by name."""
    module, xs = module_of(LAYERS[name]), torch.tensor(inputs, requires_grad=True)
    cell = getattr(gr, name)
    first = [torch.randn(1, B, H, dtype=xs.dtype, requires_grad=True) for _ in range(2 if name == "lstm" else 1)]
    ys, end = module(xs, tuple(first) if name == "lstm" else first[0])
    end = end if name == "lstm" else (end,)
    (ys.sin().sum() + sum(part.cos().sum() for part in end)).backward()
    with jax.enable_x64(True):
        converted, params = interop.from_torch(module)
        assert converted == cell
        carry = type(cell.initial_carry(params))(*(jnp.array(numpy(part)[0]) for part in first))

        def loss(params, xs, carry):
            end, ys = gr.unroll(cell, params, xs, carry)
            return jnp.sin(ys).sum() + sum(jnp.cos(part).sum() for part in end), (end, ys)

        (dparams, dxs, dcarry), out = jax.grad(loss, (0, 1, 2), has_aux=True)(params, jnp.array(numpy(xs)), carry)
    assert_close((tuple(out[0]), out[1]), (tuple(numpy(part)[0] for part in end), numpy(ys)), "float64", LENGTH)
    assert_close((dxs, tuple(dcarry)), (xs.grad, tuple(part.grad[0] for part in first)), "float64", LENGTH)
    grads = {name: numpy(weight.grad) for name, weight in module.named_parameters()}
    want = gr.Params({"w": grads["weight_ih_l0"].T, "b": grads["bias_ih_l0"]}, {"w": grads["weight_hh_l0"].T})
    if name == "gru":
        want.recurrent["b"] = grads["bias_hh_l0"][2 * H :]
    assert_close(dparams, want, "float64", LENGTH)


def test_batch_first(inputs):
    """A layout, not another function."""
    with jax.enable_x64(True):
        errors = interop.verify_torch(module_of(torch.nn.LSTM, batch_first=True), inputs)
    assert errors.largest <= tolerance("float64", LENGTH)


@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.RNNCell], ids=lambda kind: kind.__name__)
def test_relu(kind, inputs):
    """Another cell, not another option."""
    module = module_of(kind, "float32", nonlinearity="relu")
    assert interop.from_torch(module)[0] == gr.relu_rnn
    assert interop.verify_torch(module, inputs).largest < 1e-5


def swap(weights, name):
    """The first two gates' blocks of one weight in each other's place."""
    a, b, *rest = jnp.split(weights[name], 3 if weights[name].shape[0] == 3 * H else 4)
    return {**weights, name: jnp.concatenate([b, a, *rest])}


FAULTS = {
    "swapped_gates": lambda weights: swap(weights, "weight_ih"),
    "swapped_recurrent_gates": lambda weights: swap(weights, "weight_hh"),
    "swapped_bias": lambda weights: swap(weights, "bias_ih"),
    "lost_bias": lambda weights: {**weights, "bias_hh": jnp.zeros_like(weights["bias_hh"])},
    "transposed": lambda weights: {**weights, "weight_hh": weights["weight_hh"].reshape(-1, H, H).mT.reshape(-1, H)},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.LSTM], ids=lambda kind: kind.__name__)
def test_a_wrong_conversion_shows(kind, fault, monkeypatch, inputs):
    """What verify_torch proves can fail: in the outputs, and in the gradients of the weights."""
    right = interop.converted
    monkeypatch.setattr(interop, "converted", lambda cell, weights: right(cell, FAULTS[fault](weights)))
    errors = interop.verify_torch(module_of(kind, "float32"), inputs)
    assert min(errors.ys, errors.carry, errors.dxs, errors.dcarry, max(errors.dweights.values())) > 1e-2


@each_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_round_trip(cell, dtype, params_of, inputs):
    """Ours, through torch and back, bit for bit; our one bias is in `bias_ih`, so that `bias_hh` adds nothing to it."""
    with jax.enable_x64(dtype == "float64"):
        params = params_of(cell, dtype)
        module = interop.to_torch(cell, params)
        back, again = interop.from_torch(module)
        if dtype in ("float32", "float64"):
            assert interop.verify_torch(module, inputs).largest <= tolerance(dtype, LENGTH)
    assert type(module) is LAYERS[cell.name]
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)
    assert {weight.dtype for weight in module.parameters()} == {getattr(torch, dtype)}
    assert not module.bias_hh_l0[: 2 * H if cell is gr.gru else None].any()


def test_conversion_is_pure():
    """What torch does to its weights later stays there, and torch's generator is not asked."""
    module = module_of(torch.nn.GRU, "float32")
    state = torch.get_rng_state()
    cell, params = interop.from_torch(module)
    kept = jax.tree.map(np.array, params)
    other = interop.to_torch(cell, params)
    with torch.no_grad():
        for weight in (*module.parameters(), *other.parameters()):
            weight.zero_()
    chex.assert_trees_all_equal(params, kept)
    assert torch.equal(state, torch.get_rng_state())


class Foreign(torch.nn.LSTM):
    """A subclass that computes something else."""

    def forward(self, xs, state=None):
        """Twice the inputs."""
        return super().forward(2 * xs, state)


REFUSED = [
    (Foreign(D, H), "`module` must be one of .*; got Foreign, whose forward is its own"),
    (torch.nn.Linear(D, H), "`module` must be one of .*; got Linear"),
]


@pytest.mark.parametrize(("module", "message"), REFUSED, ids=lambda part: type(part).__name__)
def test_refused(module, message, inputs):
    """Each option that makes another function, by name."""
    for refuse in (interop.from_torch, lambda module: interop.verify_torch(module, inputs)):
        with pytest.raises(ValueError, match=f"^{message}"):
            refuse(module)


def test_inputs_refused(inputs, check_inputs_refused):
    """The proof runs over a batch of the module's width."""
    module = module_of(torch.nn.LSTM, "float32")
    check_inputs_refused(lambda xs: interop.verify_torch(module, xs), inputs)


def test_narrowing_is_refused(check_narrowing_refused):
    """float64 weights are not rounded in silence."""
    check_narrowing_refused(interop.from_torch, module_of(torch.nn.RNN, "float64"))


def test_foreign_cells_and_weights_are_refused(check_foreign_refused):
    """`to_torch` takes our three cells, each with weights of its own structure and shapes."""
    check_foreign_refused(interop.to_torch)
