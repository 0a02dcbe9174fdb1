"""What a training step is given, as `jax.jit` takes it: arrays are traced; functions and the like stay beside."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


@dataclass(frozen=True, eq=False)
class _Fixed:
    """A leaf that is no array, hashable: equal to the same object, and where it has a hash of its own, as it says."""

    value: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Fixed) or hash(self) != hash(other):  # arrays of words refuse to be compared
            return False
        return self.value is other.value or bool(self.value == other.value)

    def __hash__(self) -> int:
        try:
            return hash(self.value)
        except TypeError:
            return id(self.value)


@dataclass(frozen=True)
class Beside:
    """All of a call but its arrays; hashable, and equal for calls that are one program.

    Attributes:
        structure: of the arguments.
        fixed: every leaf that is no array, in its place; None for arrays.
        names: of the last arguments, which are given by name.
    """

    structure: Any
    fixed: tuple[_Fixed | None, ...]
    names: tuple[str, ...]

    def call(self, function: Callable[..., Any], arrays: list[Any]) -> Any:
        """The function of the call's arguments."""
        each = iter(arrays)
        leaves = [next(each) if leaf is None else leaf.value for leaf in self.fixed]
        return called(function, jax.tree.unflatten(self.structure, leaves), self.names)


def called(function: Callable[..., Any], arguments: tuple[Any, ...], names: tuple[str, ...]) -> Any:
    """The function of arguments of which the last have names."""
    count = len(arguments) - len(names)
    return function(*arguments[:count], **dict(zip(names, arguments[count:], strict=True)))


def parted(arguments: tuple[Any, ...], names: tuple[str, ...]) -> tuple[list[Any], Beside]:
    """The arrays of a call, numbers among them, and what stands beside."""
    leaves, structure = jax.tree.flatten(arguments)
    fixed = tuple(None if traceable(leaf) else _Fixed(leaf) for leaf in leaves)
    return [leaf for leaf in leaves if traceable(leaf)], Beside(structure, fixed, names)


def traceable(leaf: Any) -> bool:
    """Whether JAX takes it for an array: not words, dates, records, or a whole number that its own do not hold."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.kind not in "OSUMm" and leaf.dtype.fields is None
    if isinstance(leaf, int):
        return abs(leaf) <= jnp.iinfo(jnp.result_type(int)).max
    return isinstance(leaf, Array | float | complex)
