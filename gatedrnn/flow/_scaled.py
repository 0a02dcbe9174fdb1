"""Numbers far outside a float's range: a mantissa of ordinary floats and one power of two per row, all of it exact.

value = mantissa * 2^exponent,    largest |mantissa| of a row in [1, 2)
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax


class Scaled(NamedTuple):
    """A carry-shaped value with one exponent per row.

    Attributes:
        mantissa: pytree of floating arrays [B, ...].
        exponent: int32 [B].
    """

    mantissa: Any
    exponent: Array


def rescale(value: Scaled) -> Scaled:
    """The same value with each row's largest |mantissa| in [1, 2); zero and non-finite rows stay as they are."""
    shift = exponent_of(largest(value.mantissa))  # [B]
    return Scaled(times_power_of_two(value.mantissa, -shift), value.exponent + shift)


def align(*values: Scaled) -> tuple[Scaled, ...]:
    """The same values at one exponent, the largest.

    What lies further below another than the float's range becomes zero, as it would in their sum.
    """
    nothing = jnp.iinfo(jnp.int32).min // 2
    sizes = [largest(value.mantissa) for value in values]
    tops = [
        jnp.where(size == 0, nothing, value.exponent + exponent_of(size))
        for size, value in zip(sizes, values, strict=True)
    ]
    exponent = functools.reduce(jnp.maximum, tops)
    exponent = jnp.where(exponent == nothing, values[0].exponent, exponent)
    return tuple(Scaled(times_power_of_two(value.mantissa, value.exponent - exponent), exponent) for value in values)


def largest(tree: Any) -> Array:
    """The largest magnitude of each row, over all leaves: [B]."""
    rows = [jnp.abs(a).max(tuple(range(1, a.ndim))) for a in jax.tree.leaves(tree)]
    return jnp.stack(rows).max(0)


def part_norms(tree: Any) -> list[Array]:
    """The Euclidean norm of each leaf's rows, [B] each; scaled first, so that no square underflows."""

    def norm(a: Array) -> Array:
        a = a.reshape(a.shape[0], math.prod(a.shape[1:]))
        peak = jnp.abs(a).max(1)
        scale = jnp.where(peak > 0, peak, 1)
        return peak * jnp.sqrt(jnp.square(a / scale[:, None]).sum(1))

    return [norm(a) for a in jax.tree.leaves(tree)]


def exponent_of(a: Array) -> Array:
    """floor(log2 a) of positive normal floats, int32; 0 for zero, subnormal and non-finite ones."""
    bits, bias, integer = _layout(a)
    field = (lax.bitcast_convert_type(a, integer) >> bits).astype(jnp.int32)
    return jnp.where((field == 0) | (field == 2 * bias + 1), 0, field - bias)


def times_power_of_two(tree: Any, exponent: Array) -> Any:
    """Each leaf [B, ...] times 2^exponent [B], exactly; exponents below the normal range give 0."""

    def times(a: Array) -> Array:
        bits, bias, integer = _layout(a)
        field = (jnp.clip(exponent, -bias, bias) + bias).astype(integer)  # -bias is the field of 0.0
        power = lax.bitcast_convert_type(field << bits, a.dtype)
        return a * power.reshape(power.shape + (1,) * (a.ndim - 1))

    return jax.tree.map(times, tree)


def _layout(a: Array) -> tuple[int, int, Any]:
    """Mantissa bits, exponent bias and integer type of a float32 or float64 array."""
    info = jnp.finfo(a.dtype)
    return info.nmant, info.maxexp - 1, jnp.int64 if info.bits == 64 else jnp.int32
