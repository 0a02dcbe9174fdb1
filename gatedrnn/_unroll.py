"""unroll: checks its arguments, then joins one cell with one method.

carry_t, y_t = cell.step(params, carry_{t-1}, x_t)        t = 1..T
"""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import PartitionSpec

from gatedrnn._cell import CarryT, Cell, ParamsT
from gatedrnn._check import check_array, check_flag, check_key, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import explicit_axes, gathered, row_axes, scan, varying_alike
from gatedrnn._method import Method, check_method_value, run_whole
from gatedrnn._noise import with_noise
from gatedrnn._outputs import All, Outputs, Readout, check_outputs
from gatedrnn._packing import mask_of, reset_of
from gatedrnn._sequence import Sequence, check_inputs, check_sequence, input_size, poison, unbatched
from gatedrnn._step import guarded_step, restart, select
from gatedrnn._visit import visit
from gatedrnn.methods.auto import Auto


def unroll(
    cell: Cell[CarryT, ParamsT],
    params: ParamsT,
    xs: Array,
    carry: CarryT | None = None,
    *,
    mask: Array | None = None,
    reset: Array | None = None,
    lengths: Array | None = None,
    segment_ids: Array | None = None,
    reverse: bool = False,
    batch_major: bool = False,
    key: Array | None = None,
    method: Method | None = None,
    outputs: Any = "all",
) -> tuple[CarryT, Any]:
    """Runs a cell over a sequence.

    Compiled once per cell, method, shapes and dtypes; differentiable in `params`, `xs` and `carry`.

    Args:
        cell: `gr.rnn`, `gr.gru`, `gr.lstm` or any other `Cell`; a network, such as `gr.stack(gr.lstm, gr.lstm)`.
        params: the cell's weights, from `cell.init`.
        xs: inputs, time-major, [T, B, D] or [T, D]; floating, no wider than the weights. T may be 0.
        carry: the carry before the first step, [B, H] each (or [H]); by default `cell.initial_carry`, zeros.
        mask: bool [T, B] or [T]. False holds the carry and gives a zero output, as if the step were not there.
        reset: bool [T, B] or [T]. True starts that step from `cell.initial_carry`; at a masked step it does nothing.
        lengths: whole numbers [B] (or []): the steps of each row that are there, 0 to T; those after them are masked.
        segment_ids: whole numbers [T, B] or [T], for documents packed into one row: where the number changes from one
            step that is run to the next, the step begins anew, as with `reset`.
        reverse: run from the last step to the first; each output stays at its input's place.
        batch_major: `xs` is [B, T, D], and so is everything else with a time axis, the outputs [B, T, H], too.
        key: a `jax.random.key`, for a cell with noise (dropout, zoneout), which without one has none. The same key
            gives the same numbers by every method.
        method: how to evaluate and differentiate: `Segmented()`, `Autodiff()`, `Checkpointed()`, `Truncated(window)`,
            `Sharded(mesh)` or `Fused()`, or a `gr.Method` of your own; by default `Auto()`, whose choice `gr.explain`
            tells. All compute the same function, and all but `Truncated` the same gradient.
        outputs: `"all"`; `"last"`, of each row the output of the step that is run last (zero where none is); or a
            `Readout`, whose sum over time is returned instead. With `Checkpointed`, the outputs [T, B, H] then never
            exist.

    Returns:
        The carry after the last step, and the outputs `ys` [T, B, H] or [T, H] (the last one, [B, H] or [H]; the
        readout's total, [B, ...] or [...]). Float32 for 16-bit weights.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, the weights are not the cell's, or the
            cell breaks a law that the method builds on.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> carry, ys = gr.unroll(gr.lstm, params, jax.numpy.ones((100, 4, 8)))
        >>> ys.shape, carry.c.shape
        ((100, 4, 16), (4, 16))
    """
    method = check_method_value(Auto() if method is None else method)
    xs = check_array("xs", "an array [T, B, D] or [T, D] of a floating dtype", xs)
    turn = check_flag("batch_major", batch_major) and np.ndim(xs) == 3
    found: Outputs = check_outputs(outputs, np.shape(xs)[:-1])
    if turn:
        given = {"xs": xs, "mask": mask, "reset": reset, "segment_ids": segment_ids}
        arrays = {name: _turned(check_array(name, "an array", a)) for name, a in given.items() if a is not None}
        xs, mask, reset, segment_ids = arrays["xs"], *map(arrays.get, ("mask", "reset", "segment_ids"))
        if isinstance(found, Readout):
            found = replace(found, targets=jax.tree.map(_turned, found.targets))
    if lengths is not None or segment_ids is not None:
        xs, mask, reset = check_inputs(xs, mask, reset, input_size(params))
        if lengths is not None:
            mask = mask_of(lengths, xs.shape[:-1], mask)
        if segment_ids is not None:
            reset = reset_of(segment_ids, xs.shape[:-1], mask, reset, reverse)
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    if key is not None and cell.training is None:
        raise fail("key", f"None for the cell {cell.name!r}, which draws nothing", shown(key))
    batched = np.ndim(xs) == 3
    if isinstance(found, Readout):
        targets = found.targets if batched else jax.tree.map(lambda a: jnp.asarray(a)[:, None], found.targets)
        sequence, found = replace(sequence, targets=targets), replace(found, targets=())
    key = None if key is None else check_key("key", key)
    result: tuple[CarryT, Any] = _unroll(cell, method, params, sequence, found, key)
    if turn and found.per_step:
        return result[0], _turned(result[1])
    if batched:
        return result
    return unbatched(result[0]), unbatched(result[1], 1 if found.per_step else 0)


