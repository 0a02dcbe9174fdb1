"""A guard for derivative rules that exist in reverse mode alone: other derivatives meet an error that names the cure.

`reverse_only(tree)` is the identity. Its tangent map is linear and can be transposed, which is all that first-order
reverse mode asks of it; evaluating the tangent (forward mode) is an error. `once(tree)` is the identity inside a
forward rule, where a second differentiation would arrive.
"""

from typing import Any, NoReturn

import jax
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

MESSAGE = (
    "`Segmented` supports first-order reverse mode only; for forward mode (jvp, jacfwd, linearize) or second "
    "derivatives pass `method=Autodiff()` to unroll."
)


def _fail(*_: Any, **__: Any) -> NoReturn:
    raise TypeError(MESSAGE)


_tangent = Primitive("reverse_only_tangent")
_tangent.def_impl(_fail)
_tangent.def_abstract_eval(lambda aval: aval)
mlir.register_lowering(_tangent, _fail)
batching.primitive_batchers[_tangent] = _fail  # jacfwd maps the tangent map over a basis
ad.deflinear2(_tangent, lambda cotangent, _: [cotangent])

_guard = Primitive("reverse_only")
_guard.def_impl(lambda x: x)
_guard.def_abstract_eval(lambda aval: aval)
mlir.register_lowering(_guard, mlir.lower_fun(lambda x: x, multiple_results=False))
batching.defvectorized(_guard)
ad.primitive_jvps[_guard] = lambda primals, tangents: (_guard.bind(*primals), _push(*tangents))


def _push(tangent: Any) -> Any:
    return tangent if isinstance(tangent, ad.Zero) else _tangent.bind(tangent)


def reverse_only(tree: Any) -> Any:
    """The identity on a pytree of arrays, differentiable in reverse mode alone."""
    return jax.tree.map(_guard.bind, tree)


@jax.custom_jvp
def _once(x: Array) -> Array:
    return x


_once.defjvp(_fail)


def once(tree: Any) -> Any:
    """The identity on a pytree of arrays; differentiating it is the TypeError that names `Autodiff`."""
    return jax.tree.map(_once, tree)
