"""torch: modules of several layers and both directions, there and back, and the same of their weights alone."""

import importlib
import re
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_settings import bounded
from hypothesis import strategies as st
from tolerances import assert_close, tolerance

import gatedrnn as gr

torch = pytest.importorskip("torch")
interop = importlib.import_module("gatedrnn.interop.torch")
parametrizations, prune = (importlib.import_module(f"torch.nn.utils.{name}") for name in ("parametrizations", "prune"))
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, of dropout in one layer and of what it deprecates

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H) * 3
KINDS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
RTOL = 1e-5  # what is promised of outputs and gradients


def module_of(kind, seed=0, std=0.5, dtype="float32", **options):
    """A module whose every weight and bias is a random number."""
    module = KINDS[kind](D, H, dtype=getattr(torch, dtype), **options)
    generator = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=std, generator=generator)
    return module


@pytest.mark.thinned(7)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("both", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("lengths", [None, [4, 7]], ids=["whole", "packed"])
def test_verified(kind, layers, both, lengths, inputs):
    """Outputs, last carries, and the gradients in xs, the first carries and each of torch's weights."""
    module = module_of(kind, num_layers=layers, bidirectional=both, dropout=0.3)
    errors = interop.verify_torch(module, inputs, lengths=lengths)
    assert len(errors.dweights) == 4 * layers * (1 + both)
    assert errors.largest < RTOL


def test_relu(inputs, network_params):
    """In layers and both directions, packed; there and back, and of its weights alone."""
    module = module_of("rnn", num_layers=2, bidirectional=True, nonlinearity="relu")
    assert interop.verify_torch(module, inputs, lengths=[4, 7]).largest < RTOL
    cell = gr.stack(gr.bidirectional(gr.relu_rnn), layers=2)
    params = network_params(cell)
    there = interop.to_torch(cell, params)
    assert there.nonlinearity == "relu"
    for back, again in (interop.from_torch(there), interop.from_torch_weights(there.state_dict(), cell=gr.relu_rnn)):
        assert back == cell
        chex.assert_trees_all_equal(again, params, strict=True)


@bounded(3)
@pytest.mark.slow
def test_any_module_over_any_lengths(data):
    """Layers, directions, biases, layouts, dtypes; rows of no steps among the lengths."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    options = {name: data.draw(st.booleans()) for name in ("bidirectional", "bias", "batch_first")}
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=3, max_size=3))
    module = module_of(data.draw(st.sampled_from(sorted(KINDS))), num_layers=data.draw(st.integers(1, 3)), **options)
    with jax.enable_x64(dtype == "float64"):
        errors = interop.verify_torch(module.to(getattr(torch, dtype)), rng.normal(size=(4, 3, D)), lengths=lengths)
    assert errors.largest < (RTOL if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("lengths", [[0, 7], [0, 0]])
def test_cells_and_rows_of_no_steps(lengths, inputs):
    """A row of no steps ends with the carry that it began with."""
    for module in (torch.nn.LSTMCell(D, H), module_of("gru", bidirectional=True)):
        assert interop.verify_torch(module, inputs, lengths=lengths).largest < RTOL


def test_agrees_by_hand(inputs):
    """Two layers of both directions, batch first and packed, with nothing of ours in torch's half."""
    module = module_of("lstm", num_layers=2, bidirectional=True, batch_first=True).eval()
    xs, lengths = torch.tensor(inputs, dtype=torch.float32).transpose(0, 1), torch.tensor([3, 7])
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False)
    out, (h, c) = module(packed)
    want = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0].detach().numpy()
    cell, params = interop.from_torch(module)
    carry, ys = gr.unroll(cell, params, jnp.asarray(xs.numpy()), lengths=jnp.array([3, 7]), batch_major=True)
    assert_close(ys, want, "float32", LENGTH)
    for place, part in enumerate([carry[0].forward, carry[0].backward, carry[1].forward, carry[1].backward]):
        assert_close(tuple(part), (h[place].detach().numpy(), c[place].detach().numpy()), "float32", LENGTH)


def test_the_networks_are_those_of_the_house():
    """One layer and direction is a plain cell; dropout is the stack's."""
    assert interop.from_torch(module_of("gru"))[0] == gr.gru
    assert interop.from_torch(module_of("gru", bidirectional=True))[0] == gr.bidirectional(gr.gru)
    assert interop.from_torch(module_of("gru", num_layers=2))[0] == gr.stack(gr.gru, layers=2)
    cell, params = interop.from_torch(module_of("rnn", num_layers=2, dropout=0.5, bidirectional=True))
    assert cell == gr.stack(gr.bidirectional(gr.rnn), layers=2, dropout=0.5)
    assert interop.to_torch(cell, params).dropout == 0.5
    with pytest.raises(ValueError, match="^`dropout` must be below 1; got 1"):
        interop.from_torch(module_of("rnn", num_layers=2, dropout=1.0))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_round_trip(dtype, network_params):
    """Ours, through torch and back, bit for bit."""
    with jax.enable_x64(dtype == "float64"):
        for cell in (gr.stack(gr.bidirectional(gr.gru), layers=2, dropout=0.2), gr.stack(gr.lstm, layers=3)):
            params = network_params(cell, dtype)
            module = interop.to_torch(cell, params)
            back, again = interop.from_torch(module)
            assert back == cell and {weight.dtype for weight in module.parameters()} == {getattr(torch, dtype)}
            chex.assert_trees_all_equal(again, params, strict=True)
            other, others = interop.from_torch_weights(module.state_dict())
            assert other == gr.stack(*cell.network.cells)
            chex.assert_trees_all_equal(others, params, strict=True)


