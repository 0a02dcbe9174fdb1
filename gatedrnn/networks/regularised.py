"""A cell with noise, where `unroll` is given a key; without one, what the noise is on average.

x <- x m_x / (1 - p)               `input_dropout`: m_x in {0, 1}^D drawn once per sequence
recur(h m_h / (1 - p))             `recurrent_dropout`: m_h in {0, 1}^H drawn once per sequence
s_t <- m_t s_t-1 + (1 - m_t) s_t   `zoneout` of a part s of the carry: m_t in {0, 1}^H drawn at every step

The noise is drawn where the inputs are projected, for whole segments, and the recurrence keeps its three functions: it
is differentiated as fast as without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_key, check_rate, fail, shown
from gatedrnn._forms import Carry, Gates, Params
from gatedrnn._noise import dropped, kept, parted
from gatedrnn.networks._layers import PROBED, check_layer

INPUT, RECURRENT, ZONED = 101, 102, 103  # salts: no two draw the same numbers


@dataclass(frozen=True)
class _Project:
    """The gates' halves, and after them the masks of the parts that are zoned: 0 where a unit keeps what it has."""

    project: Callable[[Any, Array], Gates]
    input_dropout: float
    zoneout: tuple[float, ...]

    def __call__(self, weights: Any, x: Array) -> Gates:
        x, noise = parted(x)
        gates = tuple(self.project(weights, dropped(noise.row, self.input_dropout, x, INPUT)))
        width, dtype = gates[0].shape[-1], gates[0].dtype
        zoned = enumerate(self.zoneout, ZONED)
        return (*gates, *(kept(noise.step, rate, width, salt, dtype) for salt, rate in zoned if rate))


@dataclass(frozen=True)
class _Damp:
    """What h is multiplied by on its way to `recur`."""

    project: Callable[[Any, Array], Gates]
    rate: float

    def __call__(self, weights: Any, x: Array) -> Array:
        x, noise = parted(x)
        like = jax.eval_shape(self.project, weights, x)[0]
        return dropped(noise.row, self.rate, jnp.ones(like.shape, like.dtype), RECURRENT)


@dataclass(frozen=True)
class _Zoned:
    """`pointwise`, each part of whose result is held where its mask is 0; on average, without masks."""

    pointwise: Callable[..., Carry]
    zoneout: tuple[float, ...]
    noisy: bool

    def __call__(self, gates_x: Gates, gates_h: Gates, carry: Carry, *unit: Any) -> Carry:
        masks = iter(gates_x[len(gates_h) :])
        after = self.pointwise(gates_x[: len(gates_h)], gates_h, carry, *unit)
        parts = zip(after, carry, self.zoneout, strict=True)
        if self.noisy:
            return after._make(jnp.where(next(masks) > 0, new, old) if rate else new for new, old, rate in parts)
        return after._make(new * (1 - rate) + old * rate if rate else new for new, old, rate in parts)


