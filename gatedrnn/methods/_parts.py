"""`pointwise` taken apart: what each part of the carry reads, found in its jaxpr.

The LSTM's c' = f c + i g reads three gates and c; its h' = o tanh(c') reads the output gate and c', not all that c' was
made of. Where one part reads another one, the derivative of the first has that one as a value of its own: the LSTM has
six blocks, four of c' and two of h', where both parts by all gates and the whole carry would be twelve.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

from gatedrnn._cell import Carry, Cell, Gates

Value = tuple[str, int]
"""`("x", gate)`, `("h", gate)`: the halves of a pre-activation; `("before", part)`, `("after", part)`: of the carry."""


class Part(NamedTuple):
    """One part of the carry after a step.

    Attributes:
        place: which of the carry's parts it is.
        reads: the values that it is made of.
        function: takes the arrays of those values, gives the part.
    """

    place: int
    reads: tuple[Value, ...]
    function: Callable[..., Array]

    def pull(self, values: dict[Value, Array]) -> tuple[Array, dict[Value, Array]]:
        """The part, and the diagonal of its derivative by every value that it reads."""
        out, pull = jax.vjp(self.function, *(values[value] for value in self.reads))
        return out, dict(zip(self.reads, pull(jnp.ones_like(out)), strict=True))

    def affine_in(self, value: Value, values: dict[Value, Array]) -> bool:
        """Whether every equation between the value v and the part is affine in v; the part is then a v + b.

        An affine part that is made of others is not recognised.
        """
        like = [jax.ShapeDtypeStruct(values[each].shape, values[each].dtype) for each in self.reads]
        jaxpr = jax.make_jaxpr(self.function)(*like).jaxpr
        moving = {jaxpr.invars[self.reads.index(value)]}  # what depends on v
        for equation in jaxpr.eqns:
            moves = [isinstance(var, core.Var) and var in moving for var in equation.invars]
            if any(moves):
                if not _affine_equation(equation, moves):
                    return False
                moving |= set(equation.outvars)
        return True


def _affine_equation(equation: core.JaxprEqn, moves: list[bool]) -> bool:
    """Whether an equation is affine in those of its operands that move together."""
    name = equation.primitive.name
    if name == "mul":
        return sum(moves) == 1
    if name == "div":
        return not moves[1]
    if name == "select_n":
        return not moves[0]
    return name in ("add", "add_any", "sub", "neg", "broadcast_in_dim", "reshape")


def take_apart(cell: Cell, gates_x: Gates, gates_h: Gates, carry: Carry) -> list[Part]:
    """The parts of `cell.pointwise`, each after those that it reads; of the arrays only shapes matter."""
    count = len(gates_x)

    def flat(*arrays: Array) -> tuple[Array, ...]:
        return tuple(cell.pointwise(arrays[:count], arrays[count : 2 * count], type(carry)(*arrays[2 * count :])))

    closed = jax.make_jaxpr(flat)(*gates_x, *gates_h, *carry)
    jaxpr = closed.jaxpr
    inputs = [(kind, gate) for kind in "xh" for gate in range(count)] + [("before", i) for i in range(len(carry))]
    values: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    for index, var in enumerate(jaxpr.outvars):
        if isinstance(var, core.Var):
            values.setdefault(var, ("after", index))
    nameless = jaxpr.debug_info._replace(arg_names=None, result_paths=None)  # a part has fewer variables
    parts = []
    for index, var in enumerate(jaxpr.outvars):
        own = {} if values.get(var, ("", 0))[0] != "after" else {var: values[var]}
        equations, needed = _needed(jaxpr, var, values.keys() - own.keys())
        reads = [other for other in values if other in needed]
        inner = jaxpr.replace(invars=reads, outvars=[var], eqns=equations, debug_info=nameless)
        function = core.jaxpr_as_fun(core.ClosedJaxpr(inner, closed.consts))
        parts.append(Part(index, tuple(values[other] for other in reads), lambda *arrays, f=function: f(*arrays)[0]))
    return _in_order(parts)


def _needed(jaxpr: core.Jaxpr, out: Any, given: set[Any]) -> tuple[list[core.JaxprEqn], set[Any]]:
    """The equations that make `out` of `given` variables, and those variables of them that it needs."""
    wanted, equations = {out} if isinstance(out, core.Var) else set(), []
    for equation in reversed(jaxpr.eqns):
        if not wanted.isdisjoint(set(equation.outvars) - given):
            equations.append(equation)
            wanted |= {var for var in equation.invars if isinstance(var, core.Var)}
    return equations[::-1], wanted & given


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """Every part after those that it reads."""
    ordered: list[Part] = []
    while len(ordered) < len(parts):
        there = {part.place for part in ordered}
        ordered += [
            part
            for part in parts
            if part.place not in there and all(i in there for kind, i in part.reads if kind == "after")
        ]
    return ordered
