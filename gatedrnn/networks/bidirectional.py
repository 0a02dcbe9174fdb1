"""A sequence read in both directions, by two cells that know nothing of each other.

f_t = forward cell over x_1 ... x_t
b_t = backward cell over x_T ... x_t
y_t = merge(f_t, b_t)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key, fail, shown
from gatedrnn._forms import serialisable
from gatedrnn._method import Method, run_whole
from gatedrnn._noise import joined, parted
from gatedrnn._outputs import All, Last, Outputs
from gatedrnn._sequence import Sequence, apart_from_nan
from gatedrnn.networks._layers import as_cell, check_layer, method_for

MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda f, b: jnp.concatenate([f, b], axis=-1),
    "sum": lambda f, b: f + b,
    "mean": lambda f, b: (f + b) / 2,
    "product": lambda f, b: f * b,
}


@serialisable
class BidirectionalParams(NamedTuple):
    """The weights of both cells."""

    forward: Any
    backward: Any


@serialisable
class BidirectionalState(NamedTuple):
    """The carries of both cells: after the step that each runs last."""

    forward: Any
    backward: Any


@jax.tree_util.register_static
@dataclass(frozen=True)
class Directions:
    """How both directions are run."""

    forward: Cell
    backward: Cell
    merge: str
    noisy: bool = False

    causal = False

    def init(
        self,
        key: Array,
        input_size: int,
        hidden_size: int,
        *,
        dtype: DTypeLike = jnp.float32,
        like: BidirectionalParams | None = None,
        **options: Any,
    ) -> BidirectionalParams:
        """Draws the weights of both cells, each by its own `init`, of H = `hidden_size` units each.

        Args:
            key: a `jax.random.key`.
            input_size: D.
            hidden_size: H.
            dtype: of every weight.
            like: weights, or their shapes, from which each cell reads those options that shape them, such as `heads`.
            options: those of the cells' `init`, handed to both.
        """
        forward, backward = jax.random.split(check_key("key", key))
        ahead, back = options, options
        if like is not None:
            ahead = options | self.forward.options_of(like.forward)
            back = options | self.backward.options_of(like.backward)
        return BidirectionalParams(
            self.forward.draw(forward, input_size, hidden_size, dtype, **ahead),
            self.backward.draw(backward, input_size, hidden_size, dtype, **back),
        )

    def options_of(self, params: BidirectionalParams) -> dict[str, Any]:
        """The weights themselves: each direction's show its own."""
        return {"like": params}

    def initial_carry(self, params: BidirectionalParams, batch_size: int | None = None) -> BidirectionalState:
        """The first carries of both cells."""
        return BidirectionalState(
            self.forward.initial_carry(params.forward, batch_size),
            self.backward.initial_carry(params.backward, batch_size),
        )

    def step(
        self, params: BidirectionalParams, carry: BidirectionalState, x: Array
    ) -> tuple[BidirectionalState, Array]:
        """The whole of a sequence of one step: x [B, D] -> the carries after it, y [B, ...]."""
        (ahead, x_ahead), (back, x_back) = self._read(x)
        forward, f = ahead.step(params.forward, carry.forward, x_ahead)
        backward, b = back.step(params.backward, carry.backward, x_back)
        return BidirectionalState(forward, backward), self._merged(f, b)

    def __call__(
        self, method: Method, params: BidirectionalParams, sequence: Sequence, outputs: Outputs
    ) -> tuple[BidirectionalState, Any]:
        """Each direction by the method; what is last is that of each direction, merged."""
        wanted: Outputs = outputs if isinstance(outputs, Last) else All()
        (ahead, x_ahead), (back, x_back) = self._read(sequence.xs)
        one = replace(sequence, xs=x_ahead, carry=sequence.carry.forward, initial=sequence.initial.forward, targets=())
        other = replace(
            sequence,
            xs=x_back,
            carry=sequence.carry.backward,
            initial=sequence.initial.backward,
            reset=turned(sequence.reset, sequence.mask, sequence.reverse),
            reverse=not sequence.reverse,
            targets=(),
        )
        forward, f = run_whole(method_for(ahead, method), ahead, params.forward, one, wanted)
        backward, b = run_whole(method_for(back, method), back, params.backward, other, wanted)
        carry = BidirectionalState(forward, backward)
        if isinstance(outputs, Last):
            return carry, (self._merged(f[0], b[0]), f[1])
        return carry, outputs.of(sequence, apart_from_nan(sequence, self._merged, f, b))

    def _merged(self, f: Array, b: Array) -> Array:
        """One output of two, [..., H] each."""
        if self.merge != "concat" and f.shape != b.shape:
            expected = f"such that both cells show outputs of one width, for merge={self.merge!r}"
            raise fail("params", expected, f"{f.shape[-1]} and {b.shape[-1]}")
        return MERGES[self.merge](f, b)

    def _read(self, x: Array) -> tuple[tuple[Cell, Array], tuple[Cell, Array]]:
        """Each direction's cell and what it reads."""
        cells = (self.forward, self.backward)
        if not self.noisy:
            return (cells[0], x), (cells[1], x)
        x, noise = parted(x)
        found = [
            (cell, x) if cell.training is None else (cell.training, joined(x, noise.salted(-salt)))
            for salt, cell in enumerate(cells, 1)
        ]
        return found[0], found[1]


