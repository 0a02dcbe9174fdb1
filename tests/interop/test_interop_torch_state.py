"""torch: the weights of a layer alone, from a `state_dict`, arrays or a file."""

import importlib

import chex
import numpy as np
import pytest
from fuzz_settings import attempted, bounded
from hypothesis import strategies as st

import gatedrnn as gr

torch = pytest.importorskip("torch")
interop = importlib.import_module("gatedrnn.interop.torch")
parametrizations, prune = (importlib.import_module(f"torch.nn.utils.{name}") for name in ("parametrizations", "prune"))
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, of what it deprecates

D, H = 3, 5
KINDS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def module_of(kind, **options):
    """A module as torch draws it."""
    torch.manual_seed(0)
    return KINDS[kind](D, H, **options)


def test_without_bias():
    """torch has a zero bias for ours; of ours without, none comes back."""
    module = module_of("gru", num_layers=2, bias=False)
    assert interop.from_torch_weights(module.state_dict())[0] == gr.stack(gr.gru, layers=2)


def test_files(tmp_path):
    """A safetensors file of a larger model, by prefix; bfloat16, too."""
    from safetensors.torch import save_file

    module = module_of("lstm", num_layers=2, bidirectional=True, dtype=torch.bfloat16)
    model = torch.nn.ModuleDict({"encoder": module, "readout": torch.nn.Linear(2 * H, 1)})
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    for weights in (tmp_path / "model.safetensors", model.state_dict()):
        cell, params = interop.from_torch_weights(weights, prefix="encoder.")
        assert cell == gr.stack(gr.bidirectional(gr.lstm), layers=2)
        chex.assert_trees_all_equal(params, interop.from_torch(module)[1], strict=True)
    with pytest.raises(ValueError, match=r"^`prefix` must be .*; got '', where there are layers below 'encoder\.'"):
        interop.from_torch_weights(tmp_path / "model.safetensors")
    (tmp_path / "other").write_bytes(b"other")
    for path in (tmp_path / "other", tmp_path / "missing"):
        with pytest.raises(ValueError, match=r"^`weights` must be a safetensors file, or a dict"):
            interop.from_torch_weights(path)


def test_cells_and_arrays():
    """The names of a cell, and arrays of NumPy; an RNN does not say whether it was tanh."""
    module = torch.nn.GRUCell(D, H)
    cell, params = interop.from_torch_weights({name: a.detach().numpy() for name, a in module.named_parameters()})
    chex.assert_trees_all_equal((cell, params), interop.from_torch(module), strict=True)
    weights = module_of("rnn").state_dict()
    for cell in (gr.rnn, gr.relu_rnn):
        assert interop.from_torch_weights(weights, cell=cell)[0] == cell
    with pytest.raises(
        ValueError,
        match=r"^`cell` must be gatedrnn.rnn .tanh. or gatedrnn.relu_rnn for weights of one gate: .*; got None",
    ):
        interop.from_torch_weights(weights)


def without(name):
    """The weights of a layer but for one."""
    return {known: a for known, a in module_of("gru", bidirectional=True).state_dict().items() if known != name}


def renamed(change, *args, **options):
    """The state of a layer of which a weight is computed."""
    module = module_of("gru")
    change(module, *args, **options)
    return module.state_dict()


def _refused():
    utils = torch.nn.utils
    state = module_of("gru").state_dict()
    yield {}, "`prefix` must be .*; got '', below which there is nothing"
    yield {"readout": torch.zeros(3)}, "`prefix` must be .*; got '', below which there is 'readout'"
    yield without("weight_hh_l0_reverse"), "`weights` must be all .*; got 'weight_hh_l0_reverse' missing"
    yield without("bias_hh_l0"), "`weights` must be all .*; got 'bias_hh_l0' missing"
    yield state | {"weight_ih": torch.zeros(3, 3)}, "`weights` must be all .*; got 'bias_hh' missing"
    yield state | {"bias_hh_l0": torch.zeros(3)}, r"`weights` must be .* \(15,\) for bias_hh_l0; got \(3,\)"
    yield state | {"weight_hh_l0": torch.zeros(9, H)}, "`weights` must be of as many gates as .*; got 9 rows for 5"
    yield state | {"weight_hh_l0": torch.zeros(9)}, r"`weights` must be matrices, .*; got \(9,\)"
    yield state | {"bias_hh_l0": torch.zeros(15, dtype=torch.int8)}, "`weights` must be dense .*; got 'bias_hh_l0', "
    yield state | {"bias_hh_l0": np.zeros(15, int)}, "`weights` must be dense .*; got 'bias_hh_l0', "
    yield renamed(parametrizations.weight_norm, "weight_hh_l0"), ".*'parametrizations.*, of a parametrisation"
    yield renamed(utils.weight_norm, "weight_hh_l0"), ".*'weight_hh_l0_g', of a weight norm"
    yield renamed(utils.spectral_norm, "weight_hh_l0"), ".*'weight_hh_l0_orig', of a pruning or a spectral norm"
    yield renamed(prune.l1_unstructured, "weight_hh_l0", amount=0.3), ".*'weight_hh_l0_orig', of a pruning"
    yield {"weight_hh_l0_raw": state["weight_hh_l0"]}, ".*'weight_hh_l0_raw', of a weight drop"
    yield torch.ao.nn.quantized.dynamic.LSTM(D, H).state_dict(), ".*, of a quantised layer"


def test_weights_refused():
    """Each by what it is."""
    for weights, message in _refused():
        with pytest.raises(ValueError, match=f"^{message}"):
            interop.from_torch_weights(weights)
    with pytest.raises(ValueError, match="^`weights` must be of as many gates as 4 .lstm.; got 15 rows for 5 units"):
        interop.from_torch_weights(module_of("gru").state_dict(), cell=gr.lstm)
    with pytest.raises(ValueError, match="^`prefix` must be .*; got 'encoder.', where there are layers below ''"):
        interop.from_torch_weights(module_of("gru").state_dict(), prefix="encoder.")
    with pytest.raises(ValueError, match="^`prefix` must be the text"):
        interop.from_torch_weights({}, prefix=3)


@bounded(150)
def test_any_weights(data):
    """Names and shapes of any kind are a layer, or refused in one sentence that says of what."""
    mark = st.sampled_from(["", "_l0", "_l1", "_l0_reverse", "_l1_reverse", "_l999999", "_l", "_g"])
    part = st.sampled_from(["weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh", "x.weight_hh", "weight"])
    count = data.draw(st.sampled_from([1, 3, 4]))
    known = {"weight_ih": (count * H, D), "weight_hh": (count * H, H), "weight_hr": (2, H)}
    weights = {}
    for _ in range(data.draw(st.integers(0, 6))):
        name = data.draw(part)
        shape = data.draw(st.one_of(st.just(known.get(name, (count * H,))), st.lists(st.integers(0, 6), max_size=3)))
        weights[name + data.draw(mark)] = torch.zeros(tuple(shape))
    prefix = data.draw(st.sampled_from(["", "", "x.", "y."]))
    found, refused = attempted(lambda: interop.from_torch_weights(weights, prefix=prefix))
    assert refused or isinstance(found[0], gr.Cell)
