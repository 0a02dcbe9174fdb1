"""The usual model of each framework, two layers of LSTM, in both directions where it has them, over padded rows.

Each framework is imported only when it is measured. What ours computes with are their weights, converted.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import gatedrnn as gr
from benchmarks.models.pair import Given, Pair, in_jax, through

BOTH = "two layers of LSTM in both directions"
FORWARD = "two layers of LSTM"


def ours(cell: gr.Cell, params: Any, given: Given) -> Any:
    """`gr.unroll` of a converted model."""
    run = lambda params, xs: gr.unroll(cell, params, xs, lengths=given.lengths)[1]
    return in_jax(run, params, given)


def torch(given: Given) -> Pair:
    """torch.nn.LSTM over packed sequences, on all cores."""
    import torch as th
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from benchmarks.models.pair import Side
    from gatedrnn.interop.torch import from_torch

    th.manual_seed(0)
    module = th.nn.LSTM(given.xs.shape[-1], given.hidden, num_layers=2, bidirectional=True)
    xs, steps = th.from_numpy(np.array(given.xs)).requires_grad_(), th.from_numpy(np.array(given.lengths)).long()
    names, leaves = zip(*module.named_parameters(), strict=True)

    def forward() -> Any:
        packed = pack_padded_sequence(xs, steps, enforce_sorted=False)
        return pad_packed_sequence(module(packed)[0], total_length=len(xs))[0]

    def gradient() -> tuple[Any, Any]:
        *weights, dxs = th.autograd.grad((forward() ** 2).sum() / steps.sum(), [*leaves, xs])
        return {name: a.numpy() for name, a in zip(names, weights, strict=True)}, dxs.numpy()

    cell, params = from_torch(module)
    back = lambda dparams: _torch_names(dparams, names)
    theirs = Side(lambda: forward().detach().numpy(), gradient)
    return Pair(f"{BOTH}, packed", "`from_torch`", theirs, ours(cell, params, given), back)


def _torch_names(dparams: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """torch's two biases have one gradient each, that of ours."""
    cells = {f"_l{place}": layer.forward for place, layer in enumerate(dparams.layers)}
    cells |= {f"_l{place}_reverse": layer.backward for place, layer in enumerate(dparams.layers)}
    found: dict[str, Any] = {}
    for mark, cell in cells.items():
        found |= {f"weight_ih{mark}": cell.input["w"].T, f"weight_hh{mark}": cell.recurrent["w"].T}
        found |= {f"bias_ih{mark}": cell.input["b"], f"bias_hh{mark}": cell.input["b"]}
    return {name: found[name] for name in names}


def keras(given: Given) -> Pair:
    """A Sequential of two Bidirectional layers with a mask, on keras's JAX backend."""
    import keras

    from gatedrnn.interop._keras_layers import read, variables
    from gatedrnn.interop.keras import from_keras

    keras.utils.set_random_seed(0)
    layer = lambda: keras.layers.Bidirectional(keras.layers.LSTM(given.hidden, return_sequences=True))
    model = keras.Sequential([keras.Input((None, given.xs.shape[-1])), layer(), layer()])
    held = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]
    mask = given.there[..., 0].T

    def run(weights: Any, xs: Array) -> Array:
        return model.stateless_call(weights, fixed, xs.swapaxes(0, 1), mask=mask)[0].swapaxes(0, 1)

    cell, params = from_keras(model)
    places = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    structure = variables(read(model))
    order = [places[id(variable)] for variable in jax.tree.leaves(structure)]

    def back(dparams: Any) -> Any:
        named = [
            {"forward": _keras_names(layer.forward), "backward": _keras_names(layer.backward)}
            for layer in dparams.layers
        ]
        leaves = dict(zip(order, jax.tree.leaves(named), strict=True))
        return [leaves[place] for place in range(len(held))]

    return Pair(f"{BOTH}, masked", "`from_keras`", in_jax(run, held, given), ours(cell, params, given), back)


def _keras_names(params: gr.Params) -> dict[str, Array]:
    return {"kernel": params.input["w"], "recurrent_kernel": params.recurrent["w"], "bias": params.input["b"]}


