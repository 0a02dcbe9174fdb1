"""What a method does with a cell, and why: each cell of a network is asked for, nothing is run."""

from dataclasses import dataclass, replace
from typing import Any

import jax
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._contract import check_asked
from gatedrnn._forms import Carry
from gatedrnn._jax import varying_alike
from gatedrnn._method import Method, check_method_value
from gatedrnn._outputs import All
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn._visit import outputs_of, visit
from gatedrnn.methods._way import ALONE, ASKED, Way
from gatedrnn.methods.auto import Auto
from gatedrnn.networks._layers import method_for


@dataclass(frozen=True)
class Explained:
    """How one cell is run.

    Attributes:
        cell: its name.
        steps: T; where the method runs pieces by another, that of a piece, but for the rest.
        batch: B, likewise.
        input_size: D, what it reads.
        hidden_size: H, what it shows.
        forward: what runs where no derivative is asked for: `scan`, the cell's own step in one `lax.scan`; `segments`,
            as `Segmented` runs it; `kernel`, one of `Fused` per segment; else the method, as it was given.
        gradient: what runs where one is, likewise.
        length: steps per segment, K, or None.
        why: the reason, in a sentence.
    """

    cell: str
    steps: int
    batch: int
    input_size: int
    hidden_size: int
    forward: str
    gradient: str
    length: int | None
    why: str

    def __str__(self) -> str:
        sizes = f"B = {self.batch}, D = {self.input_size}, H = {self.hidden_size}, T = {self.steps}"
        length = f", K = {self.length}" if self.length else ""
        return f"{self.cell} ({sizes}): forward {self.forward}, gradient {self.gradient}{length}; {self.why}"


def explain(
    cell: Cell, params: Any, xs: Array | jax.ShapeDtypeStruct, *, method: Method | None = None
) -> tuple[Explained, ...]:
    """How `unroll` runs a cell, or each cell of a network, and why; nothing is run.

    Args:
        cell: any cell.
        params: its weights, or their shapes.
        xs: inputs [T, B, D] or [T, D], or a `jax.ShapeDtypeStruct` of them.
        method: as in `unroll`; `Auto()` where none is given. Of one that runs pieces by another, that one is asked
            about a piece.

    Returns:
        One `Explained` per cell, in the order in which they are run.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, or `unroll` would refuse the method for
            the cell.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lem.init(jax.random.key(0), 8, 16)
        >>> xs = jax.ShapeDtypeStruct((1000, 4, 8), "float32")
        >>> print(gr.explain(gr.lem, params, xs)[0])
        lem (B = 4, D = 8, H = 16, T = 1000): forward scan, gradient scan; the cell has `step` alone
    """
    found: list[Explained] = []
    method, xs = check_method_value(Auto() if method is None else method), check_asked(cell, params, xs)
    network = cell.network is not None

    def ask(cell: Cell, params: Any, sequence: Sequence) -> tuple[Carry, Array]:
        ys = outputs_of(cell, params, sequence)
        asked, piece = _innermost(method, sequence)
        steps, batch, width = piece.xs.shape
        inside = method_for(cell, asked) if network else asked
        way = _way(inside, cell, params, piece) if inside is asked else Way("scan", "scan", None, ALONE)
        found.append(Explained(cell.name, steps, batch, width, ys.shape[-1], *way))
        return sequence.carry, ys

    def run(params: Any, xs: Array) -> Any:
        params, sequence = varying_alike((params, check_sequence(cell, params, xs, None, stepwise=False)))
        return visit(cell, params, sequence, All(), ask, apart=True)

    jax.eval_shape(run, params, xs)
    return tuple(found)


def _innermost(method: Any, sequence: Sequence) -> tuple[Any, Sequence]:
    """What runs the pieces of a `Checkpointed`, `Truncated` or `Sharded`, and such a piece."""
    while getattr(method, "method", None) is not None:
        if hasattr(method, "piece"):
            steps, rows = method.piece(*sequence.xs.shape[:2])
            carry, initial = jax.tree.map(lambda a, rows=rows: a[:rows], (sequence.carry, sequence.initial))
            sequence = replace(sequence, xs=sequence.xs[:steps, :rows], carry=carry, initial=initial)
        method = method.method
    return method, sequence


def _way(method: Any, cell: Cell, params: Any, sequence: Sequence) -> Way:
    if hasattr(method, "way"):
        return method.way(cell, params, sequence)
    return Way(repr(method), repr(method), None, ASKED)
