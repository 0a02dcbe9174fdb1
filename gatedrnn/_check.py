"""The ValueErrors: one sentence that names the argument, what was expected and what came.

A check returns what it has checked as Python's own: NumPy's scalars and 0-d arrays become `int` and `float` there.
"""

import inspect
import math
import operator
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # the command checks its options before it waits for JAX
    from jax.typing import DTypeLike

Kind = TypeVar("Kind")

LARGEST = 2**31 - 1
"""Of an axis, and of what is counted in int32."""

LONGEST = 600  # letters of what came


def check_kind(argument: str, kind: type[Kind], value: Any, example: str) -> Kind:
    """Returns `value`, or raises ValueError where it is of no such class."""
    if not isinstance(value, kind):
        raise fail(argument, f"a {kind.__name__}, such as {example}", shown(value))
    return value


def check_path(argument: str, value: Any) -> Path:
    """Returns `value` as a path, or raises ValueError where it is neither text nor a path."""
    if not isinstance(value, str | os.PathLike):
        raise fail(argument, "a path", shown(value))
    return Path(value)


def fail(argument: str, expected: str, got: Any) -> ValueError:
    """The error "`argument` must be expected; got got." for the caller to raise: one line, and no long one."""
    line = " ".join(map(str.strip, str(got).splitlines()))
    return ValueError(
        f"`{argument}` must be {expected}; got {line if len(line) <= LONGEST else f'{line[:LONGEST]}...'}."
    )


def shown(value: Any) -> str:
    """A value in an error: arrays by dtype and shape, anything long without its middle."""
    if getattr(value, "shape", None):
        return f"{value.dtype} {value.shape}"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-37:]}"


def check_size(argument: str, size: Any, least: int = 1, most: float = math.inf) -> int:
    """Returns `size` as an int, or raises ValueError where it is no whole number from `least` to `most`."""
    limited = f"from {least} to {most:,}"
    try:
        whole = operator.index(size)
    except TypeError:
        raise fail(argument, f"a whole number of at least {least}", shown(size)) from None
    if whole < least or isinstance(size, bool):
        raise fail(argument, f"a whole number of at least {least}", shown(size))
    if whole > most:
        raise fail(argument, f"a whole number {limited}", shown(size))
    return whole


def check_number(
    argument: str, value: Any, *, above: float | None = None, least: float | None = None, most: float = math.inf
) -> float:
    """Returns `value` as a float, or raises ValueError where it is no finite number above or from, and to, some bounds.

    A number is real and a scalar: no bool, no string, no complex one, though its imaginary part be zero.
    """
    number = _real(value)
    low = above is None or number > above, least is None or number >= least
    if math.isfinite(number) and all(low) and number <= most:
        return number
    bounds = [f" {word} {bound:g}" for word, bound in (("above", above), ("of at least", least)) if bound]
    bounds += [" of at least 0"] if least == 0 else []
    bounds += [f" {'and' if bounds else 'of'} at most {most:g}"] if most < math.inf else []
    raise fail(argument, f"a {'positive ' if above == 0 else ''}finite number{''.join(bounds)}", shown(value))


def check_callable(argument: str, expected: str, value: Any, count: int) -> Any:
    """Returns `value`, or raises ValueError where it cannot be called with so many arguments, or is a class."""
    try:
        if isinstance(value, type) or not callable(value):
            raise TypeError
        inspect.signature(value).bind(*range(count))
    except TypeError:
        raise fail(argument, expected, shown(value)) from None
    except ValueError:  # a function of C that does not say what it takes
        pass
    return value


def check_list(argument: str, expected: str, values: Any) -> list[Any]:
    """Returns the values as a list, or raises ValueError where there is nothing to go through, or it is a string."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable) or getattr(values, "shape", None) == ():
        raise fail(argument, expected, shown(values))
    return list(values)


def check_flag(argument: str, value: Any) -> bool:
    """Returns `value` as a bool, or raises ValueError where it is anything else that is true or false."""
    if isinstance(value, bool) or (getattr(getattr(value, "dtype", None), "kind", "") == "b" and value.shape == ()):
        return bool(value)
    raise fail(argument, "True or False", shown(value))


def check_array(argument: str, expected: str, value: Any) -> Any:
    """Returns `value` as an array of JAX, or raises ValueError where it is none of numbers."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    if isinstance(value, Iterator):
        raise fail(argument, expected, shown(value))
    if not hasattr(value, "dtype") and any(isinstance(leaf, str | bytes) for leaf in jax.tree.leaves(value)):
        raise fail(argument, expected, shown(value))
    try:
        with np.errstate(over="ignore"):
            return jnp.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise fail(argument, expected, shown(value)) from None


def check_key(argument: str, key: Any) -> Any:
    """Returns `key`, or raises ValueError where it is no single key of `jax.random`, typed or raw."""
    import jax
    import jax.numpy as jnp

    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if shape != () if typed else (str(dtype) != "uint32" or len(shape or ()) != 1):
        raise fail(argument, "one key of jax.random, such as jax.random.key(0)", shown(key))
    return key


def check_rate(argument: str, rate: Any) -> float:
    """Returns a rate of dropout as a float, or raises ValueError where it is not from 0 to below 1."""
    rate = check_number(argument, rate, least=0.0)
    if rate >= 1:
        raise fail(argument, "below 1", rate)
    return rate


def check_floating(argument: str, dtype: Any) -> "DTypeLike":
    """Returns `dtype`, or raises ValueError where it names no floating type."""
    import jax.numpy as jnp
    import numpy as np

    try:
        floating = isinstance(dtype, str | type | np.dtype) and jnp.issubdtype(dtype, jnp.floating)
    except TypeError:
        floating = False
    if not floating:
        raise fail(argument, "a floating type, such as float32", getattr(dtype, "__name__", shown(dtype)))
    return dtype


def _real(value: Any) -> float:
    """The number that `value` is; NaN where it is none, or too large for a float."""
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # bfloat16 is of the kind "V"
    if isinstance(value, bool | str | bytes) or kind in "bcOSU" or getattr(value, "shape", ()) != ():
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
