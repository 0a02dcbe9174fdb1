"""The ValueErrors: one sentence that names the argument, what was expected and what came."""

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command checks its options before it waits for JAX
    from jax.typing import DTypeLike


def fail(argument: str, expected: str, got: Any) -> ValueError:
    """The error "`argument` must be expected; got got." for the caller to raise."""
    return ValueError(f"`{argument}` must be {expected}; got {got}.")


def check_size(argument: str, size: Any, least: int = 1) -> int:
    """Returns `size` as an int, or raises ValueError where it is no whole number of at least `least`."""
    try:
        whole = operator.index(size)
    except TypeError:
        raise fail(argument, f"a whole number of at least {least}", repr(size)) from None
    if whole < least or isinstance(size, bool):
        raise fail(argument, f"a whole number of at least {least}", repr(size))
    return whole


def check_floating(argument: str, dtype: Any) -> "DTypeLike":
    """Returns `dtype`, or raises ValueError where it names no floating type."""
    import jax.numpy as jnp

    try:
        floating = dtype is not None and jnp.issubdtype(dtype, jnp.floating)
    except TypeError:
        floating = False
    if not floating:
        raise fail(argument, "a floating type, such as float32", getattr(dtype, "__name__", repr(dtype)))
    return dtype
