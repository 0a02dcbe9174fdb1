"""`pointwise` taken apart: what each part of the carry reads, found in its jaxpr.

The LSTM's c' = f c + i g reads three gates and c; its h' = o tanh(c') reads the output gate and c', not all that c' was
made of. Where one part reads another one, the derivative of the first has that one as a value of its own: for the LSTM
six blocks, where h' as a function of everything would have nine, three of them zero beside.
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
        place: of the part in the carry.
        reads: the values that it is made of.
        function: of the arrays of those values.
    """

    place: int
    reads: tuple[Value, ...]
    function: Callable[..., Array]

    def pull(self, values: dict[Value, Array]) -> tuple[Array, dict[Value, Array]]:
        """The part, and the diagonal of its derivative by every value that it reads."""
        out, pull = jax.vjp(self.function, *(values[value] for value in self.reads))
        return out, dict(zip(self.reads, pull(jnp.ones_like(out)), strict=True))

    def affine_in(self, value: Value, values: dict[Value, Array]) -> bool:
        """Whether the derivative by `value` does not itself read it."""
        at = self.reads.index(value)
        like = [jax.ShapeDtypeStruct(values[each].shape, values[each].dtype) for each in self.reads]
        slope = lambda *arrays: self.pull(dict(zip(self.reads, arrays, strict=True)))[1][value]
        jaxpr = jax.make_jaxpr(slope)(*like).jaxpr
        _, needed = _needed(jaxpr, jaxpr.outvars[0], set(jaxpr.invars))
        return jaxpr.invars[at] not in needed


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
    parts = []
    for index, var in enumerate(jaxpr.outvars):
        own = {} if values.get(var, ("", 0))[0] != "after" else {var: values[var]}
        equations, needed = _needed(jaxpr, var, values.keys() - own.keys())
        reads = [other for other in values if other in needed]
        inner = jaxpr.replace(invars=reads, outvars=[var], eqns=equations, debug_info=_UNKNOWN)
        function = core.jaxpr_as_fun(core.ClosedJaxpr(inner, closed.consts))
        parts.append(Part(index, tuple(values[other] for other in reads), lambda *arrays, f=function: f(*arrays)[0]))
    return _in_order(parts)


_UNKNOWN = core.DebugInfo("pointwise", "pointwise", None, None)


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
