"""The state of a training, wherever a step keeps it: in what it is given and returns, or in modules that it changes."""

import operator
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import fail


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


def parts(results: Any, held: Held) -> Iterator[tuple[int | None, Any]]:
    """What of the results is the state: the number of a part, None for all of it, and what it was before the step.

    A part is the state where its structure, shapes and dtypes are those of an argument; the first such one.
    """
    free = list(held.values())
    whole = _taken(results, free)
    if whole is not None:
        yield None, whole
    elif type(results) is tuple:
        for i, part in enumerate(results):
            before = _taken(part, free)
            if before is not None:
                yield i, before


def restored(results: Any, held: Held, arguments: tuple[Any, ...]) -> Any:
    """The results with the state as it was before the step; modules that the step changed are put back.

    Raises:
        ValueError: no state is found.
    """
    back = list(parts(results, held))
    modules = changed(held, arguments)
    if not back and not modules:
        raise fail("guard", "'stop' for a step that returns no state like one of its arguments", "'skip'")
    before = held.values()
    for i, module in modules.items():
        _put_back(module, before[i])
    if back and back[0][0] is None:
        return back[0][1]
    found = dict(back)
    return tuple(found.get(i, part) for i, part in enumerate(results)) if found else results


def _put_back(module: Any, before: Any) -> None:
    nnx: Any = sys.modules.get("flax.nnx")
    if nnx is None or not isinstance(module, nnx.Pytree):
        raise fail(
            "guard", "'stop' for arguments that a step changes, other than flax's modules", type(module).__name__
        )
    nnx.update(module, nnx.state(before))


def _taken(part: Any, free: list[Any]) -> Any:
    """The first of some values that is built like a part, taken out of them; None for none."""
    for i, value in enumerate(free):
        if jax.tree.leaves(part) and _built(part) == _built(value):
            return free.pop(i)
    return None


def _built(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(a), jnp.result_type(a)) for a in leaves]
