"""Noise as four more columns of the inputs, so that no method and no loop need know of it.

    [x, step, row]      x [T, B, D]; step, row: 32 random bits each, as two floats of 16

`step` is new at every step of every row, `row` the same along a sequence. What a unit then draws is a hash of the bits,
of its number and of a salt, computed where it is used and again on the way back: no noise is ever stored, and the same
key gives the same numbers in whatever pieces, on whatever devices a sequence is run.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn.linear import accumulation_dtype

COLUMNS = 4


class Noise(NamedTuple):
    """Random bits: uint32 [...], one number per step or per row of a batch.

    Attributes:
        step: anew at every step.
        row: the same along a sequence.
    """

    step: Array
    row: Array

    def salted(self, salt: int) -> "Noise":
        """Other numbers: those of another layer, or of the other direction."""
        return Noise(*(mixed(a + jnp.uint32(salt * 0x85EBCA6B & 0xFFFFFFFF)) for a in self))


def with_noise(key: Array, xs: Array) -> Array:
    """xs [T, B, D] with the columns of a key, [T, B, D + 4]; at least float32, which holds 16 bits exactly."""
    steps, rows = jax.random.split(key)
    noise = Noise(
        jax.random.bits(steps, xs.shape[:2], jnp.uint32),
        jnp.broadcast_to(jax.random.bits(rows, xs.shape[1:2], jnp.uint32)[None], xs.shape[:2]),
    )
    return joined(xs, noise)


def joined(xs: Array, noise: Noise) -> Array:
    """[..., D] and the bits [...] -> [..., D + 4]."""
    dtype = accumulation_dtype(xs.dtype)
    halves = [half.astype(dtype)[..., None] for a in noise for half in (a >> 16, a & 0xFFFF)]
    return jnp.concatenate([xs.astype(dtype), *halves], axis=-1)


def parted(xs: Array) -> tuple[Array, Noise]:
    """The inverse of `joined`: [..., D + 4] -> [..., D] and the bits [...]."""
    columns = lax.stop_gradient(xs[..., -COLUMNS:]).astype(jnp.uint32)
    high, low = columns[..., ::2], columns[..., 1::2]
    return xs[..., :-COLUMNS], Noise(*jnp.moveaxis((high << 16) | low, -1, 0))


def kept(bits: Array, rate: float, width: int, salt: int, dtype: Any) -> Array:
    """1 with probability 1 - rate, else 0, for every unit: bits [...] -> [..., width]."""
    units = jnp.arange(width, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9) + jnp.uint32(salt * 0xC2B2AE35 & 0xFFFFFFFF)
    shape = (*bits.shape, width)
    drawn = mixed(jnp.broadcast_to(bits[..., None], shape) ^ mixed(jnp.broadcast_to(units, shape)))
    return (drawn >= jnp.uint32(min(round(rate * 2**32), 2**32 - 1))).astype(dtype)


def dropped(bits: Array, rate: float, x: Array, salt: int) -> Array:
    """Dropout: x [..., N], with each entry zero with probability `rate`, else divided by 1 - rate."""
    if not rate:
        return x
    return x * kept(bits, rate, x.shape[-1], salt, x.dtype) * jnp.full_like(x, 1 / (1 - rate))


def mixed(a: Array) -> Array:
    """A bijection of uint32 of which every bit of the result depends on every bit of the argument.

    References:
        Wellons, "Prospecting for hash functions", 2018, https://nullprogram.com/blog/2018/07/31/ (lowbias32).
    """
    a = (a ^ (a >> 16)) * jnp.uint32(0x7FEB352D)
    a = (a ^ (a >> 15)) * jnp.uint32(0x846CA68B)
    return a ^ (a >> 16)
