"""The state of a training, wherever a step keeps it: in what it is given and returns, or in modules that it changes."""

import operator
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import fail
from gatedrnn.flow._given import traceable


class Held(NamedTuple):
    """A step's arguments before it is run, each flattened once.

    Attributes:
        leaves: of each argument the very arrays that were in it.
        kept: the same; copies, where the step might donate them.
        structures: what each argument was built like.
        spared: whether the step leaves each leaf alive; None where no array of JAX was seen there.
    """

    leaves: list[list[Any]]
    kept: list[list[Any]]
    structures: list[Any]
    spared: list[list[bool | None]]

    def values(self) -> tuple[Any, ...]:
        """The arguments as they were, in objects of their own: a module that the step changed is not changed here."""
        return tuple(map(jax.tree.unflatten, self.structures, self.kept))


def hold(arguments: tuple[Any, ...], spared: list[list[bool | None]]) -> Held:
    """Takes them down, with copies of all arrays but those in places where every step so far has spared them."""
    leaves, structures = [], []
    for argument in arguments:
        found, structure = jax.tree.flatten(argument)
        leaves.append(found)
        structures.append(structure)
    if list(map(len, leaves)) != list(map(len, spared)):
        spared = [[None] * len(found) for found in leaves]
    return Held(leaves, list(map(_kept, leaves, spared)), structures, spared)


def _kept(leaves: list[Any], spared: list[bool | None]) -> list[Any]:
    at_risk = [isinstance(a, Array) and not safe for a, safe in zip(leaves, spared, strict=True)]
    if not any(at_risk):
        return leaves
    copies = iter(_copied([a for a, risk in zip(leaves, at_risk, strict=True) if risk]))
    return [next(copies) if risk else a for a, risk in zip(leaves, at_risk, strict=True)]


@jax.jit
def _copied(arrays: list[Array]) -> list[Array]:
    return list(map(jnp.copy, arrays))


def spared(held: Held) -> list[list[bool | None]]:
    """Which of its arguments' arrays the step has left alive: what was donated once may be so again."""
    return [
        [
            known if known is False or not isinstance(a, Array) else not a.is_deleted()
            for a, known in zip(*both, strict=True)
        ]
        for both in zip(held.leaves, held.spared, strict=True)
    ]


def changed(held: Held, arguments: tuple[Any, ...]) -> dict[int, Any]:
    """The arguments, by number, in which other arrays stand than before: modules of flax nnx, and their optimisers."""
    return {
        i: argument
        for i, (argument, before) in enumerate(zip(arguments, held.leaves, strict=True))
        if not _same(jax.tree.leaves(argument), before)
    }


def _same(leaves: list[Any], before: list[Any]) -> bool:
    return len(leaves) == len(before) and all(map(operator.is_, leaves, before))


def broken(tree: dict[str, Any]) -> list[str]:
    """The places of floating numbers that are not finite, such as `results[0].recurrent['w']`.

    The look is one program over all arrays, queued behind the step that is still computing them, and one byte of each
    is waited for. What comes after that wait keeps the next step from beginning: names are made where one is needed.
    """
    leaves = jax.tree.leaves(tree)
    numbers = [isinstance(a, Array) or _finite_number(a) for a in leaves]
    arrays = _read([a for a in leaves if isinstance(a, Array)])
    if all(arrays) and all(numbers):
        return []
    flags = iter(arrays)
    sound = [fine and (not isinstance(a, Array) or next(flags)) for a, fine in zip(leaves, numbers, strict=True)]
    paths = [path for path, _ in jax.tree.leaves_with_path(tree)]
    return [
        f"{path[0].key}{jax.tree_util.keystr(path[1:])}" for path, fine in zip(paths, sound, strict=True) if not fine
    ]


def _read(arrays: list[Array]) -> bytes:
    """`_finite` on the host: also under a guard of transfers, as by `jax.device_get`, but in half its time."""
    if not arrays:
        return b""
    with jax.transfer_guard_device_to_host("allow"):
        return np.asarray(_finite(arrays)).tobytes()


