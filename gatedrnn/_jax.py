"""Every name of JAX outside its documented API, in one place, each with the reason; nothing else imports them.

| name | from | why |
| --- | --- | --- |
| `Jaxpr`, `ClosedJaxpr`, `JaxprEqn`, `Var`, `jaxpr_as_fun` | `jax.extend.core` | `pointwise` is read and taken apart |
| `Primitive`, `ad`, `batching`, `mlir` | the same, `jax.interpreters` | functions with derivatives of their own |
| `Tracer` | `jax.core` | values that are not there cannot be looked at |
| `manual_axis_type`, once `vma` | of `jax.typeof` | over which axes of a `shard_map` an array varies |
| `pallas`, its `tpu`, `triton` and `mosaic_gpu` | `jax.experimental` | kernels; imported when one is asked for |
"""

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero as SymbolicZero
from jax.extend.core import (
    ClosedJaxpr as ClosedJaxpr,
    Jaxpr as Jaxpr,
    JaxprEqn as JaxprEqn,
    Primitive as Primitive,
    Var as Var,
    jaxpr_as_fun,
)
from jax.interpreters import ad as ad, batching as batching, mlir as mlir
from jax.sharding import AxisType, PartitionSpec


def piece(closed: ClosedJaxpr, reads: list[Var], out: Any, equations: list[JaxprEqn]) -> Callable[..., Any]:
    """The function of some variables of a jaxpr that some of its equations compute; gives one array."""
    nameless = closed.jaxpr.debug_info._replace(arg_names=None, result_paths=None)  # fewer variables have fewer names
    inner = closed.jaxpr.replace(invars=reads, outvars=[out], eqns=equations, debug_info=nameless)
    function = jaxpr_as_fun(ClosedJaxpr(inner, closed.consts))
    return lambda *arrays: function(*arrays)[0]


def matrix_met(closed: ClosedJaxpr) -> tuple[Array, Callable[..., list[Any]]] | None:
    """The matrix [H, N] with which a function of h [H] multiplies it, and the function of h U [N] that is left.

    None where h meets anything else, or is rounded on its way: the function is then not read off its jaxpr.
    """
    jaxpr = closed.jaxpr
    (h,) = jaxpr.invars
    known = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    meets = [equation for equation in jaxpr.eqns if h in equation.invars]
    if h in jaxpr.outvars or len(meets) != 1 or meets[0].primitive.name != "dot_general":
        return None
    left, right = meets[0].invars
    (product,) = meets[0].outvars
    alike = left.aval.dtype == right.aval.dtype == product.aval.dtype
    contracted = meets[0].params["dimension_numbers"]
    if left is not h or right not in known or not alike or contracted != (((0,), (0,)), ((), ())):
        return None
    nameless = jaxpr.debug_info._replace(arg_names=None, result_paths=None)
    rest = [equation for equation in jaxpr.eqns if equation is not meets[0]]
    inner = jaxpr.replace(invars=[product], eqns=rest, debug_info=nameless)
    return known[right], jaxpr_as_fun(ClosedJaxpr(inner, closed.consts))


CALLED = """
checkpoint closed_call core_call custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr jit pjit remat2
"""
CALLS = frozenset(CALLED.split())
"""Primitives that run a jaxpr once, on their own operands; a loop has one, too, and runs it on others."""


def inner_jaxprs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """Those that an equation calls with its own operands, such as the body of a jitted function."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = equation.params.get(name)
        if found is not None:
            yield getattr(found, "jaxpr", found)


def without_rules(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, from which what JAX calls inside is written out: rules of derivatives are gone."""

    def plain(*arguments: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = _evaluated(closed, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return plain


def _evaluated(closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    jaxpr = closed.jaxpr
    known: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *arguments], strict=True))
    value = lambda var: known[var] if isinstance(var, Var) else var.val
    for equation in jaxpr.eqns:
        called = equation.params.get("call_jaxpr", equation.params.get("jaxpr"))
        if equation.primitive.name in CALLS and isinstance(called, ClosedJaxpr):
            found = _evaluated(called, list(map(value, equation.invars)))
            known |= dict(zip(equation.outvars, found, strict=True))
            continue
        reads = list(dict.fromkeys(var for var in equation.invars if isinstance(var, Var)))
        for out in equation.outvars:
            known[out] = piece(closed, reads, out, [equation])(*map(value, reads))
    return list(map(value, jaxpr.outvars))


def depends(jaxpr: Jaxpr) -> bool:
    """Whether the results are computed from the arguments, as far as is seen without a look into what is called."""
    needed = {var for var in jaxpr.outvars if isinstance(var, Var)}
    for equation in reversed(jaxpr.eqns):
        if needed & set(equation.outvars):
            needed |= {var for var in equation.invars if isinstance(var, Var)}
    return bool(needed & set(jaxpr.invars))