def test_a_stack_of_one_layer(network_params):
    """No stack in torch, and no dropout, of which torch would warn."""
    cell = gr.stack(gr.gru, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = interop.to_torch(cell, network_params(cell))
    assert module.num_layers == 1 and interop.from_torch(module)[0] == gr.gru


def test_normed_and_pruned_layers_agree(inputs):
    """Of a later layer and of the second direction, too."""
    module = module_of("lstm", num_layers=2, bidirectional=True)
    parametrizations.weight_norm(module, "weight_hh_l1_reverse")
    prune.l1_unstructured(module, "weight_ih_l1", amount=0.3)
    assert interop.verify_torch(module, inputs).largest <= tolerance("float32", LENGTH)


PROJECTED = [
    {"proj_size": 2},
    {"proj_size": 3, "num_layers": 2, "bidirectional": True, "batch_first": True},
    {"proj_size": 1, "bias": False},
]


@pytest.mark.parametrize("options", PROJECTED, ids=lambda options: f"of {options['proj_size']}")
def test_projected(options, inputs):
    """An LSTM with `proj_size`: values and gradients, packed; there and back; and of its weights alone."""
    module = module_of("lstm", **options)
    lengths = [4, 7] if options.get("bias", True) else None
    assert interop.verify_torch(module, inputs, lengths=lengths).largest < RTOL
    cell, params = interop.from_torch(module)
    assert "projected(lstm)" in cell.name
    again = interop.to_torch(cell, params)
    assert again.proj_size == options["proj_size"] and again.num_layers == options.get("num_layers", 1)
    for found in (interop.from_torch(again), interop.from_torch_weights(module.state_dict())):
        assert found[0] == cell
        chex.assert_trees_all_equal(found[1], params, strict=True)


def test_projected_refused(network_params):
    """Weights that are those of no projected LSTM."""
    state = module_of("lstm", proj_size=2).state_dict()
    for change, message in (
        ({"weight_hr_l0": torch.zeros(3, H)}, r"`weights` must be of .* \(2, 5\) for weight_hr_l0; got \(3, 5\)"),
        (
            {"weight_hr_l0": torch.zeros(2, 4)},
            "`weights` must be of as many gates as 4 .lstm.; got 20 rows for 4 units",
        ),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            interop.from_torch_weights(state | change)
    cell = gr.projected(gr.lstm)
    with pytest.raises(ValueError, match=r"^`params` must be the weights of gatedrnn.projected.lstm., laid out as "):
        interop.to_torch(cell, network_params(gr.lstm))
    params = gr.networks.ProjectedParams(network_params(gr.lstm), jnp.zeros((H, 2)))
    with pytest.raises(ValueError, match=r"^`weights` must be \[D, 4 . H\], "):
        interop.to_torch(cell, params)


FOREIGN = [
    (gr.stack(gr.lstm, gr.gru), {}, "`cell` must be layers of one kind, "),
    (gr.stack(gr.bidirectional(gr.lstm), gr.lstm), {}, "`cell` must be layers of one kind, "),
    (gr.bidirectional(gr.lstm, merge="sum"), {}, "`cell` must be layers of one kind, .* merged by 'concat'; got "),
    (gr.stack(gr.lstm, layers=2, residual=True), {}, "`cell` must be a stack without `residual`, "),
    (gr.stack(gr.learned_carry(gr.lstm), gr.lstm), {}, "`cell` must be one of gatedrnn.rnn, "),
    (gr.stack(gr.lstm, layers=2), {"hidden_size": (H, H + 1)}, "`params` must be those of layers of one size, "),
]


@pytest.mark.parametrize(("cell", "sizes", "message"), FOREIGN, ids=lambda part: getattr(part, "name", ""))
def test_networks_that_torch_has_not(cell, sizes, message, network_params):
    """Each option that makes another function, by name."""
    params = network_params(cell, **sizes)
    if re.match("stack.lstm, lstm, residual", cell.name):
        params = gr.networks.StackParams(params.layers)
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.to_torch(cell, params)


def test_foreign_weights_refused(network_params):
    """A network takes weights of its own structure."""
    for cell in (gr.stack(gr.lstm, layers=2), gr.bidirectional(gr.lstm)):
        with pytest.raises(ValueError, match="^`params` must be the (Stack|Bidirectional)Params of "):
            interop.to_torch(cell, network_params(gr.lstm))
