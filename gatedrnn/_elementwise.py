"""Whether a function is elementwise in what it is given, read off its jaxpr: nothing is tried out on numbers.

Every equation that touches a moving value must be of an elementwise primitive between arrays of one shape; what does
not move (weights, constants) may be broadcast to it. A primitive that is not in the list is refused.
"""

from collections.abc import Iterable
from typing import Any

from gatedrnn._jax import Jaxpr, JaxprEqn, Var, inner_jaxprs

NAMES = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil clamp
clz complex conj convert_element_type copy copy_p cos cosh digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge
gt igamma igamma_grad_a igammac imag integer_pow is_finite le le_to lgamma log log1p logistic lt lt_to max min mul ne
neg nextafter not optimization_barrier or polygamma population_count pow pvary random_gamma_grad real reduce_precision
regularized_incomplete_beta rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh
sqrt square stop_gradient sub tan tanh xor zeta
"""
ELEMENTWISE = frozenset(NAMES.split())
SHAPED = frozenset(("broadcast_in_dim", "reshape", "squeeze"))  # elementwise where the shape stays as it is


def mixing(jaxpr: Jaxpr, moving: Iterable[Any]) -> str | None:
    """The name of the first primitive that mixes elements of the `moving` variables, or None where none does."""
    moves = set(moving)
    for equation in jaxpr.eqns:
        touched = [var for var in equation.invars if isinstance(var, Var) and var in moves]
        if not touched:
            continue
        bodies = list(inner_jaxprs(equation))
        found = next(filter(None, (_inside(equation, body, moves) for body in bodies)), None)
        if found or not (bodies or _elementwise(equation, touched)):
            return found or equation.primitive.name
        moves |= set(equation.outvars)
    return None


def _inside(equation: JaxprEqn, body: Jaxpr, moves: set[Any]) -> str | None:
    """`mixing` of what an equation calls; operands beyond the body's variables are none that it reads as elements."""
    if len(body.invars) != len(equation.invars):
        return str(equation.primitive.name)
    pairs = zip(body.invars, equation.invars, strict=True)
    return mixing(body, (inner for inner, outer in pairs if isinstance(outer, Var) and outer in moves))


def _elementwise(equation: JaxprEqn, touched: list[Any]) -> bool:
    """Whether an equation that calls nothing takes each element to the element in its place."""
    if equation.primitive.name not in ELEMENTWISE | SHAPED:
        return False
    shapes = {var.aval.shape for var in (*touched, *equation.outvars)}
    return len(shapes) == 1