def regularised(
    cell: Cell,
    *,
    input_dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    zoneout: float | Mapping[str, float] = 0.0,
) -> Cell:
    """The cell with dropout and zoneout, drawn from the key that `unroll` is given; without a key there is no noise.

    Between the layers of a network, `gr.stack` has a dropout of its own.

    Args:
        cell: in three-function form.
        input_dropout: the rate at which input features are dropped, the same ones at every step of a sequence.
        recurrent_dropout: the rate at which units of h are dropped where gates read them, the same at every step.
        zoneout: the rate at which a unit keeps its part of the carry, drawn anew at every step: one for all parts, or
            by name, such as `{"h": 0.05, "c": 0.5}`. Without a key each part keeps that share of what it was.

    Raises:
        ValueError: `cell` is not in three-function form or has been regularised, a rate is not from 0 to below 1, or
            the carry has no part of a name.

    Example:
        >>> import jax, gatedrnn as gr
        >>> cell = gr.regularised(gr.lstm, recurrent_dropout=0.25, zoneout={"c": 0.5})
        >>> params, xs = cell.init(jax.random.key(0), 3, 8), jax.numpy.ones((100, 4, 3))
        >>> carry, ys = gr.unroll(cell, params, xs, key=jax.random.key(1))

    References:
        Gal, Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016,
        https://arxiv.org/abs/1512.05287; Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden
        activations", 2017, https://arxiv.org/abs/1606.01305 (an LSTM's h reads the cell state before it is zoned).
    """
    cell = check_layer("cell", cell)
    if not cell.bare:
        raise fail("cell", "in three-function form, without noise, `damp` or `extra` of its own", repr(cell))
    input_dropout, recurrent_dropout = (
        check_rate("input_dropout", input_dropout),
        check_rate("recurrent_dropout", recurrent_dropout),
    )
    rates = _rates(cell, zoneout)
    options = {"input_dropout": input_dropout, "recurrent_dropout": recurrent_dropout} | {
        f"zoneout_{name}": rate for name, rate in rates.items()
    }
    name = f"regularised({', '.join([cell.name, *(f'{option}={rate}' for option, rate in options.items() if rate)])})"
    zoned = tuple(rates.values())
    project: Any = cell.project
    project = project.function  # of one row
    last = zoned[-1] > 0
    quiet = replace(
        cell,
        name=name,
        pointwise=_Zoned(cell.pointwise, zoned, False) if any(zoned) else cell.pointwise,
        keeps="" if last else cell.keeps,  # a gate keeps no longer all that is kept
    )
    nothing: Any = None
    training = replace(
        quiet,
        project=_Project(project, input_dropout, zoned),
        pointwise=_Zoned(cell.pointwise, zoned, True) if any(zoned) else cell.pointwise,
        extra=sum(rate > 0 for rate in zoned),
        damp=_Damp(project, recurrent_dropout) if recurrent_dropout else None,
        activations=nothing,
    )
    return replace(quiet, training=training)


def _rates(cell: Cell, zoneout: Any) -> dict[str, float]:
    """The rate of every part of the carry."""
    try:
        carry = jax.eval_shape(lambda: cell.initial_carry(cell.init(jax.random.key(0), 1, PROBED)))
    except Exception as error:  # a stranger's, of any kind
        raise fail(
            "cell", f"one whose `init` draws {PROBED} units without options", f"{cell.name!r}: {error}"
        ) from error
    if not isinstance(zoneout, Mapping):
        zoneout = dict.fromkeys(carry._fields, zoneout)
    unknown = set(zoneout) - set(carry._fields)
    if unknown:
        raise fail("zoneout", f"rates of {', '.join(carry._fields)}", shown(sorted(map(str, unknown))))
    return {name: check_rate(f"zoneout[{name!r}]", zoneout.get(name, 0.0)) for name in carry._fields}


def weight_drop(key: Array, params: Any, rate: float) -> Any:
    """The weights with entries of the recurrent matrices dropped: DropConnect, drawn once for all that reads them.

    Args:
        key: a `jax.random.key`.
        params: of a cell or of a network; every `recurrent` matrix in it is dropped from.
        rate: at which an entry becomes zero; the others are divided by 1 - rate.

    Returns:
        Weights like `params`; gradients reach the entries that are kept.

    Raises:
        ValueError: `key` is no key, or `rate` is not from 0 to below 1.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 3, 8)
        >>> dropped = gr.networks.weight_drop(jax.random.key(1), params, 0.5)
        >>> bool((dropped.recurrent["w"] == 0).any()), bool((dropped.input["w"] == params.input["w"]).all())
        (True, True)

    References:
        Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models", 2018,
        https://arxiv.org/abs/1708.02182
    """
    key = check_key("key", key)
    rate = check_rate("rate", rate)
    places, structure = jax.tree.flatten(params, is_leaf=lambda node: isinstance(node, Params))
    keys = jax.random.split(key, max(len(places), 1))

    def drop(key: Array, weights: Any) -> Any:
        leaves, inside = jax.tree.flatten(weights)
        found = [
            jnp.where(jax.random.bernoulli(each, 1 - rate, a.shape), a / (1 - rate), jnp.zeros_like(a))
            if a.ndim > 1
            else a
            for each, a in zip(jax.random.split(key, max(len(leaves), 1)), leaves, strict=False)
        ]
        return jax.tree.unflatten(inside, found)

    changed = [
        place._replace(recurrent=drop(key, place.recurrent)) if isinstance(place, Params) else place
        for key, place in zip(keys, places, strict=False)
    ]
    return jax.tree.unflatten(structure, changed)
