"""flax: RNN, both directions and layers on each other, there and back, and inside whole models."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.interop import flax as interop

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H) * 3
RTOL = 1e-5  # what is promised of outputs and gradients
NETWORKS = [gr.stack(gr.bidirectional(gr.lstm), gr.rnn), gr.bidirectional(gr.rnn, gr.lstm)]


@pytest.fixture(autouse=True)
def broadcasts():
    """flax broadcasts a bias over the batch."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
@pytest.mark.thinned(2)
@pytest.mark.parametrize("cell", NETWORKS, ids=lambda cell: cell.name)
def test_there_and_back(cell, network_params, inputs):
    """Bit for bit, and proved; flax's own layer gives what `unroll` does."""
    params, xs = network_params(cell), jnp.float32(inputs)
    want = gr.unroll(cell, params, xs)[1].swapaxes(0, 1)
    layer, variables = interop.to_linen(cell, params)
    assert_close(layer.apply(variables, xs.swapaxes(0, 1)), want, "float32", LENGTH)
    assert interop.verify_linen(layer, variables, inputs).largest < RTOL
    module = interop.to_nnx(cell, params)
    assert_close(module(xs.swapaxes(0, 1)), want, "float32", LENGTH)
    assert interop.verify_nnx(module, inputs).largest < RTOL
    for back, again in (interop.from_linen(layer, variables), interop.from_nnx(module)):
        assert back == cell
        chex.assert_trees_all_equal(again, params, strict=True)


class Model(nn.Module):
    """Layers made inside a compact method, whose cells stand beside the readout."""

    @nn.compact
    def __call__(self, xs):
        xs = nn.Bidirectional(nn.RNN(nn.GRUCell(H)), nn.RNN(nn.GRUCell(H)))(xs)
        return nn.Dense(1)(nn.RNN(nn.SimpleCell(H), name="top")(xs))


def test_inside_a_model(inputs):
    """By the paths of the cells in the model's variables."""
    xs = jnp.float32(inputs).swapaxes(0, 1)
    variables = Model().init(jax.random.key(0), xs)
    layers = [nn.Bidirectional(nn.RNN(nn.GRUCell(H)), nn.RNN(nn.GRUCell(H))), nn.RNN(nn.SimpleCell(H))]
    path = [["GRUCell_0", "GRUCell_1"], "SimpleCell_0"]
    cell, params = interop.from_linen(layers, variables, path=path)
    assert cell == gr.stack(gr.bidirectional(gr.gru), gr.rnn)
    readout = variables["params"]["Dense_0"]
    got = gr.unroll(cell, params, xs, batch_major=True)[1] @ readout["kernel"] + readout["bias"]
    assert_close(got, Model().apply(variables, xs), "float32", LENGTH)
    nested = {"params": {"encoder": {"rnn": {"cell": variables["params"]["GRUCell_0"]}}}}
    for place in ("encoder/rnn", "encoder/rnn/cell"):
        assert interop.from_linen(nn.RNN(nn.GRUCell(H)), nested, path=place)[0] == gr.gru
    with pytest.raises(ValueError, match=r"^`path` must be where .*, 'other' among the names there; got \['encoder'\]"):
        interop.from_linen(nn.RNN(nn.GRUCell(H)), nested, path="other/rnn")
    with pytest.raises(ValueError, match="^`path` must be 2 paths, one for each part of the module; got ''"):
        interop.from_linen(layers, variables)
    with pytest.raises(ValueError, match="^`path` must be such as 'encoder/cell'; got 3"):
        interop.from_linen(nn.GRUCell(H), nested, path=3)


def nnx_rnn(width=D, **options):
    """A layer of nnx."""
    return nnx.RNN(nnx.SimpleCell(width, H, rngs=nnx.Rngs(0)), **options)


REFUSED = [
    (lambda: nnx_rnn(reverse=True), "`reverse` must be False, or in a Bidirectional; .*; got True"),
    (lambda: nnx.Bidirectional(nnx_rnn(), nnx_rnn(), merge_fn=jnp.add), "`merge_fn` must be flax's own, "),
    (lambda: [nnx_rnn(), nnx.Linear(H, H, rngs=nnx.Rngs(0))], "`module` must be one of .*; got Linear"),
    (list, "`module` must be recurrent layers, at least one; got none"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(make, message):
    """Each option that makes another function, by name."""
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.from_nnx(make())


def test_lists_are_stacks():
    """Of one layer, that layer."""
    assert interop.from_nnx(nnx.List([nnx_rnn(), nnx_rnn(H)]))[0] == gr.stack(gr.rnn, gr.rnn)
    assert interop.from_nnx([nnx_rnn()])[0] == gr.rnn


def test_networks_that_flax_has_not(network_params):
    """Dropout between layers, other merges, a cell that flax has not."""
    for cell in (gr.stack(gr.rnn, layers=2, dropout=0.1), gr.bidirectional(gr.rnn, merge="sum")):
        for convert in (interop.to_linen, interop.to_nnx):
            with pytest.raises(ValueError, match="^`cell` must be layers without dropout between them, "):
                convert(cell, network_params(cell))
    with pytest.raises(ValueError, match="^`cell` must be one of gatedrnn.rnn, .*; got 'gru_before'"):
        interop.to_nnx(gr.gru_before, network_params(gr.gru_before))
