"""The state of a training, wherever a step keeps it: in what it is given and returns, or in modules that it changes."""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import fail


class Held(NamedTuple):
    """A step's arguments before it is run.

    Attributes:
        values: the arguments, in objects of their own; copies of their arrays, where the step might donate those.
        leaves: of each argument the very arrays that were in it.
    """

    values: tuple[Any, ...]
    leaves: list[list[Any]]


def hold(arguments: tuple[Any, ...], copies: bool) -> Held:
    """Takes them down; a tree is rebuilt, so that a module which the step changes is not changed here."""
    keep = lambda a: jnp.copy(a) if copies and isinstance(a, Array) else a
    return Held(jax.tree.map(keep, arguments), [jax.tree.leaves(argument) for argument in arguments])


def donated(held: Held) -> bool:
    """Whether the step deleted any of its arguments' arrays."""
    return any(isinstance(a, Array) and a.is_deleted() for leaves in held.leaves for a in leaves)


def changed(held: Held, arguments: tuple[Any, ...]) -> dict[int, Any]:
    """The arguments, by number, in which other arrays stand than before: modules of flax nnx, and their optimisers."""
    return {
        i: argument
        for i, (argument, before) in enumerate(zip(arguments, held.leaves, strict=True))
        if list(map(id, jax.tree.leaves(argument))) != list(map(id, before))
    }


def broken(tree: dict[str, Any]) -> list[str]:
    """The places of floating arrays that hold a number which is not finite, such as `results[0].recurrent['w']`."""
    pairs = [(path, a) for path, a in jax.tree.leaves_with_path(tree) if _floating(a)]
    if not pairs:
        return []
    bad = jax.device_get(_not_finite([a for _, a in pairs]))
    return [
        f"{path[0].key}{jax.tree_util.keystr(path[1:])}" for (path, _), flag in zip(pairs, bad, strict=True) if flag
    ]


def _floating(a: Any) -> bool:
    return isinstance(a, float) or (hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.inexact))


@jax.jit
def _not_finite(arrays: list[Any]) -> Array:
    return jnp.stack([~jnp.isfinite(a).all() for a in arrays])


def parts(results: Any, held: Held) -> Iterator[tuple[int | None, Any]]:
    """What of the results is the state: the number of a part, None for all of it, and what it was before the step.

    A part is the state where its structure, shapes and dtypes are those of an argument; the first such one.
    """
    free = list(held.values)
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
    for i, module in modules.items():
        _put_back(module, held.values[i])
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
