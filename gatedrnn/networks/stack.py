"""Cells on top of each other: each layer reads the outputs of the one below.

u_1 = x
u_i = dropout(norm(v_{i-1})) [, x]          x beside it with `skip`
h_i = layer_i(u_i)
v_i = h_i [+ v_{i-1}]                       the sum with `residual`, from the second layer on
y   = v_n                                   with `skip` all of v_1, ..., v_n
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_flag, check_key, check_rate, check_size, fail, shown
from gatedrnn._forms import Carry, serialisable
from gatedrnn._method import Method, run_whole
from gatedrnn._noise import Noise, dropped, joined, parted
from gatedrnn._outputs import All, Last, Outputs
from gatedrnn._sequence import Sequence, apart_from_nan
from gatedrnn.networks._layers import Between, as_cell, check_layer, method_for, width_of
from gatedrnn.networks.norms import NORMS, Norm


@serialisable
class StackParams(NamedTuple):
    """The weights of a stack.

    Attributes:
        layers: those of each layer, from the input's side.
        norms: those of the norms between them, one less; () without a norm.
    """

    layers: tuple[Any, ...]
    norms: tuple[Any, ...] = ()


@jax.tree_util.register_static
@dataclass(frozen=True)
class Layers:
    """How a stack is run: by a method layer by layer, or step by step."""

    cells: tuple[Cell, ...]
    residual: bool
    skip: bool
    norm: Norm | None
    dropout: float
    noisy: bool = False

    @property
    def causal(self) -> bool:
        return all(cell.causal for cell in self.cells)

    def init(
        self,
        key: Array,
        input_size: int,
        hidden_size: int | tuple[int, ...],
        *,
        dtype: DTypeLike = jnp.float32,
        like: StackParams | None = None,
        **options: Any,
    ) -> StackParams:
        """Draws the weights, each layer's by its own `init`.

        Args:
            key: a `jax.random.key`.
            input_size: D.
            hidden_size: H of every layer, or one for each.
            dtype: of every weight.
            like: weights, or their shapes, from which each layer reads those options that shape them, such as `heads`.
            options: those of the cells' `init`, handed to every layer.

        Raises:
            ValueError: a size is not a whole number of at least 1, there are not as many as layers, or `residual` is to
                add layers of different widths.
        """
        sizes = self._sizes(hidden_size)
        keys = jax.random.split(check_key("key", key), len(self.cells))
        below = input_size = check_size("input_size", input_size)
        layers: list[Any] = []
        norms: list[Any] = []
        for i, cell in enumerate(self.cells):
            width = below + input_size if i and self.skip else below
            own = {} if like is None else cell.options_of(like.layers[i])
            layers.append(cell.draw(keys[i], width, sizes[i], dtype, **options | own))
            if i and self.norm is not None:
                norms.append(self.norm.init(below, dtype))
            above = width_of(cell, layers[-1], width)
            if i and self.residual and above != below:
                raise fail("hidden_size", "such that `residual` adds outputs of one width", f"{below} below {above}")
            below = above
        return StackParams(tuple(layers), tuple(norms))

    def options_of(self, params: StackParams) -> dict[str, Any]:
        """The weights themselves: each layer's show its own."""
        return {"like": params}

    def _sizes(self, hidden_size: Any) -> list[int]:
        """H of every layer."""
        count = len(self.cells)
        if not isinstance(hidden_size, tuple | list):
            return [check_size("hidden_size", hidden_size)] * count
        if len(hidden_size) != count:
            raise fail("hidden_size", f"one size, or {count}, one per layer", shown(hidden_size))
        return [check_size("hidden_size", size) for size in hidden_size]

    def initial_carry(self, params: StackParams, batch_size: int | None = None) -> tuple[Carry, ...]:
        """The first carry of every layer, as a tuple."""
        pairs = zip(self.cells, params.layers, strict=True)
        return tuple(cell.initial_carry(weights, batch_size) for cell, weights in pairs)

    def step(self, params: StackParams, carry: tuple[Carry, ...], x: Array) -> tuple[tuple[Carry, ...], Array]:
        """One step of all layers: x [B, D] -> the carries after it, y [B, H]."""
        after: list[Carry] = []

        def run(i: int, cell: Cell, u: Array) -> Array:
            end, y = cell.step(params.layers[i], carry[i], u)
            after.append(end)
            return y

        y = self._shown(self._through(params, x, run))
        return tuple(after), y

    def __call__(
        self, method: Method, params: StackParams, sequence: Sequence, outputs: Outputs
    ) -> tuple[tuple[Carry, ...], Any]:
        """Layer by layer; the last one's outputs are what is asked for, where nothing is added to them."""
        plain = not (self.residual or self.skip)
        if isinstance(outputs, Last) and not (plain or self.causal):
            raise fail("outputs", "'all' or a Readout where `residual` or `skip` lie over both directions", "'last'")
        evaluate, between = (_inside, Between()) if self.causal else (run_whole, All())
        ends: list[Carry] = []

        def run(i: int, cell: Cell, u: Array) -> Any:
            top = plain and i == len(self.cells) - 1
            layer = replace(sequence, xs=u, carry=sequence.carry[i], initial=sequence.initial[i])
            wanted = outputs if top else between
            layer = layer if top else replace(layer, targets=())
            end, part = evaluate(method_for(cell, method), cell, params.layers[i], layer, wanted)
            ends.append(end)
            return part

        guard = partial(apart_from_nan, replace(sequence, reset=None) if self.causal else sequence)
        shown = self._through(params, sequence.xs, run, guard)
        return tuple(ends), shown[-1] if plain else outputs.of(sequence, self._shown(shown))

    def _through(
        self,
        params: StackParams,
        x: Array,
        run: Callable[[int, Cell, Array], Any],
        guard: Callable[..., Array] = lambda function, *values: function(*values),
    ) -> list[Any]:
        """v_1, ..., v_n: `run` gives the outputs of the layer i for its inputs, `guard` applies what lies between."""
        count = len(self.cells)
        if len(params.layers) != count or len(params.norms) != (count - 1 if self.norm else 0):
            expected = f"the weights of {count} layers" + f" and {count - 1} norms" * (self.norm is not None)
            raise fail("params", expected, f"{len(params.layers)} layers and {len(params.norms)} norms")
        x, noise = parted(x) if self.noisy else (x, None)
        shown: list[Any] = []
        for i, cell in enumerate(self.cells):
            u = x if i == 0 else self._read(i, params, shown[-1], x, noise, guard)
            if noise is not None and cell.training is not None:
                cell, u = cell.training, joined(u, noise.salted(i + 1))
            h = run(i, cell, u)
            shown.append(_sum(h, shown[-1]) if i and self.residual else h)
        return shown

    def _read(
        self, i: int, params: StackParams, below: Array, x: Array, noise: Noise | None, guard: Callable[..., Array]
    ) -> Array:
        """u_i from what the layer below shows."""
        if self.norm is not None:
            below = guard(partial(self.norm.apply, params.norms[i - 1]), below)
        if noise is not None and self.dropout:
            below = dropped(noise.step, self.dropout, below, i)
        return jnp.concatenate([below, x.astype(below.dtype)], axis=-1) if self.skip else below

    def _shown(self, shown: list[Array]) -> Array:
        return jnp.concatenate(shown, axis=-1) if self.skip else shown[-1]


