"""torch: weights that are normed, pruned, dropped or quantised, and subclasses."""

import importlib
import re
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close, tolerance

import gatedrnn as gr

torch = pytest.importorskip("torch")
interop = importlib.import_module("gatedrnn.interop.torch")
utils = torch.nn.utils
parametrizations, prune = (importlib.import_module(f"torch.nn.utils.{name}") for name in ("parametrizations", "prune"))
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, of what it deprecates

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)
KINDS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


@pytest.fixture(autouse=True)
def the_same_draws():
    """Weights, and what is pruned of them."""
    torch.manual_seed(0)


class Doubled(torch.nn.Module):
    """A parametrisation of one's own."""

    def forward(self, weight):
        """Twice the weight."""
        return 2 * weight


def pruned_twice(module, name):
    """One pruning after another, which torch keeps in one hook."""
    prune.l1_unstructured(module, name, amount=0.3)
    prune.random_structured(module, name, amount=0.2, dim=0)


CHANGES = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "own": lambda module, name: utils.parametrize.register_parametrization(module, name, Doubled()),
    "old_weight_norm": utils.weight_norm,
    "old_spectral_norm": utils.spectral_norm,
    "pruned": lambda module, name: prune.l1_unstructured(module, name, amount=0.3),
    "pruned_twice": pruned_twice,
}


def changed(module, change, names=("weight_hh_l0",)):
    """The module with some weights changed, then trained a little: what the hooks last computed is stale."""
    for name in names:
        CHANGES[change](module, name)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    return module


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_changed_weights_agree(name, change, inputs):
    """The module's own outputs at inference; neither its mode nor its numbers are touched."""
    module = changed(KINDS[name](D, H), change, ("weight_ih_l0", "weight_hh_l0"))
    kept = {key: value.clone() for key, value in module.state_dict().items()}
    cell, params = interop.from_torch(module)
    assert interop.verify_torch(module, inputs).largest <= tolerance("float32", LENGTH)
    assert module.training and all(torch.equal(kept[key], value) for key, value in module.state_dict().items())
    with torch.no_grad():
        want = module.eval()(torch.tensor(inputs, dtype=torch.float32))[0].numpy()
    assert_close(gr.unroll(cell, params, jnp.float32(inputs))[1], want, "float32", LENGTH)


@pytest.mark.parametrize("change", ["weight_norm", "old_weight_norm", "pruned"])
def test_changed_cells_and_biases_agree(change, inputs):
    """The same for a single step, and for a bias."""
    cell = torch.nn.GRUCell(D, H)
    assert interop.verify_torch(changed(cell, change, ["weight_hh"]), inputs).largest <= tolerance("float32", LENGTH)
    layer = changed(torch.nn.LSTM(D, H, batch_first=True), change, ["bias_hh_l0"])
    assert interop.verify_torch(layer, inputs).largest <= tolerance("float32", LENGTH)


@pytest.mark.parametrize("stale", [True, False], ids=["stale", "missing"])
def test_weight_drop(stale, inputs):
    """The layer inside a weight drop: its raw weight, whatever was last dropped from it."""
    plain, dropped = torch.nn.LSTM(D, H), torch.nn.LSTM(D, H)
    dropped.load_state_dict(plain.state_dict())
    raw = dropped._parameters.pop("weight_hh_l0")
    dropped.register_parameter("weight_hh_l0_raw", raw)
    if stale:
        dropped.weight_hh_l0 = torch.nn.functional.dropout(raw, 0.5)
    cell, params = interop.from_torch(dropped)
    assert interop.verify_torch(dropped, inputs).largest <= tolerance("float32", LENGTH)
    want = plain(torch.tensor(inputs, dtype=torch.float32))[0].detach().numpy()
    assert_close(gr.unroll(cell, params, jnp.float32(inputs))[1], want, "float32", LENGTH)


class Renamed(torch.nn.LSTM):
    """A subclass that overrides nothing of the function."""

    def __init__(self, width):
        super().__init__(D, width)
        self.note = "mine"

    def reset_parameters(self):
        """Other starting values."""
        for weight in self.parameters():
            torch.nn.init.normal_(weight, std=0.5)


class Stepped(torch.nn.LSTM):
    """A subclass that changes the first carry."""

    def permute_hidden(self, hx, permutation):
        """Another state."""
        return tuple(a + 1 for a in hx)


def test_subclasses(inputs):
    """One that computes what its base computes is converted, normed or not; another is refused by what it changed."""
    for module in (Renamed(H), changed(Renamed(H), "weight_norm")):
        assert interop.verify_torch(module, inputs).largest <= tolerance("float32", LENGTH)
    with pytest.raises(ValueError, match="^`module` must be one of .*; got Stepped, whose permute_hidden is its own"):
        interop.from_torch(Stepped(D, H))
    patched = torch.nn.LSTM(D, H)
    patched.forward = lambda xs: xs
    with pytest.raises(ValueError, match="^`module` must be one of .*; got LSTM, whose forward is its own"):
        interop.from_torch(patched)


def test_quantised_refused():
    """By name, with the reason and a cure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dynamic = torch.ao.nn.quantized.dynamic
        modules = [dynamic.LSTM(D, H), dynamic.GRUCell(D, H), torch.ao.nn.quantizable.LSTM(D, H)]
    for module in modules:
        name = re.escape(f"{type(module).__module__}.{type(module).__name__}")
        with pytest.raises(ValueError, match=f"^`module` must be .* it was quantised; got {name}, whose weights"):
            interop.from_torch(module)


def test_a_wrapper_is_refused_with_its_layer():
    """What holds a layer says where."""
    with pytest.raises(ValueError, match="^`module` must be one of .*; got Sequential, which holds one as '0'"):
        interop.from_torch(torch.nn.Sequential(torch.nn.LSTM(D, H)))
    with pytest.raises(ValueError, match="^`module` must be one of .*; got dict"):
        interop.from_torch({"weight_hh_l0": np.zeros(3)})


def test_missing_and_other_weights_refused():
    """A weight that is gone, computed by nobody knows what, of no numbers, or of integers."""
    gone, odd, empty, whole = (torch.nn.LSTM(D, H) for _ in range(4))
    del gone._parameters["weight_hh_l0"]
    odd.register_parameter("weight_hh_l0_core", odd._parameters.pop("weight_hh_l0"))
    empty.to("meta")
    whole._parameters["weight_hh_l0"] = torch.nn.Parameter(torch.zeros(4 * H, H, dtype=torch.int8), requires_grad=False)
    start = "^`module` must be one whose weight_.h_l0 is a "
    for module, message in (
        (gone, "parameter, .*; got no parameter of that name"),
        (odd, "parameter, .*; got weight_hh_l0_core"),
        (empty, "dense tensor of floating numbers, .*; got Tensor of float32 on meta"),
        (whole, "dense tensor of floating numbers, .*; got Tensor of int8 on cpu"),
    ):
        with pytest.raises(ValueError, match=start + message):
            interop.from_torch(module)