@jax.jit
def _finite(arrays: list[Array]) -> Array:
    """Of each array 1, or 0 where a number in it is not finite.

    Exact, as a sum is not, which may overflow; of bytes, since a processor compares many of them at a time.
    """
    lowest = lambda a: jnp.isfinite(a).astype(jnp.int8).min(initial=1)
    return jnp.stack([lowest(a) if jnp.issubdtype(a.dtype, jnp.inexact) else jnp.int8(1) for a in arrays])


def _finite_number(a: Any) -> bool:
    """Of what is no array of JAX: in its own precision, in which 1e300 is finite."""
    if isinstance(a, np.ndarray | np.generic) and not jnp.issubdtype(a.dtype, jnp.inexact):
        return True
    return not isinstance(a, np.ndarray | np.generic | float | complex) or bool(np.isfinite(a).all())


Ways = dict[int | None, int]
"""The number of the argument that a piece of the results is the new value of; None for all of the results."""


def pieces(results: Any) -> tuple[list[Any], Any]:
    """What results are made of, one level down, and how; a bare array is one piece."""
    return jax.tree.flatten(results, is_leaf=lambda node: node is not results)


def built_alike(results: Any, held: Held) -> Ways:
    """The state by structure, shapes and dtypes: all of the results, or each piece, the first such argument."""
    free = dict(enumerate(map(_built, held.values())))

    def place_of(part: Any) -> int | None:
        built = _built(part)
        place = next((i for i, other in free.items() if other == built), None) if jax.tree.leaves(part) else None
        if place is not None:
            del free[place]
        return place

    return _ways(results, place_of)


def handed_back(results: Any, held: Held) -> Ways:
    """The state by its very arrays: which of the last results the step is given now, as what argument."""

    def place_of(part: Any) -> int | None:
        leaves = jax.tree.leaves(part)
        met = lambda given: any(a is b and isinstance(a, Array) for a, b in zip(leaves, given, strict=True))
        found = (i for i, given in enumerate(held.leaves) if len(given) == len(leaves) and met(given))
        return next((i for i in found if _built(held.values()[i]) == _built(part)), None)

    return _ways(results, place_of)


def _ways(results: Any, place_of: Callable[[Any], int | None]) -> Ways:
    whole = place_of(results)
    if whole is not None:
        return {None: whole}
    found = ((i, place_of(part)) for i, part in enumerate(pieces(results)[0]))
    return {i: place for i, place in found if place is not None}


def before(results: Any, held: Held, ways: Ways) -> Any:
    """Built like the results, with the state as it was before the step, and None for all else."""
    values = held.values()
    if None in ways:
        return values[ways[None]]
    parts, structure = pieces(results)
    return jax.tree.unflatten(structure, [values[ways[i]] if i in ways else None for i in range(len(parts))])


def check_restorable(held: Held, arguments: tuple[Any, ...], ways: Ways) -> None:
    """Raises ValueError where no state is found, or something is changed that cannot be put back."""
    modules = changed(held, arguments)
    if not ways and not modules:
        raise fail("guard", "'stop' for a step that returns no state like one of its arguments", "'skip'")
    for module in modules.values():
        if not _is_module(module):
            kinds = "'stop' for arguments that a step changes, other than flax's modules"
            raise fail("guard", kinds, type(module).__name__)


def restored(results: Any, held: Held, arguments: tuple[Any, ...], ways: Ways) -> Any:
    """The results with the state as it was before the step; modules that the step changed are put back."""
    check_restorable(held, arguments, ways)
    values = held.values()
    for i, module in changed(held, arguments).items():
        sys.modules["flax.nnx"].update(module, sys.modules["flax.nnx"].state(values[i]))
    if None in ways:
        return values[ways[None]]
    parts, structure = pieces(results)
    return jax.tree.unflatten(structure, [values[ways[i]] if i in ways else part for i, part in enumerate(parts)])


def _is_module(value: Any) -> bool:
    nnx: Any = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(value, nnx.Pytree)


def _built(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(a), jnp.result_type(a)) if traceable(a) else type(a) for a in leaves]
