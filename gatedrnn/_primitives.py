"""Two primitives of JAX: a linear function with a transpose of its own, and a function differentiated as another one.

Both run, are lowered, mapped and differentiated any number of times; JAX's own decorators for the purpose each lack one
of these.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from gatedrnn._jax import Primitive, SymbolicZero, ad, batching, mlir


def linear_call(
    value: Callable[..., Any], transposed: Callable[..., Any], like: Any, residuals: Any, tangents: Any
) -> Any:
    """`value(residuals, tangents)`, a linear function of the tangents whose transpose is given.

    As `jax.custom_derivatives.linear_call`, which cannot be mapped by `jax.vmap`.

    Args:
        value: `(residuals, tangents) -> results`, linear in the tangents.
        transposed: `(residuals, cotangents of the results) -> cotangents of the tangents`.
        like: pytree of arrays whose tangents the results are.
        residuals: pytree of arrays.
        tangents: pytree of arrays, and of symbolic zeros.

    Returns:
        As `like`.
    """
    held, fixed = jax.tree.flatten(residuals)
    changes, free = jax.tree.flatten(tangents)
    leaves, shown = jax.tree.flatten(like)
    count = len(held)
    still = [change.aval if isinstance(change, SymbolicZero) else None for change in changes]  # None: it moves

    def forward(*arrays: Any) -> list[Any]:
        moved = iter(arrays[count:])
        full = [next(moved) if aval is None else ad.instantiate_zeros(ad.Zero(aval)) for aval in still]
        given = jax.tree.unflatten(fixed, arrays[:count]), jax.tree.unflatten(free, full)
        return jax.tree.leaves(value(*given))

    def back(*arrays: Any) -> list[Any]:
        given = jax.tree.unflatten(fixed, arrays[:count]), jax.tree.unflatten(shown, arrays[count:])
        return [a for a, aval in zip(jax.tree.leaves(transposed(*given)), still, strict=True) if aval is None]

    types = tuple(jax.typeof(leaf).to_tangent_aval() for leaf in leaves)
    moved = [change for change, aval in zip(changes, still, strict=True) if aval is None]
    found = _linear.bind(*held, *moved, forward=forward, back=back, count=count, types=types)
    return jax.tree.unflatten(shown, found)


def _primitive(name: str, runs: str) -> Any:
    """One that runs the function which is its parameter `runs`, and has results of the types `types`."""
    made = Primitive(name)
    made.multiple_results = True
    made.def_impl(lambda *arrays, **how: how[runs](*arrays))
    made.def_abstract_eval(lambda *_, types, **__: list(types))
    mlir.register_lowering(made, mlir.lower_fun(made.impl, multiple_results=True))
    return made


def _size(arrays: Sequence[Any], axes: Sequence[Any]) -> int:
    """Of the mapped axis."""
    (size,) = {a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None}
    return size


_linear = _primitive("linear_with_transpose", "forward")


def _linear_pushed(primals: Sequence[Any], tangents: Sequence[Any], **how: Any) -> tuple[Any, Any]:
    """Where the residuals move too, it is a function as any other."""
    count = how["count"]
    full = tuple(map(ad.instantiate_zeros, tangents))
    if all(isinstance(tangent, ad.Zero) for tangent in tangents[:count]):
        return _linear.bind(*primals, **how), _linear.bind(*primals[:count], *full[count:], **how)
    return jax.jvp(how["forward"], tuple(primals), full)


def _linear_pulled(cotangents: Sequence[Any], *arrays: Any, back: Any, count: int, **_: Any) -> list[Any]:
    found = back(*arrays[:count], *map(ad.instantiate_zeros, cotangents))
    asked = [ad.is_undefined_primal(a) for a in arrays[count:]]
    return [None] * count + [ct if wanted else None for ct, wanted in zip(found, asked, strict=True)]


def _linear_mapped(arrays: Sequence[Any], axes: Sequence[Any], forward: Any, back: Any, count: int, types: Any) -> Any:
    size = _size(arrays, axes)
    moved = [batching.bdim_at_front(a, axis, size) for a, axis in zip(arrays[count:], axes[count:], strict=True)]
    held = list(axes[:count])
    mapped = {
        "forward": jax.vmap(forward, (*held, *[0] * len(moved))),
        "back": jax.vmap(back, (*held, *[0] * len(types))),
    }
    given = (*arrays[:count], *moved)
    wide = tuple(jax.make_jaxpr(mapped["forward"])(*given).out_avals)
    return _linear.bind(*given, **mapped, count=count, types=wide), [0] * len(types)


ad.primitive_jvps[_linear] = _linear_pushed
ad.primitive_transposes[_linear] = _linear_pulled
batching.primitive_batchers[_linear] = _linear_mapped


def alike(value: Callable[..., Any], plain: Callable[..., Any], *arguments: Any) -> Any:
    """`value(*arguments)`, differentiated as `plain(*arguments)`, which has the same results.

    As `jax.custom_jvp`, whose rule is lost where JAX linearises: a derivative of a gradient would not find it.
    """
    leaves, structure = jax.tree.flatten(arguments)

    def flat(function: Callable[..., Any]) -> Callable[..., list[Any]]:
        return lambda *arrays: jax.tree.leaves(function(*jax.tree.unflatten(structure, arrays)))

    closed, shapes = jax.make_jaxpr(value, return_shape=True)(*arguments)
    found = _alike.bind(*leaves, value=flat(value), plain=flat(plain), types=tuple(closed.out_avals))
    return jax.tree.unflatten(jax.tree.structure(shapes), found)


_alike = _primitive("differentiated_as", "value")


def _alike_pushed(primals: Sequence[Any], tangents: Sequence[Any], **how: Any) -> tuple[Any, Any]:
    _, moved = jax.jvp(how["plain"], tuple(primals), tuple(map(ad.instantiate_zeros, tangents)))
    return _alike.bind(*primals, **how), moved


def _alike_mapped(arrays: Sequence[Any], axes: Sequence[Any], value: Any, plain: Any, types: Any) -> Any:
    size = _size(arrays, axes)
    arrays = [a if i is None else batching.bdim_at_front(a, i, size) for a, i in zip(arrays, axes, strict=True)]
    value, plain = (jax.vmap(f, tuple(None if i is None else 0 for i in axes)) for f in (value, plain))
    wide = tuple(jax.make_jaxpr(value)(*arrays).out_avals)
    return _alike.bind(*arrays, value=value, plain=plain, types=wide), [0] * len(types)


ad.primitive_jvps[_alike] = _alike_pushed
batching.primitive_batchers[_alike] = _alike_mapped
