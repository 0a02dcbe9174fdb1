"""How a recurrence is evaluated and differentiated: the contract between `unroll` and its methods.

    method(cell, params, sequence, outputs) -> (carry, outputs.of(sequence, ys))

A method is a hashable value, a frozen dataclass that is registered static, so that equal ones are compiled once. All
compute one function: the steps of `sequence`, in its direction, each by `guarded_step`. A plain loop is a whole method:

    def __call__(self, cell, params, sequence, outputs):
        step = gr.guarded_step(cell, params, sequence.initial)
        carry, ys = jax.lax.scan(
            step, sequence.carry, (sequence.xs, sequence.mask, sequence.reset), reverse=sequence.reverse
        )
        return carry, outputs.of(sequence, ys)

`gr.check_method` runs the laws on a method and says which fails.
"""

from typing import Any, Protocol, runtime_checkable

from gatedrnn._cell import Cell
from gatedrnn._check import check_callable, fail
from gatedrnn._forms import Carry
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence, poison, quarantine


@runtime_checkable
class Method(Protocol):
    """A way to evaluate a cell over a sequence."""

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        """Runs a cell.

        Args:
            cell: what is run.
            params: its weights.
            sequence: over what: checked, batched, time-major; what must not be read is zero.
            outputs: what is wanted of the outputs.

        Returns:
            The carry after the step that is run last, and `outputs.of(sequence, ys)` with ys [T, B, H]; or, where the
            sequence is run in pieces, `outputs.join` of the pieces' parts.
        """


def check_method_value(method: Any, argument: str = "method") -> Method:
    """Returns the method, or raises ValueError where it is no hashable value that can be called."""
    try:
        hash(method)
    except TypeError:
        raise fail(argument, "hashable, so that equal ones are compiled once", repr(method)) from None
    return check_callable(argument, "a value such as Segmented() or Autodiff()", method, 4)


def run_whole(method: Method, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
    """A whole sequence, by a method that is given nothing which must not be read; traceable."""
    if cell.network is not None and not cell.causal:
        return cell.network(method, params, sequence, outputs)
    sequence = quarantine(sequence)
    end, part = method(cell, params, sequence, outputs)
    poisoned = sequence.poisoned
    return poison(None if poisoned is None else poisoned[0 if sequence.reverse else -1], end), part
