"""Functions in words, for JSON: what tells one optimiser or schedule from another where both are made of closures.

words(optax.adam)                                   adam
words(optax.cosine_decay_schedule(0.1, 100))        cosine_decay_schedule fd67f70a
transformation_in_words(optax.adam(0.1))            chain ed97053b

The digest is of the names of all functions within, and of every value that they were made with. Their code is not read.
"""

import functools
import inspect
import json
import zlib
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import jax
import numpy as np

PLAIN = (bool, int, float, complex, str, bytes, np.dtype, type(None))


def words(value: Any) -> Any:
    """A function of a module by its name, any other with a digest; a dataclass as it is printed, the rest as it is."""
    if not callable(value):
        return repr(value) if is_dataclass(value) else value
    of_module = inspect.isfunction(value) and value.__qualname__.isidentifier()
    return _name(value) if of_module else f"{_name(value)} {_digest(value)}"


def transformation_in_words(transformation: Any) -> str:
    """The same for an optax transformation."""
    return f"{_name(transformation.update)} {_digest(transformation)}"


def _digest(value: Any) -> str:
    """Eight hexadecimal digits, the same for whatever was made by equal calls."""
    return f"{zlib.crc32(json.dumps(_traits(value, ())).encode()):08x}"


def _name(function: Any) -> str:
    """`cosine_decay_schedule` for what that function has made."""
    return getattr(function, "__qualname__", type(function).__qualname__).split(".<locals>")[0]


def _held(function: Any) -> list[Any]:
    """What a function was made with: closed over, or given as a default."""
    found: list[Any] = [function.__defaults__, function.__kwdefaults__]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            found.append(None)
    return found


def _traits(value: Any, within: tuple[int, ...]) -> Any:
    """Nested lists of words; `within`: ids of what the value is a part of, since a recursive function holds itself."""
    if isinstance(value, PLAIN):
        return repr(value)
    if id(value) in within:
        return "itself"
    part = functools.partial(_traits, within=(*within, id(value)))
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return ["key", part(jax.random.key_data(value))]
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return [str(value.dtype), value.shape, zlib.crc32(np.ascontiguousarray(value).tobytes())]
    if isinstance(value, Mapping):
        return [[part(key), part(held)] for key, held in value.items()]
    if isinstance(value, list | tuple):
        return [type(value).__qualname__, *map(part, value)]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(part(held)) for held in value)
    if isinstance(value, functools.partial):
        return ["partial", *map(part, (value.func, value.args, value.keywords))]
    if inspect.ismethod(value):
        return [part(value.__func__), part(value.__self__)]
    if inspect.isfunction(value):
        return [value.__qualname__, *map(part, _held(value))]
    if hasattr(value, "__wrapped__"):  # jitted, for instance
        return part(value.__wrapped__)
    if inspect.isclass(value) or inspect.ismodule(value) or inspect.isbuiltin(value):
        return value.__name__
    return [type(value).__qualname__, part(getattr(value, "__dict__", {}))]
