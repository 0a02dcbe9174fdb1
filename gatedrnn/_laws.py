"""The laws of cells and of methods, tried on a small problem of random numbers: which hold, and which do not.

A cell                                                      A method
    fit          weights, gates and carry go together           values       those of `Autodiff`
    affine       JAX can transpose `recur`                      gradients    those of `Autodiff`
    elementwise  no unit sees another in `pointwise`            last         each row's last step that is run
    keeps        the gate named is d after / d before           readout      a sum over the steps that are run
    batch        rows are what they are alone                   mask         a masked step is as if deleted
    mask         a masked step is as if deleted                 reset        a reset is a fresh start
    reset        a reset is a fresh start                       direction    `reverse` is the flipped sequence
    gradient     `Segmented` is `Autodiff`                      empty        no steps: the carry as it was
    noise        one key, one set of numbers
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_size, fail
from gatedrnn._contract import affine, elementwise
from gatedrnn._jacobian import kept
from gatedrnn._method import Method, check_method_value
from gatedrnn._outputs import Readout
from gatedrnn._problem import B, Law, Problem, apart, gradient_law, mask_law, reset_law
from gatedrnn._unroll import gate_activations
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.checkpointed import Checkpointed
from gatedrnn.methods.segmented import Segmented


def check_cell(cell: Cell, *, input_size: int = 3, hidden_size: int = 4, **options: Any) -> tuple[str, ...]:
    """Tries the laws of a cell.

    Args:
        cell: any `Cell`; one with `step` alone is asked for those that it can have.
        input_size: D of the problem.
        hidden_size: H of the problem.
        options: of the cell's `init`.

    Returns:
        The laws that were tried; all of them hold.

    Raises:
        ValueError: some do not; the message names each and says how.

    Example:
        >>> import gatedrnn as gr
        >>> gr.check_cell(gr.gru)
        ('fit', 'affine', 'elementwise', 'keeps', 'batch', 'mask', 'reset', 'gradient')
    """
    if not isinstance(cell, Cell):
        raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", repr(cell))
    sizes = check_size("input_size", input_size), check_size("hidden_size", hidden_size)
    problem = Problem(cell, *sizes, options)
    laws: dict[str, Law] = {"fit": lambda: _fit(problem)}
    if cell.factored:
        laws |= {
            "affine": lambda: affine(cell, problem.params, problem.carry.h),
            "elementwise": lambda: _elementwise(problem),
            "keeps": lambda: _keeps(problem),
        }
    laws |= {
        "batch": lambda: _batch(problem),
        "mask": lambda: mask_law(problem, Autodiff()),
        "reset": lambda: reset_law(problem, Autodiff()),
    }
    if cell.in_segments:
        laws["gradient"] = lambda: gradient_law(problem, Segmented(3))
    if cell.training is not None:
        laws["noise"] = lambda: _noise(problem)
    return _tried("cell", cell.name, laws)


def check_method(method: Method, *, cells: Iterable[Cell] = ()) -> tuple[str, ...]:
    """Tries the laws of a method.

    Args:
        method: any `Method`. (`Truncated` breaks the law of gradients, as it should.)
        cells: those that it is tried on; `gr.rnn`, `gr.gru` and `gr.lstm` where none are given.

    Returns:
        The laws that were tried; all of them hold.

    Raises:
        ValueError: some do not; the message names each, with the cell, and says how.

    Example:
        >>> import gatedrnn as gr
        >>> gr.check_method(gr.Segmented(2), cells=[gr.lstm])
        ('values', 'gradients', 'last', 'readout', 'mask', 'reset', 'direction', 'empty')
    """
    from gatedrnn.cells import CLASSICS

    method = check_method_value(method)
    names: tuple[str, ...] = ()
    for cell in tuple(cells) or CLASSICS.values():
        problem = Problem(cell, 3, 4, {})
        names = _tried("method", f"{method!r} with the cell {cell.name!r}", _laws_of(method, problem))
    return names


def _laws_of(method: Method, problem: Problem) -> dict[str, Law]:
    flags = {"mask": problem.mask, "reset": problem.reset}
    readout = Readout(_squares, jnp.float32(2.0), problem.xs[..., 0])

    def same(**options: Any) -> Law:
        return lambda: apart(problem.run(method, **options), problem.run(Autodiff(), **options))

    def flipped() -> str | None:
        end, ys = problem.run(method, reverse=True)
        return apart((end, ys[::-1]), problem.run(Autodiff(), xs=problem.xs[::-1]))

    return {
        "values": same(**flags),
        "gradients": lambda: gradient_law(problem, method, **flags),
        "last": same(**flags, outputs="last"),
        "readout": same(**flags, outputs=readout),
        "mask": lambda: mask_law(problem, method),
        "reset": lambda: reset_law(problem, method),
        "direction": flipped,
        "empty": lambda: apart(problem.run(method, xs=problem.xs[:0])[0], problem.carry),
    }


def _squares(scale: Array, ys: Array, targets: Array) -> Array:
    return jnp.square(scale * ys).sum(-1) + targets


def _tried(argument: str, name: str, laws: dict[str, Law]) -> tuple[str, ...]:
    """The names of the laws, or the ValueError that says which fail; a law that cannot be tried has failed."""
    broken = {}
    for law, attempt in laws.items():
        try:
            wrong = attempt()
        except Exception as error:  # the cell's own, of any kind
            wrong = (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
        if wrong:
            broken[law] = wrong
    if broken:
        listed = "; ".join(f"{law}: {wrong}" for law, wrong in broken.items())
        raise fail(argument, "one that keeps the laws", f"{name}, which breaks {len(broken)} of them: {listed}")
    return tuple(laws)


def _fit(problem: Problem) -> str | None:
    """One step is taken; the options that the cell names are options of its `init`."""
    cell = problem.cell
    problem.run(xs=problem.xs[:1])
    if cell.horizon_option:
        width, hidden = problem.xs.shape[-1], jax.tree.leaves(problem.carry)[0].shape[-1]
        cell.init(jax.random.key(0), width, hidden, **{cell.horizon_option: 10})
    if cell.activations is not None:
        found = gate_activations(cell, problem.params, problem.xs)
        if found._fields != cell.gates:
            return f"`activations` names {found._fields}, `gates` {cell.gates}"
    return None


def _noise(problem: Problem) -> str | None:
    """A key changes the numbers, the same key into the same ones, however the sequence is run."""
    plain = Segmented(3) if problem.cell.in_segments else Autodiff()
    found = problem.gradients(plain, key=jax.random.key(1))
    if apart(found, problem.gradients(plain)) is None:
        return "a key changes nothing"
    for method in (Autodiff(), Checkpointed(2, plain)):
        wrong = apart(problem.gradients(method, key=jax.random.key(1)), found)
        if wrong:
            return wrong
    return None


def _halves(problem: Problem) -> tuple[Any, Any, Any]:
    cell, params = problem.cell, problem.params
    gates_x = cell.project(params.input, problem.xs[0])
    return gates_x, cell.heard(params, problem.carry.h), problem.carry


def _elementwise(problem: Problem) -> str | None:
    found = elementwise(problem.cell, problem.params, *_halves(problem))
    return None if found is None else f"`{found}` in `pointwise` mixes units or depends on the number of rows"


def _keeps(problem: Problem) -> str | None:
    cell, (gates_x, gates_h, carry) = problem.cell, _halves(problem)
    if not cell.keeps:
        return None
    unit = problem.params.spread(carry.h)
    gate = getattr(cell.activations(gates_x, gates_h, carry, *unit), cell.keeps.removeprefix("1 - "))
    factor = kept(cell, gates_x, gates_h, carry, unit)
    return apart(1 - gate if cell.keeps.startswith("1 - ") else gate, factor)


def _batch(problem: Problem) -> str | None:
    def alone(row: int) -> Any:
        return problem.run(xs=problem.xs[:, row], carry=jax.tree.map(lambda a: a[row], problem.carry))

    rows = [alone(row) for row in range(B)]
    ends = jax.tree.map(lambda *parts: jnp.stack(parts), *(end for end, _ in rows))
    return apart(problem.run(), (ends, jnp.stack([ys for _, ys in rows], axis=1)))
