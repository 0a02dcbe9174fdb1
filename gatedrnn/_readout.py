"""Outputs that are used up as they arise: a readout turns each step's output into numbers, which are summed over time.

total = sum_t function(params, y_t, targets_t)        t = 1..T, masked steps left out

[T, B, H] need never exist: with `Checkpointed`, only a segment's outputs do.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import fail
from gatedrnn._sequence import poison
from gatedrnn._step import select


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params", "targets"], meta_fields=["function"])
@dataclass(frozen=True)
class Readout:
    """A loss, or any other sum over time, of the outputs of `unroll`.

    Attributes:
        function: `(params, ys [K, B, H], targets) -> values`, a pytree of [K, B] or [K, B, ...], for any K; step by
            step alike, since K is not the caller's to choose. A named function, so that it is compiled once.
        params: its weights, a pytree; gradients reach them.
        targets: pytree of [T, B, ...] (or [T, ...] for an unbatched sequence), handed over segment by segment.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> def squared_error(w, ys, targets):
        ...     return jnp.square((ys @ w)[..., 0] - targets)
        >>> params, xs = gr.lstm.init(jax.random.key(0), 1, 8), jnp.ones((1000, 2, 1))
        >>> readout = gr.Readout(squared_error, jnp.zeros((8, 1)), jnp.ones((1000, 2)))
        >>> carry, total = gr.unroll(gr.lstm, params, xs, method=gr.Checkpointed(), outputs=readout)
        >>> total.tolist()
        [1000.0, 1000.0]
    """

    function: Callable[[Any, Array, Any], Any]
    params: Any = ()
    targets: Any = ()

    def total(self, ys: Array, targets: Any, mask: Array | None) -> Any:
        """The sum over steps for `ys [K, B, H]`, `targets [K, B, ...]` and `mask [K, B]`: pytree of [B, ...]."""
        targets = select(mask, targets, jax.tree.map(jnp.zeros_like, targets))  # a NaN there: 0 * NaN in `params`
        values = self.function(self.params, ys, targets)
        for path, value in jax.tree.leaves_with_path(values):
            if jnp.shape(value)[:2] != ys.shape[:2]:
                name = "outputs.function" + jax.tree_util.keystr(path)
                raise fail(name, f"such that its values are [K, B, ...] = {ys.shape[:2]}", jnp.shape(value))
        kept = select(mask, values, jax.tree.map(jnp.zeros_like, values))
        return jax.tree.map(lambda a: a.sum(0), kept)


Outputs = Any
"""`"all"`, `"last"` or a `Readout`."""


def collected(
    outputs: Outputs,
    params: Any,
    ys: Array,
    targets: Any,
    mask: Array | None,
    poisoned: Array | None,
    reverse: bool,
) -> Any:
    """What `outputs` asks of the outputs of some steps: themselves, the last one to be run, or their total.

    Args:
        outputs: `"all"`, `"last"` or a `Readout`, whose function is taken.
        params: the readout's weights.
        ys: [K, B, H]; zero where `mask` is False, NaN where `poisoned` is True.
        targets: the readout's, [K, B, ...].
        mask: [K, B] or None.
        poisoned: [K, B] or None.
        reverse: whether the first step is the last to be run.
    """
    ys = poison(poisoned, select(mask, ys, jnp.zeros_like(ys)))
    if isinstance(outputs, Readout):
        return Readout(outputs.function, params).total(ys, targets, mask)
    if outputs == "all":
        return ys
    return ys[0 if reverse else -1] if ys.shape[0] else jnp.zeros_like(ys, shape=ys.shape[1:])


def check_outputs(outputs: Outputs, steps: tuple[int, ...]) -> None:
    """Raises ValueError where `outputs` is none of the three, or its targets do not match `xs [*steps, D]`."""
    if isinstance(outputs, Readout):
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(outputs.targets)]
        if any(shape[: len(steps)] != steps for shape in shapes):
            raise fail("outputs.targets", f"arrays [{', '.join(map(str, steps))}, ...] to match `xs`", shapes)
    elif outputs not in ("all", "last"):
        raise fail("outputs", "'all', 'last' or a Readout", repr(outputs))