def turned(reset: Array | None, mask: Array | None, reverse: bool) -> Array | None:
    """The resets of the other direction: an episode that begins at a step ends at the step before it that is run.

    Args:
        reset: bool [T, B], where an episode begins, in the direction of `reverse`.
        mask: bool [T, B], or None.
        reverse: whether the last step is run first.
    """
    if reset is None or reset.shape[0] == 0:
        return reset
    if reverse:
        return _ends(reset[::-1], None if mask is None else mask[::-1])[::-1]
    return _ends(reset, mask)


def _ends(reset: Array, mask: Array | None) -> Array:
    """Where episodes end, in the order of the steps."""
    steps = reset.shape[0]
    places = jnp.broadcast_to(jnp.arange(steps)[:, None], reset.shape)  # [T, B]
    run = places if mask is None else jnp.where(mask, places, steps)
    following = jax.lax.cummin(run, reverse=True)  # the next step that is run, this one or later
    following = jnp.concatenate([following[1:], jnp.full_like(following[:1], steps)])
    found = jnp.take_along_axis(reset, jnp.minimum(following, steps - 1), axis=0)
    return found & (following < steps)


def bidirectional(forward: Cell, backward: Cell | None = None, *, merge: str = "concat") -> Cell:
    """A network that reads a sequence in both directions.

    Masked steps are as if deleted in both, whichever side padding is on; an episode that `reset` begins is read from
    its own last step. It has no single steps to be run by, so no `Autodiff` step loop sees it whole: each direction is
    run by the method. Its carry is a `BidirectionalState`; with `outputs="last"`, each direction's own last output.

    Args:
        forward: the cell that runs as `unroll` is told; a network, too.
        backward: the one that runs the other way; by default the same cell, with weights of its own.
        merge: of the two outputs: `"concat"` (forward first), `"sum"`, `"mean"` or `"product"`.

    Raises:
        ValueError: a cell is none, or `merge` is another word.

    Example:
        >>> import jax, gatedrnn as gr
        >>> both = gr.bidirectional(gr.gru)
        >>> params = both.init(jax.random.key(0), 3, 8)
        >>> carry, ys = gr.unroll(both, params, jax.numpy.ones((100, 4, 3)))
        >>> ys.shape, carry.backward.h.shape
        ((100, 4, 16), (4, 8))

    References:
        Schuster, Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997,
        https://doi.org/10.1109/78.650093
    """
    forward = check_layer("forward", forward)
    backward = forward if backward is None else check_layer("backward", backward)
    if not isinstance(merge, str) or merge not in MERGES:
        raise fail("merge", f"one of {', '.join(MERGES)}", shown(merge))
    run = Directions(forward, backward, merge)
    words = [forward.name] + [backward.name] * (backward != forward) + [f"merge={merge}"] * (merge != "concat")
    horizon = forward.horizon_option if forward.horizon_option == backward.horizon_option else ""
    noisy = forward.training is not None or backward.training is not None
    return as_cell(run, f"bidirectional({', '.join(words)})", horizon, noisy)
