"""A guard for derivative rules that exist in reverse mode alone: other derivatives meet an error that names the cure.

`reverse_only(tree)` is the identity. Its tangent map is linear and can be transposed, which is all that first-order
reverse mode asks of it; evaluating the tangent (forward mode) is an error. `once(tree)` is the identity inside a
forward rule, where a second differentiation would arrive.
"""

from typing import Any, NoReturn

import jax
from jax import Array

from gatedrnn._jax import Unsupported, reverse_identity

MESSAGE = (
    "`Segmented` supports first-order reverse mode only; for forward mode (jvp, jacfwd, linearize) or second "
    "derivatives pass `method=Autodiff()` to unroll."
)


def _fail(*_: Any, **__: Any) -> NoReturn:
    raise Unsupported(MESSAGE)


_identity = reverse_identity(_fail)


def reverse_only(tree: Any) -> Any:
    """The identity on a pytree of arrays, differentiable in reverse mode alone."""
    return jax.tree.map(_identity, tree)


@jax.custom_jvp
def _once(x: Array) -> Array:
    return x


_once.defjvp(_fail)


def once(tree: Any) -> Any:
    """The identity on a pytree of arrays; differentiating it is the TypeError that names `Autodiff`."""
    return jax.tree.map(_once, tree)