def _turned(a: Any) -> Array:
    """[B, T, ...] -> [T, B, ...], or back; what lacks an axis is refused for it later."""
    a = jnp.asarray(a)
    return jnp.swapaxes(a, 0, 1) if a.ndim > 1 else a


@functools.partial(jax.jit, static_argnums=(0, 1))
def _unroll(
    cell: Cell, method: Method, params: Any, sequence: Sequence, outputs: Outputs, key: Array | None
) -> tuple[Carry, Any]:
    run_by = cell if key is None or cell.training is None else cell.training

    def run(params: Any, sequence: Sequence, outputs: Outputs, key: Array | None) -> tuple[Carry, Any]:
        if key is not None:
            sequence = replace(sequence, xs=with_noise(key, sequence.xs))
        params, sequence, outputs = varying_alike((params, sequence, outputs))
        end, part = run_whole(method, run_by, params, sequence, outputs)
        return end, outputs.value(part)

    if explicit_axes():  # a method need not name the axes in every operation: the compiler splits what it finds split
        rows = row_axes(sequence.xs)
        found = PartitionSpec(None, rows) if outputs.per_step else PartitionSpec(rows)
        run = jax.sharding.auto_axes(run, out_sharding=(PartitionSpec(rows), found))
    return run(params, sequence, outputs, key)


def gate_activations(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    mask: Array | None = None,
    reset: Array | None = None,
) -> Any:
    """The value of every gate at every step, by name.

    Args:
        cell: a cell with `activations`, such as `gr.rnn`, `gr.gru` and `gr.lstm`, or a network of such.
        params: the cell's weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: as in `unroll`.
        mask: as in `unroll`; at a masked step the gates are zero.
        reset: as in `unroll`.

    Returns:
        A NamedTuple of [T, B, H] or [T, H], fields as in `cell.gates`: `input, forget, candidate, output` for the LSTM,
        `reset, update, candidate` for the GRU. Of a network, one for each of its cells, in the places of their carries.

    Raises:
        ValueError: the cell, or one of the network's, names no gates, or an argument has the wrong rank, width,
            dtype or structure.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 1, 2, forget_bias=3.0)
        >>> gates = gr.gate_activations(gr.lstm, params, jax.numpy.zeros((5, 1)))
        >>> gates.forget.shape, round(float(gates.forget[0, 0]), 3)
        ((5, 2), 0.953)
    """
    if not isinstance(cell, Cell) or cell.network is None:
        _check_activations(cell)
    sequence = check_sequence(cell, params, xs, carry, mask, reset, stepwise=False)
    gates = _gate_activations(cell, params, sequence)
    return gates if np.ndim(xs) == 3 else unbatched(gates, 1)


def _check_activations(cell: Any) -> None:
    if not isinstance(cell, Cell) or cell.activations is None:
        raise fail("cell", "a Cell whose `activations` names its gates", repr(cell))


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _gate_activations(cell: Cell, params: Any, sequence: Sequence) -> Any:
    return visit(cell, params, sequence, All(), _gates_of_cell, apart=True)[0]


def _gates_of_cell(cell: Cell, params: Any, sequence: Sequence) -> tuple[Any, Array]:
    _check_activations(cell)
    step = guarded_step(cell, params, sequence.initial)

    def begin(carry: Carry, inputs: Any) -> tuple[Carry, tuple[Carry, Array]]:
        after, y = step(carry, inputs)
        return after, (restart(inputs[2], sequence.initial, carry), y)

    inputs = (sequence.xs, sequence.mask, sequence.reset)
    _, (before, ys) = scan(begin, sequence.carry, inputs, reverse=sequence.reverse)  # [T, B, H] each
    if cell.pointwise is None:
        gates = jax.vmap(cell.activations, in_axes=(None, 0, 0))(params, before, sequence.xs)
    else:
        gates_x, gates_h = cell.halves(params, sequence.xs, before.h)
        gates = cell.activations(gates_x, gates_h, before, *params.spread(before.h))
    return poison(sequence.poisoned, select(sequence.mask, gates, jax.tree.map(jnp.zeros_like, gates))), ys