def _sum(h: Array, below: Array) -> Array:
    if h.shape != below.shape:
        raise fail("params", "such that `residual` adds outputs of one width", f"{below.shape[-1]} below {h.shape[-1]}")
    return h + below


def _inside(method: Method, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
    """A layer of a network of which a method runs a piece: what must not be read has been kept away."""
    return method(cell, params, sequence, outputs)


def stack(
    *cells: Cell,
    layers: int | None = None,
    residual: bool = False,
    skip: bool = False,
    norm: Norm | None = None,
    dropout: float = 0.0,
) -> Cell:
    """A network of several layers, which is itself a cell: everything that takes one takes it.

    `Segmented` and what is built on it run it layer by layer; `Autodiff` and `cell.step` step by step. Its carry is a
    tuple of the layers' carries, its weights are `StackParams`.

    Args:
        cells: from the input's side; networks, too.
        layers: how often they are repeated, as in `gr.stack(gr.lstm, layers=2)`.
        residual: each layer from the second on adds its inputs from below to its outputs.
        skip: each layer from the second on reads the network's inputs, too, and all layers' outputs are shown, side by
            side.
        norm: `gr.networks.layer_norm` or `rms_norm`, of what a layer reads from the one below.
        dropout: the rate at which what a layer reads from the one below is dropped, anew at every step, where `unroll`
            is given a key.

    Raises:
        ValueError: there is no cell, or an option is of another kind.

    Example:
        >>> import jax, gatedrnn as gr
        >>> deep = gr.stack(gr.lstm, layers=2)
        >>> params = deep.init(jax.random.key(0), 3, 8)
        >>> carry, ys = gr.unroll(deep, params, jax.numpy.ones((100, 4, 3)))
        >>> ys.shape, carry[1].c.shape
        ((100, 4, 8), (4, 8))

    References:
        Graves, "Generating sequences with recurrent neural networks", 2013, https://arxiv.org/abs/1308.0850 (`skip`);
        Wu et al., "Google's neural machine translation system", 2016, https://arxiv.org/abs/1609.08144 (`residual`);
        Zaremba, Sutskever, Vinyals, "Recurrent neural network regularization", 2014, https://arxiv.org/abs/1409.2329
        (`dropout`).
    """
    cells = tuple(check_layer("cells", cell) for cell in cells)
    if not cells:
        raise fail("cells", "at least one gatedrnn.Cell", "none")
    cells *= 1 if layers is None else check_size("layers", layers)
    if norm is not None and not isinstance(norm, Norm):
        raise fail("norm", f"one of gatedrnn.networks.{', '.join(NORMS)}", shown(norm))
    rate = check_rate("dropout", dropout)
    run = Layers(cells, check_flag("residual", residual), check_flag("skip", skip), norm, rate)
    options = {"residual": run.residual, "skip": run.skip, "norm": norm and norm.name, "dropout": rate}
    words = [*(cell.name for cell in cells), *(f"{name}={value}" for name, value in options.items() if value)]
    horizons = {cell.horizon_option for cell in cells}
    noisy = (rate > 0 and len(cells) > 1) or any(cell.training is not None for cell in cells)
    return as_cell(run, f"stack({', '.join(words)})", horizons.pop() if len(horizons) == 1 else "", noisy)
