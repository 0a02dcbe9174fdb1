"""unroll: checks its arguments, then joins one cell with one method.

carry_t, y_t = cell.step(params, carry_{t-1}, x_t)        t = 1..T
"""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Carry, Cell
from gatedrnn._check import fail
from gatedrnn._readout import Outputs, Readout, check_outputs, collected
from gatedrnn._sequence import Sequence, check_sequence, poison, quarantine
from gatedrnn._step import restart, select
from gatedrnn.composed.checkpointed import Checkpointed
from gatedrnn.composed.sharded import Sharded
from gatedrnn.composed.truncated import Truncated
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.segmented import Segmented

Method = Autodiff | Segmented | Checkpointed | Truncated | Sharded


def unroll(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
    method: Method = Segmented(),
    outputs: Outputs = "all",
) -> tuple[Carry, Any]:
    """Runs a cell over a sequence.

    Compiled once per cell, method, shapes and dtypes; differentiable in `params`, `xs` and `carry`.

    Args:
        cell: `gr.rnn`, `gr.gru`, `gr.lstm` or any other `Cell`.
        params: the cell's weights, from `cell.init`.
        xs: inputs, time-major, [T, B, D] or [T, D]; floating, no wider than the weights. T may be 0.
        carry: the carry before the first step, [B, H] each (or [H]); by default `cell.initial_carry`, zeros.
        mask: bool [T, B] or [T]. False holds the carry and gives a zero output, as if the step were not there.
        reset: bool [T, B] or [T]. True starts that step from `cell.initial_carry`; at a masked step it does nothing.
        reverse: run from the last step to the first; each output stays at its input's place.
        method: how to evaluate and differentiate: `Segmented()`, `Autodiff()`, `Checkpointed()`, `Truncated(window)` or
            `Sharded(mesh)`. All compute the same function, and all but `Truncated` the same gradient.
        outputs: `"all"`; `"last"`, the output of the step that is run last; or a `Readout`, whose sum over time is
            returned instead. With `Checkpointed`, the outputs [T, B, H] then never exist.

    Returns:
        The carry after the last step, and the outputs `ys` [T, B, H] or [T, H] (the last one, [B, H] or [H]; the
        readout's total, [B, ...] or [...]). Float32 for 16-bit weights.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure.
        TypeError: forward mode or a second derivative was asked of `Segmented`.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> carry, ys = gr.unroll(gr.lstm, params, jax.numpy.ones((100, 4, 8)))
        >>> ys.shape, carry.c.shape
        ((100, 4, 16), (4, 16))
    """
    if not isinstance(method, Method):
        raise fail("method", "a value such as Segmented() or Autodiff()", repr(method))
    sequence = check_sequence(cell, params, xs, carry, mask, reset)
    check_outputs(outputs, jnp.shape(xs)[:-1])
    kind, readout = ("total", outputs) if isinstance(outputs, Readout) else (outputs, None)
    batched = jnp.ndim(xs) == 3
    if readout is not None and not batched:
        readout = replace(readout, targets=jax.tree.map(lambda a: jnp.asarray(a)[:, None], readout.targets))
    carry, found = _unroll(cell, method, bool(reverse), kind, params, sequence, readout)
    if batched:
        return carry, found
    return jax.tree.map(lambda a: a[0], carry), jax.tree.map(lambda a: a[:, 0] if kind == "all" else a[0], found)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _unroll(
    cell: Cell, method: Method, reverse: bool, kind: str, params: Any, sequence: Sequence, readout: Readout | None
) -> tuple[Carry, Any]:
    sequence, poisoned = quarantine(sequence, reverse)
    outputs: Outputs = kind if readout is None else readout
    if isinstance(method, Checkpointed):
        end, found = method.collect(cell, params, sequence, poisoned, reverse, outputs)
    else:
        end, ys = method(cell, params, sequence, reverse)
        weights, targets = (None, None) if readout is None else (readout.params, readout.targets)
        found = collected(outputs, weights, ys, targets, sequence.mask, poisoned, reverse)
    return poison(None if poisoned is None else poisoned[0 if reverse else -1], end), found


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
        cell: a cell with `activations`, such as `gr.rnn`, `gr.gru` and `gr.lstm`.
        params: the cell's weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: as in `unroll`.
        mask: as in `unroll`; at a masked step the gates are zero.
        reset: as in `unroll`.

    Returns:
        A NamedTuple of [T, B, H] or [T, H], fields as in `cell.gates`: `input, forget, candidate, output` for the LSTM,
        `reset, update, candidate` for the GRU.

    Raises:
        ValueError: the cell does not name its gates, or an argument has the wrong rank, width, dtype or structure.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 1, 2, forget_bias=3.0)
        >>> gates = gr.gate_activations(gr.lstm, params, jax.numpy.zeros((5, 1)))
        >>> gates.forget[0].round(3).tolist()
        [0.953000009059906, 0.953000009059906]
    """
    if not isinstance(cell, Cell) or cell.activations is None:
        raise fail("cell", "a Cell whose `activations` names its gates", repr(cell))
    sequence = check_sequence(cell, params, xs, carry, mask, reset)
    gates = _gate_activations(cell, params, sequence)
    return gates if jnp.ndim(xs) == 3 else jax.tree.map(lambda a: a[:, 0], gates)


@functools.partial(jax.jit, static_argnums=0)
def _gate_activations(cell: Cell, params: Any, sequence: Sequence) -> Any:
    sequence, poisoned = quarantine(sequence, False)
    xs, carry, initial, mask, reset = sequence
    _, hs = Segmented()(cell, params, sequence, False)  # [T, B, H]; a masked step's row holds the carry's h
    before = jnp.concatenate([carry.h[None], hs[:-1]])[: xs.shape[0]]
    before = restart(reset, jnp.broadcast_to(initial.h, before.shape), before)
    gates = cell.activations(cell.project(params.input, xs), cell.recur(params.recurrent, before))
    return poison(poisoned, select(mask, gates, jax.tree.map(jnp.zeros_like, gates)))
