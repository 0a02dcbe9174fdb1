"""What the equations of a cell are written with: one product for all gates, then a split.

gates = split(x @ w + b, G)        operands in the weights' dtype, sums in float32 or wider
"""

from typing import Any

import jax.numpy as jnp
from jax import Array, export
from jax.typing import DTypeLike

from gatedrnn._check import LARGEST, check_size, fail
from gatedrnn._forms import Gates


def accumulation_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The dtype in which products of `dtype` are summed and carries are kept: at least float32."""
    dtype = jnp.dtype(dtype)
    return dtype if dtype.itemsize > 4 else jnp.dtype(jnp.float32)


def product(x: Array, w: Array) -> Array:
    """x [..., D] @ w [D, N] -> [..., N], multiplied in `w.dtype`, summed in `accumulation_dtype(w.dtype)`."""
    return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=accumulation_dtype(w.dtype))


def split(gates: Array, count: int) -> Gates:
    """[..., G * H] -> G arrays [..., H]: XLA vectorises elementwise code over separate arrays, not over slices."""
    return tuple(jnp.split(gates, count, axis=-1))


def affine(weights: Any, x: Array, count: int) -> Gates:
    """x w + b for `weights`, a dict of `w [D, G * H]` and `b [G * H]`: x [..., D] -> G arrays [..., H].

    Inputs that reach further than the weights' dtype, as float32 beyond the 65,504 of float16, are not rounded to it.
    """
    w = weights["w"]
    if jnp.finfo(x.dtype).max > jnp.finfo(w.dtype).max:
        w = w.astype(accumulation_dtype(x.dtype))
    return split(add_bias(product(x, w), weights["b"]), count)


def add_bias(a: Array, b: Array) -> Array:
    """a [..., N] + b [N], in the dtype of `a`.

    Raises:
        ValueError: `b` has another shape; a single number is not spread over all.
    """
    if b.shape != a.shape[-1:]:
        raise fail("b", f"[N] = {a.shape[-1:]} to match `a` [..., N]", b.shape)
    return a + jnp.broadcast_to(b.astype(a.dtype), a.shape)


def zeros(width: int, dtype: DTypeLike, batch_size: int | None = None) -> Array:
    """A zero state of H = `width` units for weights of `dtype`: [B, H], or [H] without a batch size."""
    batch: tuple[Any, ...] = ()
    if batch_size is not None:  # a symbol of `jax.export` is no number
        symbol = export.is_symbolic_dim(batch_size)
        batch = (batch_size if symbol else check_size("batch_size", batch_size, least=0, most=LARGEST),)
    return jnp.zeros((*batch, width), accumulation_dtype(dtype))