def scan(step: Callable[..., Any], carry: Any, inputs: Any, **how: Any) -> tuple[Any, Any]:
    """`lax.scan`, also over no steps under `jax.disable_jit`, where a loop of Python would not know its types."""
    steps = jax.tree.leaves(inputs)[0].shape[0]
    with jax.disable_jit(False) if is_static(steps) and steps == 0 else contextlib.nullcontext():
        return lax.scan(step, carry, inputs, **how)


def is_static(size: Any) -> bool:
    """Whether a dimension is a number, not a symbol of `jax.export`."""
    return isinstance(size, int)


def concrete(*arrays: Any) -> bool:
    """Whether the values are there to be looked at: not while a function is being transformed."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arrays))


def explicit_axes() -> bool:
    """Whether `jax.set_mesh` has set a mesh whose axes are part of every array's type."""
    return AxisType.Explicit in jax.sharding.get_abstract_mesh().axis_types


def mesh_that_is_set() -> Any:
    """By `jax.set_mesh`; abstract where a function is being transformed, None where there is none."""
    try:
        mesh: Any = jax.sharding.get_mesh()
    except ValueError:
        mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.empty else mesh


def gathered(statics: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Under a mesh of explicit axes, a function need not name them, and its results are whole on every device.

    Its first `statics` arguments are no arrays.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*arguments: Any) -> Any:
            bound = functools.partial(function, *arguments[:statics])
            free = jax.sharding.auto_axes(bound, out_sharding=PartitionSpec()) if explicit_axes() else bound
            return free(*arguments[statics:])

        return run

    return decorate


def row_axes(xs: Array) -> Any:
    """The axes of an explicit mesh over which xs [T, B, D] is split along B; None for none."""
    spec = jax.typeof(xs).sharding.spec
    return spec[1] if len(spec) > 1 else None


def varying_alike(tree: Any) -> Any:
    """Every leaf varies over the axes of a `jax.shard_map` over which any of them does.

    A loop's carry must vary as what is added to it; the transpose of this sums gradients over the devices.
    """
    axes: frozenset[str] = frozenset().union(*map(_varies_over, jax.tree.leaves(tree)))

    def cast(leaf: Any) -> Any:
        missing = tuple(sorted(axes - _varies_over(leaf)))
        return _vary(leaf, missing) if missing else leaf

    return jax.tree.map(cast, tree) if axes else tree


def _vary(leaf: Any, axes: tuple[str, ...]) -> Any:
    module: Any = lax  # whose `pcast` is `pvary` before jax 0.9
    return module.pcast(leaf, axes, to="varying") if hasattr(module, "pcast") else module.pvary(leaf, axes)


def _varies_over(leaf: Any) -> frozenset[str]:
    """The manual axes in an array's type, which older versions call `vma`."""
    kind: Any = jax.typeof(leaf)
    kind = getattr(kind, "manual_axis_type", kind)
    return getattr(kind, "varying", None) or getattr(kind, "vma", None) or frozenset()


def varies(*arrays: Any) -> bool:
    """Whether JAX keeps count, inside a `jax.shard_map`, of the axes over which an array varies."""
    return any(_varies_over(leaf) for leaf in jax.tree.leaves(arrays) if not isinstance(leaf, jax.ShapeDtypeStruct))


def split_by_compiler() -> bool:
    """Whether a mesh is set over several devices of which the compiler splits arrays: a kernel it cannot split."""
    mesh = jax.sharding.get_abstract_mesh()
    return any(mesh.shape[axis] > 1 for axis in set(mesh.axis_names) - set(mesh.manual_axes))


def outside_meshes() -> contextlib.AbstractContextManager[Any]:
    """Where something is lowered by itself, also inside a `jax.shard_map`."""
    if jax.sharding.get_abstract_mesh().empty:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ()))


def pallas(backend: str = "") -> tuple[Any, Any]:
    """Pallas, and its module for a backend, `tpu`, `triton` or `mosaic_gpu`; raises ImportError where there is none."""
    module = importlib.import_module("jax.experimental.pallas")
    return module, importlib.import_module(f"jax.experimental.pallas.{backend}") if backend else None


def without_pallas(backend: str, *names: str) -> str:
    """Why this version of JAX has no kernels for a backend, or lacks one of the names; "" where it has."""
    try:
        _, module = pallas(backend)
    except ImportError as error:
        return f"jax {jax.__version__} has no Pallas for it ({error})"
    there = all(hasattr(module, name) for name in ("CompilerParams", *names))
    return "" if there else f"jax {jax.__version__} has another Pallas for it"


MOSAIC_READ: tuple[None, ...] = () if jax.__version_info__ >= (0, 11) else (None,)
"""What `load` of Pallas's `mosaic_gpu` takes after the reference: once an index, of which references are told now."""


def rounded_products() -> bool:
    """Whether the factors of a product may lose digits, as they do by default on devices that multiply faster so."""
    config: Any = jax.config
    return config.jax_default_matmul_precision in (None, "default", "fastest", "bfloat16", "tensorfloat32")
