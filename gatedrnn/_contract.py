"""What a cell promises, looked at when it is first used with weights and inputs of some shapes; nothing is run.

    fit            weights, gates and carry have the shapes that go together
    affine         JAX can transpose `recur` in h
    elementwise    every equation of `pointwise` and of its derivative is elementwise

Shapes alone decide, so each check is made once for a cell and its shapes.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_kind, fail
from gatedrnn._elementwise import mixing, outline
from gatedrnn._forms import Params
from gatedrnn._jax import concrete

CURE = "give the cell `step` alone, or pass `method=Autodiff()`"


def check_params(cell: Cell, params: Any) -> None:
    """Raises ValueError where a cell in three-function form is given something else than `Params`, or no arrays."""
    if cell.factored and not isinstance(params, Params):
        raise fail("params", f"gatedrnn.Params, the weights of the cell {cell.name!r}", f"a {type(params).__name__}")
    for path, leaf in jax.tree.leaves_with_path(params):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise fail("params" + jax.tree_util.keystr(path), "an array", f"a {type(leaf).__name__}")
        if cell.factored and not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise fail("params" + jax.tree_util.keystr(path), "an array of a floating dtype", leaf.dtype)


def check_fit(cell: Cell, params: Any, xs: jax.Array) -> None:
    """Raises ValueError where `params` are not weights that the cell can step with on rows of xs [..., D]."""
    _fit(cell, *_shapes(params), _rows(xs))


def check_laws(cell: Cell, params: Params, xs: jax.Array) -> None:
    """Raises ValueError where `recur` is not affine or `pointwise` not elementwise; xs [..., D]."""
    _laws(cell, *_shapes(params), _rows(xs))


def closes_over(cell: Cell, params: Params, xs: jax.Array) -> bool:
    """Whether a function of the cell reads a value of a transformation around it that is none of `params`.

    A rule of a derivative gives it no gradient. xs [..., D].
    """
    return _closes_over(cell, *_shapes(params), _rows(xs))


def check_asked(cell: Cell, params: Any, xs: Any) -> Any:
    """Returns `xs`, of which only shape and dtype matter, or raises ValueError where they cannot be inputs."""
    check_kind("cell", Cell, cell, "gatedrnn.lstm")
    check_params(cell, params)
    expected = "an array, or a jax.ShapeDtypeStruct, [T, B, D] or [T, D]"
    xs = xs if hasattr(xs, "dtype") else check_array("xs", expected, xs)
    if len(xs.shape) not in (2, 3):
        raise fail("xs", "[T, B, D] or [T, D]", xs.shape)
    return xs


def affine(cell: Cell, params: Params, h: Any) -> str | None:
    """Why `recur` is not affine in h [B, H], in JAX's words; None where JAX can transpose it."""
    gates = jax.eval_shape(cell.recur, params.recurrent, h)

    def transposed(weights: Any, cotangents: Any) -> Any:
        return jax.linear_transpose(lambda h: tuple(cell.recur(weights, h)), h)(cotangents)

    try:
        jax.eval_shape(transposed, params.recurrent, tuple(gates))
    except Exception as error:  # of many kinds: each primitive has its own way to say that it is not linear
        return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
    return None


def elementwise(cell: Cell, params: Params, gates_x: Any, gates_h: Any, carry: Any) -> str | None:
    """The primitive by which `pointwise`, or its derivative, is not elementwise; None where none is.

    It mixes elements, or is another one, or holds other numbers, where there is one row more; "constant" for an array.
    """
    unit = jax.eval_shape(Params.spread, params, carry.h)

    def pulled(cotangents: Any, *given: Any) -> Any:
        after, pull = jax.vjp(lambda x, h, before, unit: cell.pointwise(x, h, before, *unit), *given)
        return after, pull(cotangents)

    given = (carry, tuple(gates_x), tuple(gates_h), carry, unit)
    closed = jax.make_jaxpr(pulled)(*given)
    found = mixing(closed.jaxpr, closed.jaxpr.invars)
    if found is not None:
        return found
    longer = jax.make_jaxpr(pulled)(*one_more(given, 0))
    pairs = itertools.zip_longest(outline(closed), outline(longer))
    return next(((here or there)[0] for here, there in pairs if here != there), None)


def one_more(tree: Any, axis: int) -> Any:
    """The shapes of arrays with one more along an axis; what is weakly typed stays so."""
    more = lambda a: lax.concatenate([a, lax.slice_in_dim(a, 0, 1, axis=axis)], axis % a.ndim)
    return jax.eval_shape(lambda tree: jax.tree.map(more, tree), tree)


def _rows(xs: jax.Array) -> jax.ShapeDtypeStruct:
    """A batch [B, D] like the rows of xs [..., D]; any B would do."""
    return jax.ShapeDtypeStruct((2, xs.shape[-1]), xs.dtype)


def _shapes(params: Any) -> tuple[Any, tuple[jax.ShapeDtypeStruct, ...]]:
    leaves, structure = jax.tree.flatten(params)
    return structure, tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)


