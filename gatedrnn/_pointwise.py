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

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry, Gates
from gatedrnn._jax import Jaxpr, JaxprEqn, Var, piece

Value = tuple[str, int]
"""`("x", gate)`, `("h", gate)`: the halves of a pre-activation; `("unit", leaf)`: weights of the units;
`("before", part)`, `("after", part)`: of the carry."""


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
            moves = [isinstance(var, Var) and var in moving for var in equation.invars]
            if any(moves):
                if not _affine_equation(equation, moves):
                    return False
                moving |= set(equation.outvars)
        return True


def _affine_equation(equation: JaxprEqn, moves: list[bool]) -> bool:
    """Whether an equation is affine in those of its operands that move together."""
    name = equation.primitive.name
    if name == "mul":
        return sum(moves) == 1
    if name == "div":
        return not moves[1]
    if name == "select_n":
        return not moves[0]
    return name in ("add", "add_any", "sub", "neg", "broadcast_in_dim", "reshape")


def values_of(gates_x: Gates, gates_h: Gates, before: Carry, unit: tuple[Any, ...]) -> dict[Value, Array]:
    """What a part of the carry can read, by name; in the order of the arguments of `pointwise`."""
    named = {"x": gates_x, "h": gates_h, "before": tuple(before), "unit": jax.tree.leaves(unit)}
    return {(kind, i): array for kind, arrays in named.items() for i, array in enumerate(arrays)}


def take_apart(cell: Cell, values: dict[Value, Array], carry: Carry, unit: tuple[Any, ...]) -> list[Part]:
    """The parts of `cell.pointwise`, each after those that it reads; of the arrays only shapes matter.

    Args:
        cell: in three-function form.
        values: as `values_of` gives them.
        carry: of the cell, for its structure.
        unit: as `Params.spread` gives it, for its structure.
    """
    counts = [sum(kind == name for kind, _ in values) for name in ("x", "h", "before")]
    structure = jax.tree.structure(unit)

    def flat(*arrays: Array) -> tuple[Array, ...]:
        gates_x, gates_h, before, rest = _cut(arrays, counts)
        return tuple(cell.pointwise(gates_x, gates_h, type(carry)(*before), *jax.tree.unflatten(structure, rest)))

    closed = jax.make_jaxpr(flat)(*values.values())
    jaxpr = closed.jaxpr
    names: dict[Any, Value] = dict(zip(jaxpr.invars, values, strict=True))
    for index, var in enumerate(jaxpr.outvars):
        if isinstance(var, Var):
            names.setdefault(var, ("after", index))
    parts = []
    for index, var in enumerate(jaxpr.outvars):
        own = {} if names.get(var, ("", 0))[0] != "after" else {var: names[var]}
        equations, needed = _needed(jaxpr, var, names.keys() - own.keys())
        reads = [other for other in names if other in needed]
        parts.append(Part(index, tuple(names[other] for other in reads), piece(closed, reads, var, equations)))
    return _in_order(parts)


def _cut(arrays: Sequence[Array], counts: Sequence[int]) -> list[tuple[Array, ...]]:
    """Stretches of the given lengths, and the rest."""
    found, start = [], 0
    for count in counts:
        found.append(tuple(arrays[start : start + count]))
        start += count
    return [*found, tuple(arrays[start:])]


def _needed(jaxpr: Jaxpr, out: Any, given: set[Any]) -> tuple[list[JaxprEqn], set[Any]]:
    """The equations that make `out` of `given` variables, and those variables of them that it needs."""
    wanted, equations = {out} if isinstance(out, Var) else set(), []
    for equation in reversed(jaxpr.eqns):
        if not wanted.isdisjoint(set(equation.outvars) - given):
            equations.append(equation)
            wanted |= {var for var in equation.invars if isinstance(var, Var)}
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
