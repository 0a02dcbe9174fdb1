"""What every converter shares: a cell's weights as cuDNN, torch and ONNX group them, and the refusals.

gates_x = x W + b_x        gates_h = h U + b_h        G blocks of H columns each, in the order of `cell.gates`

Where a gate is a function of gates_x + gates_h, the two biases are one number; the GRU's candidate keeps both.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Params
from gatedrnn.cells import gru

Kind = TypeVar("Kind")


SAME: dict[str, tuple[Any, ...]] = {
    "tanh": (jnp.tanh, lax.tanh, np.tanh),
    "sigmoid": (jax.nn.sigmoid, lax.logistic, jax.scipy.special.expit),
}
"""Functions of one name that are one function."""


class Blocks(NamedTuple):
    """One cell's weights with a bias on either side.

    Attributes:
        w: input weights, [D, G * H].
        u: recurrent weights, [H, G * H].
        b_x: bias of the input's half, [G * H].
        b_h: bias of the state's half, [G * H].
    """

    w: Array
    u: Array
    b_x: Array
    b_h: Array


def join(cell: Cell, w: Array, u: Array, b_x: Array | None = None, b_h: Array | None = None) -> Params:
    """The weights of `cell` from blocks as in `Blocks`; the two biases are summed but for the GRU's candidate.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        w: [D, G * H].
        u: [H, G * H].
        b_x: [G * H]; zero when None.
        b_h: [G * H]; zero when None.

    Raises:
        ValueError: the shapes are not those of one cell.
    """
    zero = jnp.zeros(u.shape[-1], u.dtype)
    blocks = Blocks(w, u, zero if b_x is None else b_x, zero if b_h is None else b_h)
    _check_shapes(cell, blocks)
    if cell != gru.cell:
        return Params({"w": w, "b": blocks.b_x + blocks.b_h}, {"w": u})
    summed = 2 * u.shape[0]  # reset and update
    b = blocks.b_x.at[:summed].add(blocks.b_h[:summed])
    return Params({"w": w, "b": b}, {"w": u, "b": blocks.b_h[summed:]})


def part(cell: Cell, params: Params) -> Blocks:
    """The inverse of `join`: the whole bias stands in `b_x`, and `b_h` is zero but for the GRU's candidate.

    Raises:
        ValueError: `params` are not the weights of `cell`.
    """
    layout = Params({"w": "*", "b": "*"}, {"w": "*", "b": "*"} if cell == gru.cell else {"w": "*"})
    structure: Any = jax.tree.structure(params)
    if structure != jax.tree.structure(layout):
        raise fail("params", f"the weights of gatedrnn.{cell.name}, laid out as {layout}", structure)
    w, u, b_x = (jnp.asarray(a) for a in (params.input["w"], params.recurrent["w"], params.input["b"]))
    b_h = jnp.zeros(u.shape[-1], u.dtype)
    if cell == gru.cell:
        b_h = jnp.concatenate([b_h[: 2 * u.shape[0]], params.recurrent["b"]])
    blocks = Blocks(w, u, b_x, b_h)
    _check_shapes(cell, blocks)
    return blocks


def _check_shapes(cell: Cell, blocks: Blocks) -> None:
    hidden = blocks.u.shape[0]
    wide = len(cell.gates) * hidden
    wanted = [(blocks.w.shape[0], wide), (hidden, wide), (wide,), (wide,)]
    shapes = [a.shape for a in blocks]
    if shapes != wanted:
        raise fail("weights", f"of the shapes {wanted} (W, U, b_x, b_h) to make gatedrnn.{cell.name}", shapes)


def reorder(blocks: Array, order: tuple[int, ...]) -> Array:
    """[..., G * H] with block k of the result block `order[k]` of the argument."""
    parts = jnp.split(blocks, len(order), axis=-1)
    return jnp.concatenate([parts[k] for k in order], axis=-1)


def array(value: Any) -> Array:
    """A copy, in the dtype it has: the framework may change its own weights in place.

    Raises:
        ValueError: JAX would narrow the dtype.
    """
    copy = jnp.array(value)
    if copy.dtype != value.dtype:
        raise fail("weights", f"{copy.dtype}, or jax_enable_x64 set", value.dtype)
    return copy


def cell_of(argument: str, module: Any, cells: Mapping[type, Cell]) -> Cell:
    """The cell that computes what a module of exactly this type computes; a subclass may compute anything.

    Raises:
        ValueError: its type is not in `cells`.
    """
    if type(module) not in cells:
        raise fail(argument, f"one of {', '.join(kind.__name__ for kind in cells)}", type(module).__name__)
    return cells[type(module)]


def kind_of(cell: Cell, kinds: Mapping[Cell, Kind]) -> Kind:
    """What stands for `cell` in another framework.

    Raises:
        ValueError: nothing does.
    """
    if cell not in kinds:
        named = ", ".join(f"gatedrnn.{known.name}" for known in kinds)
        raise fail("cell", f"one of {named}, which have a counterpart", repr(getattr(cell, "name", cell)))
    return kinds[cell]


def check_options(module: Any, cell: Cell, **wanted: Any) -> None:
    """Checks that the attributes of `module` have the values with which it computes what `cell` computes.

    Raises:
        ValueError: one has another value; the message names it.
    """
    for option, want in wanted.items():
        got = getattr(module, option)
        same = SAME.get(getattr(want, "__name__", ""), ())
        if got != want and not any(got is alias for alias in same):
            shown = _shown(got)
            if shown == _shown(want):  # another of the same name
                shown = f"{getattr(got, '__module__', type(got).__module__)}.{shown}"
            raise fail(option, f"{_shown(want)} to make gatedrnn.{cell.name}", shown)


def _shown(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)
