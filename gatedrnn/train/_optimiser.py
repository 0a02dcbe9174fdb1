"""How weights are changed: an optax rule behind a clip, or any optax transformation, in float32 or wider.

params + updates        of weights narrower than float32 the optimiser keeps a copy in float32: their sum is rounded,
                        the copy is not, so that many updates too small for 16 bits add up
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gatedrnn._check import check_number, fail
from gatedrnn.linear import accumulation_dtype

Loss = Callable[[Any], Array]


@dataclass(frozen=True)
class Optimiser:
    """An optax rule behind clipping by the global norm; equal values are one optimiser to the compiler.

    Attributes:
        rule: an optax function of the learning rate, such as `optax.adam` or `optax.rmsprop`.
        learning_rate: a number, or an optax schedule.
        clip: the largest norm of a gradient; None for no clipping.

    Raises:
        ValueError: a number is not positive and finite, or `rule` cannot be called.
    """

    rule: Callable[..., optax.GradientTransformation] = optax.adam
    learning_rate: float | Callable[[Any], Any] = 1e-2
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        if not callable(self.rule):
            raise fail("rule", "an optax function of the learning rate, such as optax.adam", repr(self.rule))
        if not callable(self.learning_rate):
            object.__setattr__(self, "learning_rate", check_number("learning_rate", self.learning_rate, above=0))
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, above=0))

    @property
    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        rule = transformation_of(self.rule(self.learning_rate))
        return rule if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), rule)


class Master(NamedTuple):
    """State of an optimiser whose weights are narrower than float32.

    Attributes:
        params: the weights in float32.
        state: the optimiser's own, for these.
    """

    params: Any
    state: Any


def start(optimiser: Any, params: Any) -> Any:
    """The optimiser's state before the first update: its own; a `Master` for weights narrower than float32."""
    wide = _widened(params)
    state = transformation_of(optimiser).init(wide)
    return Master(wide, state) if _narrow(params) else state


def update(optimiser: Any, gradients: Any, state: Any, params: Any, value: Array, loss: Loss) -> tuple[Any, Any]:
    """The weights and the optimiser's state after one update.

    Args:
        optimiser: an `Optimiser` or any optax transformation. One that takes more than gradients and weights is given
            `value`, `grad`, `value_fn` (also as `obj_fn`) and `grad_fn`, of the same batch.
        gradients: like `params`.
        state: of `start`, or of the last update.
        params: the weights.
        value: the loss at them.
        loss: of weights; differentiable.
    """
    narrow = _narrow(params)
    wide = state.params if narrow else params
    inner = state.state if narrow else state
    gradients = _widened(gradients)

    def value_fn(wide: Any, obj_fn: Any = None, grad_fn: Any = None) -> Array:  # a line search hands all of them on
        return loss(_like(wide, params))

    more = {"value_fn": value_fn, "obj_fn": value_fn, "grad_fn": lambda wide, _: jax.grad(value_fn)(wide)}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # optax counts on both
        transformation = transformation_of(optimiser)
        updates, inner = transformation.update(gradients, inner, wide, value=value, grad=gradients, **more)
        wide = optax.apply_updates(wide, updates)
    return _like(wide, params), Master(wide, inner) if narrow else inner


def transformation_of(optimiser: Any) -> optax.GradientTransformationExtraArgs:
    """The optax transformation that an optimiser is; further arguments reach it as far as its `update` names them.

    Raises:
        ValueError: it is none.
    """
    if isinstance(optimiser, Optimiser):
        optimiser = optimiser.transformation
    if isinstance(optimiser, type) or not all(callable(getattr(optimiser, name, None)) for name in ("init", "update")):
        raise fail("optimiser", "an Optimiser or an optax transformation, such as optax.adam(1e-2)", repr(optimiser))
    taken = inspect.signature(optimiser.update).parameters
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())

    def update(updates: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        known = {name: value for name, value in more.items() if every or name in taken}
        try:
            return optimiser.update(updates, state, params, **known)
        except TypeError as error:  # also of one in a chain, whose signature does not tell
            asked = re.search("missing .* keyword-only .*: (.*)", str(error))
            if not asked:
                raise
            wanted = f"one that asks its caller for none but {', '.join(more)}"
            raise fail("optimiser", wanted, f"one that wants {asked[1]}") from None

    return optax.GradientTransformationExtraArgs(optimiser.init, update)


def _narrow(params: Any) -> bool:
    return any(accumulation_dtype(leaf.dtype) != leaf.dtype for leaf in jax.tree.leaves(params))


def _widened(tree: Any) -> Any:
    return jax.tree.map(lambda a: a.astype(accumulation_dtype(a.dtype)), tree)


def _like(wide: Any, params: Any) -> Any:
    """Rounded to the dtypes of `params`."""
    return jax.tree.map(lambda a, p: jnp.asarray(a).astype(p.dtype), wide, params)