@functools.lru_cache(maxsize=1024)
def _fit(cell: Cell, structure: Any, leaves: tuple[Any, ...], x: jax.ShapeDtypeStruct) -> None:
    params = jax.tree.unflatten(structure, leaves)
    carry = _traced(cell, params, x, "initial_carry", lambda p: cell.initial_carry(p, x.shape[0]), params)
    if not all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(carry)):
        raise fail("cell", "one whose carry is of floating arrays", f"{_described(carry)} of {cell.name!r}")
    if cell.factored:
        _check_gates(cell, params, x, carry)
    after, _ = _traced(cell, params, x, "step", cell.step, params, carry, x)
    same_tree = str(jax.tree.structure(after)) == str(jax.tree.structure(carry))
    if not same_tree or _described(after) != _described(carry):
        raise fail(
            "cell",
            f"one whose step gives the carry back as it came, {_described(carry)}",
            f"{_described(after)} from {cell.name!r}",
        )


def _check_gates(cell: Cell, params: Params, x: Any, carry: Any) -> None:
    """The halves of every gate, and the weights of the units, must be as wide as the carry."""
    if not hasattr(carry, "_fields") or carry._fields[0] != "h" or any(part.ndim != 2 for part in carry):
        raise fail("cell", "one whose carry is a NamedTuple of arrays [B, H], `h` first", f"{carry} of {cell.name!r}")
    wanted = carry.h.shape
    if wanted[-1] == 0:
        raise fail("params", "weights of at least one hidden unit", _described(params))
    halves = {
        "project": _traced(cell, params, x, "project", cell.project, params.input, x),
        "recur": _traced(cell, params, x, "recur", cell.recur, params.recurrent, carry.h),
    }
    counts = {name: len(gates) for name, gates in halves.items()}
    gates = counts["project"] - cell.extra
    if gates != counts["recur"] or (cell.gates and gates != len(cell.gates)):
        named = f"; `gates` names {len(cell.gates)}" if cell.gates else ""
        beyond = f" and {cell.extra} beyond them" if cell.extra else ""
        raise _misfit(cell, params, x, f"`project` gives {gates} gates{beyond} and `recur` {counts['recur']}{named}")
    if cell.damp is not None:
        damp = _traced(cell, params, x, "damp", cell.damp, params.input, x)
        if damp.shape != wanted:
            raise _misfit(cell, params, x, f"`damp` is {damp.shape} where the carry is {wanted}")
    shapes = {name: gate.shape for name, gates in halves.items() for gate in gates if gate.shape != wanted}
    if shapes:
        raise _misfit(cell, params, x, f"the gates are {shapes} where the carry is {wanted}")
    if any(leaf.shape != wanted[-1:] for leaf in jax.tree.leaves(params.unit)):
        raise _misfit(cell, params, x, f"`unit` is not [H] = {wanted[-1:]}")


def _traced(cell: Cell, params: Any, x: Any, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the cell gives, as shapes; whatever it raises is put down to the weights, by name."""
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0].removesuffix(".")
        raise _misfit(cell, params, x, f"`{name}` stops at {type(error).__name__}: {first:.160}") from error


def _misfit(cell: Cell, params: Any, x: Any, reason: str) -> ValueError:
    expected = _expected(cell, params, x)
    wanted = f"weights of the cell {cell.name!r} for D = {x.shape[-1]}" + (f", {expected}" if expected else "")
    return fail("params", wanted, f"{_described(params)}, with which {reason}")


def _expected(cell: Cell, params: Any, x: Any) -> str:
    """The shapes that the cell's `init` draws for the widths of these weights, where it can be asked."""
    for wide in (lambda p: cell.initial_carry(p, 1).h, lambda p: cell.project(p.input, jnp.zeros(x.shape, x.dtype))[0]):
        with contextlib.suppress(Exception):  # of wrong weights, in many ways
            hidden = jax.eval_shape(wide, params).shape[-1]
            shapes = jax.eval_shape(lambda h=hidden: cell.init(jax.random.key(0), x.shape[-1], h))
            drawn = _described(shapes)
            return "" if drawn == _described(params) else drawn
    return ""


def _described(tree: Any) -> str:
    """Every leaf's path and shape, such as `input.w [3, 16]`."""
    named = (
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in jax.tree.leaves_with_path(tree)
    )
    return ", ".join(f"{name} {leaf.dtype.name}{list(leaf.shape)}" for name, leaf in named) or "no arrays"


@functools.lru_cache(maxsize=1024)
def _closes_over(cell: Cell, structure: Any, leaves: tuple[Any, ...], x: jax.ShapeDtypeStruct) -> bool:
    params = jax.tree.unflatten(structure, leaves)
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, x.shape[0]), params)
    return not concrete(jax.make_jaxpr(cell.step)(params, carry, x).consts)


@functools.lru_cache(maxsize=1024)
def _laws(cell: Cell, structure: Any, leaves: tuple[Any, ...], x: jax.ShapeDtypeStruct) -> None:
    params = jax.tree.unflatten(structure, leaves)
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, x.shape[0]), params)
    reason = affine(cell, params, carry.h)
    if reason is not None:
        raise fail("cell", f"one whose `recur` is affine in h; {CURE}", f"{cell.name!r}, of which JAX says: {reason}")
    gates_x = jax.eval_shape(cell.project, params.input, x)
    gates_h = jax.eval_shape(cell.recur, params.recurrent, carry.h)
    primitive = elementwise(cell, params, gates_x, gates_h, carry)
    if primitive is not None:
        got = f"{cell.name!r}, in which `{primitive}` mixes units or depends on the number of rows"
        raise fail("cell", f"one whose `pointwise` is elementwise; {CURE}", got)
