"""Every name of JAX outside its documented API, in one place, each with the reason; nothing else imports them.

| name | from | why |
| --- | --- | --- |
| `Jaxpr`, `ClosedJaxpr`, `JaxprEqn`, `Var`, `jaxpr_as_fun` | `jax.extend.core` | `pointwise` is read and taken apart |
| `Primitive`, `ad`, `batching`, `mlir` | the same, `jax.interpreters` | an identity that only reverse mode passes |
| `Tracer` | `jax.core` | values that are not there cannot be looked at |
| `manual_axis_type`, once `vma` | of `jax.typeof` | over which axes of a `shard_map` an array varies |
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr as Jaxpr, JaxprEqn as JaxprEqn, Primitive, Var as Var, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType, PartitionSpec


def piece(closed: ClosedJaxpr, reads: list[Var], out: Any, equations: list[JaxprEqn]) -> Callable[..., Any]:
    """The function of some variables of a jaxpr that some of its equations compute; gives one array."""
    nameless = closed.jaxpr.debug_info._replace(arg_names=None, result_paths=None)  # fewer variables have fewer names
    inner = closed.jaxpr.replace(invars=reads, outvars=[out], eqns=equations, debug_info=nameless)
    function = jaxpr_as_fun(ClosedJaxpr(inner, closed.consts))
    return lambda *arrays: function(*arrays)[0]


def inner_jaxprs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """Those that an equation calls with its own operands, such as the body of a jitted function."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = equation.params.get(name)
        if found is not None:
            yield getattr(found, "jaxpr", found)


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


class Unsupported(TypeError):
    """A derivative that a method does not have."""


def first_cause(error: BaseException, kind: type[BaseException]) -> BaseException:
    """What was raised first, if it is of a kind: while that is on its way, JAX's leak checker raises its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause or error


def is_static(size: Any) -> bool:
    """Whether a dimension is a number, not a symbol of `jax.export`."""
    return isinstance(size, int)


def concrete(*arrays: Any) -> bool:
    """Whether the values are there to be looked at: not while a function is being transformed."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arrays))


def explicit_axes() -> bool:
    """Whether `jax.set_mesh` has set a mesh whose axes are part of every array's type."""
    return AxisType.Explicit in jax.sharding.get_abstract_mesh().axis_types


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
        return lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(cast, tree) if axes else tree


def _varies_over(leaf: Any) -> frozenset[str]:
    """The manual axes in an array's type, which older versions call `vma`."""
    kind: Any = jax.typeof(leaf)
    kind = getattr(kind, "manual_axis_type", kind)
    return getattr(kind, "varying", None) or getattr(kind, "vma", None) or frozenset()


def reverse_identity(fail: Callable[..., Any]) -> Callable[[Any], Any]:
    """The identity on an array, whose tangent map can be transposed and not evaluated: whoever tries calls `fail`."""
    tangent = Primitive("reverse_only_tangent")
    tangent.def_impl(fail)
    tangent.def_abstract_eval(lambda aval: aval)
    mlir.register_lowering(tangent, fail)
    batching.primitive_batchers[tangent] = fail  # jacfwd maps the tangent map over a basis
    ad.deflinear2(tangent, lambda cotangent, _: [cotangent])

    identity = Primitive("reverse_only")
    identity.def_impl(lambda x: x)
    identity.def_abstract_eval(lambda aval: aval)
    mlir.register_lowering(identity, mlir.lower_fun(lambda x: x, multiple_results=False))
    batching.defvectorized(identity)

    def push(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (change,) = tangents
        return identity.bind(*primals), change if isinstance(change, ad.Zero) else tangent.bind(change)

    ad.primitive_jvps[identity] = push
    return identity.bind
