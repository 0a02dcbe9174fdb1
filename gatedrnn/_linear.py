"""The affine map that every gate begins with: one product for all gates, then a split.

gates = split(x @ w + b, G)        operands in the weights' dtype, sums in float32 or wider
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Gates, Params


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


def affine(params: dict[str, Array], x: Array, count: int) -> Gates:
    """x w + b for `w [D, G * H]` and `b [G * H]`: x [..., D] -> G arrays [..., H]."""
    return split(add_bias(product(x, params["w"]), params["b"]), count)


def add_bias(a: Array, b: Array) -> Array:
    """a [..., N] + b [N], in the dtype of `a`."""
    return a + jnp.broadcast_to(b.astype(a.dtype), a.shape)


def zeros(params: Params, batch_size: int | None = None) -> Array:
    """A zero state for `params.recurrent["w"] [H, G * H]`: [B, H], or [H] without a batch size."""
    w = params.recurrent["w"]
    batch = () if batch_size is None else (batch_size,)
    return jnp.zeros((*batch, w.shape[0]), accumulation_dtype(w.dtype))
