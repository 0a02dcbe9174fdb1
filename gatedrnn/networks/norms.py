"""Normalisation over a layer's units, [..., H], each row for itself.

layer norm   y = (x - mean x) / sqrt(var x + eps) * scale + shift
RMS norm     y = x / sqrt(mean x^2 + eps) * scale
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._check import fail
from gatedrnn.linear import accumulation_dtype, add_bias


@jax.tree_util.register_static
@dataclass(frozen=True, repr=False)
class Norm:
    """A normalisation with weights.

    Attributes:
        name: what the names of networks call it.
        init: `(width, dtype) -> weights`.
        apply: `(weights, x [..., N]) -> [..., N]`.
    """

    name: str
    init: Callable[[int, DTypeLike], Any]
    apply: Callable[[Any, Array], Array]

    def __repr__(self) -> str:
        return f"<Norm {self.name!r}>"


EPSILON = 1e-5


def _scaled(x: Array, scale: Array) -> Array:
    return x * jnp.broadcast_to(scale.astype(x.dtype), x.shape)


def _layer_norm(weights: dict[str, Array], x: Array) -> Array:
    _check_weights("layer_norm", weights, {"scale", "shift"})
    centred = x - _mean(x)
    return add_bias(_rescaled(weights, centred), weights["shift"])


def _rms_norm(weights: dict[str, Array], x: Array) -> Array:
    _check_weights("rms_norm", weights, {"scale"})
    return _rescaled(weights, x)


def _rescaled(weights: dict[str, Array], x: Array) -> Array:
    wide = x.astype(accumulation_dtype(x.dtype))  # squares of float16 overflow
    return _scaled((wide * jax.lax.rsqrt(_mean(jnp.square(wide)) + EPSILON)).astype(x.dtype), weights["scale"])


def _mean(x: Array) -> Array:
    """The mean of each row, spread along it, [..., N]; a product with ones: on a CPU a sum adds one by one."""
    width = x.shape[-1]
    mean = jnp.matmul(x, jnp.full((width, 1), 1 / width, x.dtype), precision="highest")  # [..., 1]
    return jnp.broadcast_to(mean, x.shape)


def _check_weights(name: str, weights: Any, expected: set[str]) -> None:
    if not isinstance(weights, dict) or set(weights) != expected:
        got = sorted(weights) if isinstance(weights, dict) else type(weights).__name__
        raise fail("params", f"with weights {', '.join(sorted(expected))} of the norm {name}", got)


def _layer_weights(width: int, dtype: DTypeLike) -> dict[str, Array]:
    return {"scale": jnp.ones(width, dtype), "shift": jnp.zeros(width, dtype)}


def _rms_weights(width: int, dtype: DTypeLike) -> dict[str, Array]:
    return {"scale": jnp.ones(width, dtype)}


layer_norm = Norm("layer_norm", _layer_weights, _layer_norm)
"""Ba, Kiros, Hinton, "Layer normalization", 2016, https://arxiv.org/abs/1607.06450; eps = 1e-5, as torch has it."""

rms_norm = Norm("rms_norm", _rms_weights, _rms_norm)
"""Zhang, Sennrich, "Root mean square layer normalization", 2019, https://arxiv.org/abs/1910.07467; eps = 1e-5."""

NORMS = {norm.name: norm for norm in (layer_norm, rms_norm)}
