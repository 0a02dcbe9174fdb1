"""Whether a function is elementwise in what it is given, read off its jaxpr: nothing is tried out on numbers.

Every equation that touches a moving value must be of an elementwise primitive between arrays of one shape; what does
not move (weights, constants) may be broadcast to it. A primitive that is not in the list is refused. What does not move
may still be made by the number of rows, and is then another one in a segment, which has more of them than a step has:
two outlines, of one function at two sizes, tell.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatedrnn._jax import CALLS, ClosedJaxpr, Jaxpr, JaxprEqn, Var, concrete, inner_jaxprs

NAMES = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil clamp
clz complex conj convert_element_type copy copy_p cos cosh digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge
gt igamma igamma_grad_a igammac imag integer_pow is_finite le le_to lgamma log log1p log2 logistic lt lt_to max min mul
mulhi ne neg nextafter not one_minus_square optimization_barrier or polygamma polynomial population_count pow pvary
random_gamma_grad real reduce_precision regularized_incomplete_beta rem round rsqrt select_n shift_left
shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta
"""
ELEMENTWISE = frozenset(NAMES.split())
DRAWN = frozenset(("random_bits", "rng_bit_generator", "rng_uniform"))
SHAPED = frozenset(("broadcast_in_dim", "reshape", "squeeze"))  # elementwise where the shape stays as it is


def mixing(jaxpr: Jaxpr, moving: Iterable[Any]) -> str | None:
    """The name of the first primitive that mixes elements of the `moving` variables, or None where none does."""
    return _mixing(jaxpr, dict.fromkeys(moving, 0))


def outline(closed: ClosedJaxpr) -> Iterator[tuple[str, Any]]:
    """What a jaxpr computes, without the sizes of what it is given: primitives by name, each with the numbers it holds.

    Equal for one function traced at two sizes, unless it makes something by the size.
    """
    yield from (("constant", _row(const)) for const in closed.consts)
    yield from _outlined(closed.jaxpr)


def _outlined(jaxpr: Jaxpr) -> Iterator[tuple[str, Any]]:
    for equation in jaxpr.eqns:
        yield str(equation.primitive.name), _numbers(equation)
        for body in inner_jaxprs(equation):
            yield from _outlined(body)


def _row(const: Any) -> Any:
    """Shape and bytes of a constant, of its first row where all are equal: any number of those is the same constant."""
    if not concrete(const) or jnp.issubdtype(const.dtype, jax.dtypes.extended):  # a value of a trace, or a key
        return jnp.shape(const)
    rows = np.asarray(const)
    while rows.ndim and len(rows) and (rows == rows[:1]).all():
        rows = rows[0]
    return rows.shape, rows.tobytes()


def _numbers(equation: JaxprEqn) -> Any:
    """Literals, and of parameters those that are numbers of the function; shapes elsewhere follow from the operands."""
    name, params = equation.primitive.name, equation.params
    literals = [repr(var.val) for var in equation.invars if not isinstance(var, Var)]
    if name in ELEMENTWISE:  # an exponent, a number of bits
        return literals, repr(sorted(params.items()))
    if name == "scan":
        return literals, params["length"]
    if name == "iota":
        return literals, params["shape"][params["dimension"]]
    outs: list[Any] = equation.outvars if name in DRAWN else []
    return literals, [out.aval.shape for out in outs]


def _mixing(jaxpr: Jaxpr, moves: dict[Any, int]) -> str | None:
    """The same; `moves` has with each variable how many axes of loops its elements are stacked along."""
    for equation in jaxpr.eqns:
        touched = [var for var in equation.invars if isinstance(var, Var) and var in moves]
        if not touched:
            continue
        name = str(equation.primitive.name)
        if name == "scan":
            found = _loop(equation, moves)
        elif name in CALLS:
            found = _call(equation, moves)
        else:
            found = None if _elementwise(equation, touched) else name
            moves |= dict.fromkeys(equation.outvars, moves[touched[0]])
        if found:
            return found
    return None


def _call(equation: JaxprEqn, moves: dict[Any, int]) -> str | None:
    """Of what an equation calls with its own operands."""
    (body,) = inner_jaxprs(equation)
    pairs = zip(body.invars, equation.invars, strict=True)
    inside = {inner: moves[outer] for inner, outer in pairs if isinstance(outer, Var) and outer in moves}
    found = _mixing(body, inside)
    results = zip(equation.outvars, body.outvars, strict=True)
    moves |= {outer: inside[inner] for outer, inner in results if isinstance(inner, Var) and inner in inside}
    return found


def _loop(equation: JaxprEqn, moves: dict[Any, int]) -> str | None:
    """Of a scan's body. It may take apart what another scan has stacked, as a derivative does, and no axis of units."""
    (body,) = inner_jaxprs(equation)
    rank = lambda var: len(var.aval.shape)
    sliced = [rank(outer) > rank(inner) for inner, outer in zip(body.invars, equation.invars, strict=True)]
    count = sum(rank(outer) == rank(inner) for inner, outer in zip(body.outvars, equation.outvars, strict=True))
    carry = body.invars[len(sliced) - sum(sliced) - count : len(sliced) - sum(sliced)]
    inside = dict.fromkeys(carry, 0)  # what does not move at first may do so later
    for inner, outer, apart in zip(body.invars, equation.invars, sliced, strict=True):
        if isinstance(outer, Var) and outer in moves and inner not in inside:
            inside[inner] = moves[outer] - apart
    if min(inside.values(), default=0) < 0:
        return "scan"
    found = _mixing(body, inside)
    depths = [inside.get(var, 0) if isinstance(var, Var) else 0 for var in body.outvars]
    if any(depths[:count]):
        return "scan"
    moves |= {
        out: depth + (place >= count) for place, (out, depth) in enumerate(zip(equation.outvars, depths, strict=True))
    }
    return found


def _elementwise(equation: JaxprEqn, touched: list[Any]) -> bool:
    """Whether an equation that calls nothing takes each element to the element in its place."""
    if equation.primitive.name not in ELEMENTWISE | SHAPED:
        return False
    shapes = {var.aval.shape for var in (*touched, *equation.outvars)}
    return len(shapes) == 1
