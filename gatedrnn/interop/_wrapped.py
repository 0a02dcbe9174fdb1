"""Other frameworks' recurrent cells, a stranger's own included, run as they are: their step is the cell's `step`.

Of a module's arrays those of floating numbers become `params`; all else stays with the step, compared by its bytes, so
that a module that is wrapped twice gives equal cells.
"""

from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_size, fail
from gatedrnn._forms import Carry


class Foreign(Protocol):
    """A framework's way to run a cell; hashable. `held` is what the framework keeps weights in."""

    def step(self, held: Any, carry: Carry, x: Array) -> tuple[Carry, Array]:
        """The carry after a step, and what it shows."""

    def first(self, held: Any, batch: tuple[int, ...]) -> Carry:
        """The first carry, of arrays that begin with `batch`."""


@dataclass(frozen=True)
class Fixed:
    """A tree that is compared by the values of its leaves, arrays included."""

    tree: Any = field(compare=False)
    values: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        leaves, structure = jax.tree.flatten(self.tree)
        object.__setattr__(self, "values", (structure, tuple(map(_value, leaves))))


@dataclass(frozen=True)
class Step:
    """`Cell.step` of a foreign cell."""

    foreign: Foreign
    rest: Fixed

    def __call__(self, params: Any, carry: Carry, x: Array) -> tuple[Carry, Array]:
        return self.foreign.step(joined(params, self.rest.tree), carry, x)


@dataclass(frozen=True)
class First:
    """`Cell.initial_carry` of a foreign cell."""

    foreign: Foreign
    rest: Fixed

    def __call__(self, params: Any, batch_size: int | None = None) -> Carry:
        carry = self.foreign.first(joined(params, self.rest.tree), () if batch_size is None else (batch_size,))
        # Frameworks make it in the format that the module was made in, also where the weights have been made float64.
        wide = any(a.dtype == jnp.float64 for a in jax.tree.leaves(params))
        return jax.tree.map(lambda a: a.astype(jnp.float64) if wide and _floating(a) else a, carry)


def wrapped(name: str, foreign: Foreign, held: Any) -> tuple[Cell, Any]:
    """The cell and its weights, as `unroll` takes them.

    Raises:
        ValueError: there are no floating numbers in `held`.
    """
    params = jax.tree.map(lambda a: jnp.asarray(a) if _floating(a) else None, held)
    if not jax.tree.leaves(params):
        raise fail("module", "one with weights, arrays of a floating dtype", name)
    rest = Fixed(jax.tree.map(lambda a: None if _floating(a) else a, held))
    return Cell.from_step(name, Step(foreign, rest), init=_init, initial_carry=First(foreign, rest)), params


def joined(params: Any, rest: Any) -> Any:
    """One tree of two that have None where the other has a leaf."""
    return jax.tree.map(lambda a, b: b if a is None else a, params, rest, is_leaf=lambda a: a is None)


def width(input_size: Any) -> int:
    """D, checked."""
    return check_size("input_size", input_size, most=LARGEST)


def _init(key: Any, input_size: int, hidden_size: int, **options: Any) -> NoReturn:
    raise ValueError("The weights of a wrapped module are its own: draw others in its framework, and wrap them.")


def _floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def _value(leaf: Any) -> Any:
    if not hasattr(leaf, "dtype"):
        return leaf
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return str(leaf.dtype), leaf.shape, np.asarray(data).tobytes()
