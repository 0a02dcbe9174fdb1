"""A sequence run in pieces: the carry goes from one to the next, and what is asked of the outputs is joined."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gatedrnn._jax import varying_alike
from gatedrnn._outputs import Outputs
from gatedrnn._segments import over_segments

Run = Callable[[Any, dict[str, Any]], tuple[Any, Any]]


def over_pieces(
    run: Run, state: Any, steps: dict[str, Any], outputs: Outputs, length: int, reverse: bool
) -> tuple[Any, Any]:
    """Runs pieces of `length` steps, the last one what is left.

    Args:
        run: `(state, steps [K, ...]) -> (state, part)`.
        state: handed from piece to piece, in the order of time, or against it if `reverse`.
        steps: as `Sequence.steps`, [T, ...] each.
        outputs: how parts are joined.
        length: K.
        reverse: whether the last piece is run first.

    Returns:
        The last state and the part of the whole sequence.
    """

    def segment(state: tuple[Any, Any], steps: Any, _: None) -> tuple[Any, Any, None]:
        before, total = state
        after, part = run(before, steps)
        if outputs.per_step:
            return (after, None), part, None
        return (after, outputs.join(total, part)), None, None

    empty = None
    if not outputs.per_step:  # what no step gives: zeros
        one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), steps)
        empty = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(run, state, one)[1])
        _, empty = varying_alike((state, empty))
    (end, total), parts, _ = over_segments(segment, (state, empty), steps, (None, None), length, reverse)
    return end, parts if outputs.per_step else total
