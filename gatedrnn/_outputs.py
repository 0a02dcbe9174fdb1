"""What is asked of the outputs, as values that every method treats alike: all of them, the last, or a sum over time.

part  = outputs.of(sequence, ys)            of some steps: ys [K, B, H]
part  = outputs.join(earlier, later)        in the order of processing
found = outputs.value(part)                 what `unroll` returns

A readout's total is taken piece by piece: with `Checkpointed` [T, B, H] need never exist.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import fail
from gatedrnn._sequence import Sequence, poison
from gatedrnn._step import select


class Outputs(Protocol):
    """What a method does with the outputs of the steps that it has run.

    Attributes:
        per_step: whether a part has one row per step, [K, B, ...], and parts are joined by standing one after the
            other; else a part has one row per sequence, [B, ...], and parts of zeros change nothing.
    """

    per_step: bool

    def of(self, sequence: Sequence, ys: Array) -> Any:
        """The part that these steps give; ys [K, B, H], at masked steps whatever there is."""

    def join(self, earlier: Any, later: Any) -> Any:
        """Of two parts, in the order in which they were run, the part of both; not asked where `per_step`."""

    def value(self, part: Any) -> Any:
        """What the caller is given."""


def _cleaned(sequence: Sequence, ys: Array) -> Array:
    """Zero at masked steps, NaN at poisoned ones."""
    return poison(sequence.poisoned, select(sequence.mask, ys, jnp.zeros_like(ys)))


@jax.tree_util.register_static
@dataclass(frozen=True)
class All:
    """The outputs themselves, [T, B, H]."""

    per_step = True

    def of(self, sequence: Sequence, ys: Array) -> Array:
        return _cleaned(sequence, ys)

    def join(self, earlier: Array, later: Array) -> Array:
        raise TypeError("`outputs` must not be `per_step` to be joined: rows of steps stand one after the other.")

    def value(self, part: Array) -> Array:
        return part


@jax.tree_util.register_static
@dataclass(frozen=True)
class Last:
    """Of each row the output of the step that is run last, [B, H]; zero where none is. A part: it, and whether."""

    per_step = False

    def of(self, sequence: Sequence, ys: Array) -> tuple[Array, Array]:
        ran = jnp.ones(ys.shape[:2], bool) if sequence.mask is None else sequence.mask  # [K, B]
        if ys.shape[0] == 0:
            return jnp.zeros_like(ys, shape=ys.shape[1:]), ran.any(0)
        ys = _cleaned(sequence, ys)
        if sequence.mask is None:
            return ys[0 if sequence.reverse else -1], ran[0]
        steps = jnp.arange(ys.shape[0])[:, None]  # [K, 1]
        last = jnp.argmax(jnp.where(ran, -steps if sequence.reverse else steps, -ys.shape[0]), axis=0)  # [B]
        return jnp.take_along_axis(ys, last[None, :, None], axis=0)[0], ran.any(0)

    def join(self, earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        return select(later[1], later[0], earlier[0]), earlier[1] | later[1]

    def value(self, part: tuple[Array, Array]) -> Array:
        return part[0]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params", "targets"], meta_fields=["function"])
@dataclass(frozen=True)
class Readout:
    """A loss, or any other sum over time, of the outputs of `unroll`: sum_t function(params, y_t, targets_t).

    Masked steps are left out.

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

    per_step = False

    def of(self, sequence: Sequence, ys: Array) -> Any:
        """The sum over these steps: pytree of [B, ...]."""
        mask, targets = sequence.mask, sequence.targets
        targets = select(mask, targets, jax.tree.map(jnp.zeros_like, targets))  # a NaN there: 0 * NaN in `params`
        values = self.function(self.params, _cleaned(sequence, ys), targets)
        for path, value in jax.tree.leaves_with_path(values):
            if jnp.shape(value)[:2] != ys.shape[:2]:
                name = "outputs.function" + jax.tree_util.keystr(path)
                raise fail(name, f"such that its values are [K, B, ...] = {ys.shape[:2]}", jnp.shape(value))
        kept = select(mask, values, jax.tree.map(jnp.zeros_like, values))
        return jax.tree.map(lambda a: a.sum(0), kept)

    def join(self, earlier: Any, later: Any) -> Any:
        return jax.tree.map(jnp.add, earlier, later)

    def value(self, part: Any) -> Any:
        return part


NAMED: dict[str, Outputs] = {"all": All(), "last": Last()}


def check_outputs(outputs: Any, steps: tuple[int, ...]) -> Outputs:
    """The value that `outputs` names or is.

    Raises:
        ValueError: it is none of the three, or its targets do not match `xs [*steps, D]`.
    """
    if isinstance(outputs, Readout):
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(outputs.targets)]
        if any(shape[: len(steps)] != steps for shape in shapes):
            raise fail("outputs.targets", f"arrays [{', '.join(map(str, steps))}, ...] to match `xs`", shapes)
        return outputs
    if isinstance(outputs, str) and outputs in NAMED:
        return NAMED[outputs]
    raise fail("outputs", "'all', 'last' or a Readout", repr(outputs))