def linen(given: Given) -> Pair:
    """flax.linen's layers, and those of `gatedrnn.modules.linen` with the same variables."""
    import flax.linen as theirs

    from gatedrnn.modules import linen as here

    def model(names: Any) -> Any:
        layer = lambda: names.RNN(names.OptimizedLSTMCell(given.hidden), time_major=True)
        return [names.Bidirectional(layer(), layer(), time_major=True) for _ in range(2)]

    keys, wide = jax.random.split(jax.random.key(0)), jnp.zeros((2, 1, 2 * given.hidden))
    shapes = (given.xs[:2, :1], wide)
    weights = [layer.init(key, x) for layer, key, x in zip(model(theirs), keys, shapes, strict=True)]

    def side(names: Any) -> Any:
        def run(weights: Any, xs: Array) -> Array:
            for layer, held in zip(model(names), weights, strict=True):
                xs = layer.apply(held, xs, seq_lengths=given.lengths)
            return xs

        return in_jax(run, weights, given)

    return Pair(f"{BOTH}, `seq_lengths`", "`gatedrnn.modules`", side(theirs), side(here), lambda dweights: dweights)


def nnx(given: Given) -> Pair:
    """flax.nnx's layers, and those of `gatedrnn.modules.nnx` with the same state."""
    from flax import nnx as theirs

    from gatedrnn.modules import nnx as here

    def model(names: Any) -> Any:
        rngs = theirs.Rngs(0)
        layer = lambda width: names.RNN(names.OptimizedLSTMCell(width, given.hidden, rngs=rngs), time_major=True)
        widths = (given.xs.shape[-1], 2 * given.hidden)
        return theirs.List([names.Bidirectional(layer(w), layer(w), time_major=True) for w in widths])

    def side(names: Any) -> Any:
        graph, weights, *rest = theirs.split(model(names), theirs.Param, ...)

        def run(weights: Any, xs: Array) -> Array:
            layers: Any = theirs.merge(graph, weights, *rest)
            for layer in layers:
                xs = layer(xs, seq_lengths=given.lengths, rngs=theirs.Rngs(0))  # of this trace, for first carries
            return xs

        return in_jax(run, weights, given)

    return Pair(f"{BOTH}, `seq_lengths`", "`gatedrnn.modules`", side(theirs), side(here), lambda dweights: dweights)


def haiku(given: Given) -> Pair:
    """hk.dynamic_unroll of an hk.DeepRNN; haiku has neither lengths nor directions."""
    import haiku as hk

    from gatedrnn.interop.haiku import from_haiku

    def unrolled(xs: Array) -> Array:
        core = hk.DeepRNN([hk.LSTM(given.hidden), hk.LSTM(given.hidden)])
        return hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))[0]

    network: Any = hk.without_apply_rng(hk.transform(unrolled))
    weights = network.init(jax.random.key(0), given.xs[:2, :1])
    cell, params = from_haiku(weights)
    back = through(lambda weights: from_haiku(weights)[1], weights)
    return Pair(FORWARD, "`from_haiku`", in_jax(network.apply, weights, given), ours(cell, params, given), back)


def equinox(given: Given) -> Pair:
    """eqx.nn.LSTMCells, mapped over the batch, under lax.scan; equinox has neither layers nor lengths."""
    import equinox as eqx

    from gatedrnn.interop.equinox import from_equinox

    one, other = jax.random.split(jax.random.key(0))
    cells = [eqx.nn.LSTMCell(given.xs.shape[-1], given.hidden, key=one)]
    cells.append(eqx.nn.LSTMCell(given.hidden, given.hidden, key=other))

    def run(cells: Any, xs: Array) -> Array:
        for cell in cells:

            def step(state: Any, x: Array, cell: Any = cell) -> tuple[Any, Array]:
                state = jax.vmap(cell)(x, state)
                return state, state[0]

            zero = jnp.zeros((xs.shape[1], given.hidden))
            xs = jax.lax.scan(step, (zero, zero), xs)[1]
        return xs

    cell, params = from_equinox(cells)
    back = through(lambda cells: from_equinox(cells)[1], cells)
    return Pair(FORWARD, "`from_equinox`", in_jax(run, cells, given), ours(cell, params, given), back)


PEERS = {
    "torch": torch,
    "keras on JAX": keras,
    "flax nnx": nnx,
    "flax linen": linen,
    "dm-haiku": haiku,
    "equinox": equinox,
}
