"""A cell that shows, and reads again, a projection of its output to fewer numbers.

m_t, c_t = the cell's `pointwise` of x_t W + b, h_{t-1} U and c_{t-1}        [H]
h_t = m_t P                                                               [P], what is shown and read at the next step

U is [P, G * H] then. The memory c keeps its H units.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key, check_size, fail
from gatedrnn._forms import Carry, Of, Params, serialisable
from gatedrnn._method import Method
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn.initializers import gaussian
from gatedrnn.linear import product
from gatedrnn.networks._layers import PROBED, as_cell, check_layer, method_for


@serialisable
class ProjectedParams(NamedTuple):
    """The weights of a projected cell.

    Attributes:
        cell: the cell's own, with recurrent weights [P, G * H].
        projection: [H, P].
    """

    cell: Params
    projection: Array


@jax.tree_util.register_static
@dataclass(frozen=True)
class Projection:
    """How a projected cell is run: the inputs' product first, of all steps at once, then a loop by JAX's own rules."""

    cell: Cell

    causal = True

    def init(
        self,
        key: Array,
        input_size: int,
        hidden_size: int,
        *,
        projected_size: int | None = None,
        dtype: DTypeLike = jnp.float32,
        **options: Any,
    ) -> ProjectedParams:
        """Draws the cell's weights by its own `init`, of U the first P rows, and the projection with variance 1 / H.

        Args:
            key: a `jax.random.key`.
            input_size: D.
            hidden_size: H, the units of the memory.
            projected_size: P, at most H, the width of the output; by default half of H.
            dtype: of every weight.
            options: those of the cell's `init`.

        Raises:
            ValueError: `projected_size` is not from 1 to H; or as the cell's `init`.
        """
        hidden_size = check_size("hidden_size", hidden_size)
        size = max(hidden_size // 2, 1) if projected_size is None else projected_size
        size = check_size("projected_size", size, most=hidden_size)
        key, key_projection = jax.random.split(check_key("key", key))
        params = self.cell.draw(key, input_size, hidden_size, dtype, **options)
        recurrent = jax.tree.map(lambda a: a[:size], params.recurrent)
        return ProjectedParams(
            params._replace(recurrent=recurrent), gaussian()(key_projection, (hidden_size, size), dtype)
        )

    def options_of(self, params: ProjectedParams) -> dict[str, Any]:
        """P, and what the cell's own weights show."""
        return self.cell.options_of(params.cell) | {"projected_size": params.projection.shape[1]}

    def initial_carry(self, params: ProjectedParams, batch_size: int | None = None) -> Carry:
        """The cell's own, its first P outputs: h [B, P], the rest [B, H]."""
        hidden, size = params.projection.shape
        wide = jax.tree.map(lambda a: jnp.zeros((hidden, *a.shape[1:]), a.dtype), params.cell.recurrent)
        carry = self.cell.initial_carry(params.cell._replace(recurrent=wide), batch_size)
        return carry._replace(h=carry.h[..., :size])

    def step(self, params: ProjectedParams, carry: Carry, x: Array) -> tuple[Carry, Array]:
        """x [B, D] -> the carry after it, y [B, P]."""
        return self._after(params, carry, self.cell.project(params.cell.input, x))

    def gated(self, params: ProjectedParams, carry: Carry, gates_x: Array) -> tuple[Carry, Array]:
        """The step of what `project` gives, side by side: [B, G * H]."""
        return self._after(params, carry, tuple(jnp.split(gates_x, gates_x.shape[-1] // carry[1].shape[-1], axis=-1)))

    def __call__(
        self, method: Method, params: ProjectedParams, sequence: Sequence, outputs: Outputs
    ) -> tuple[Carry, Any]:
        """By the method, or a plain scan in the place of `Segmented`."""
        gates_x = jnp.concatenate(self.cell.project(params.cell.input, sequence.xs), axis=-1)  # [T, B, G * H]
        init, first, step = (Of(self, name) for name in ("init", "initial_carry", "gated"))
        inner: Cell = Cell(f"gated {self.cell.name}", (), init, first, step=step)
        return method_for(inner, method)(inner, params, replace(sequence, xs=gates_x), outputs)

    def _after(self, params: ProjectedParams, carry: Carry, gates_x: tuple[Array, ...]) -> tuple[Carry, Array]:
        gates_h = self.cell.heard(params.cell, carry.h)  # G x [B, H]
        after = self.cell.pointwise(gates_x, gates_h, carry, *params.cell.spread(carry[1]))
        h = product(after.h, params.projection)
        return after._replace(h=h), h


def projected(cell: Cell) -> Cell:
    """The cell with a projection of its output, which is what it shows and what it reads at the next step.

    Fewer weights for as much memory: U is [P, G * H] for outputs of P numbers, the option `projected_size` of `init`.
    The same as torch.nn.LSTM with `proj_size`. Its carry is the cell's, h [B, P] and c [B, H].

    Args:
        cell: `gatedrnn.lstm`, or another whose `pointwise` does not read h, and whose carry has more parts.

    Raises:
        ValueError: `cell` is none, or one that cannot be projected: its units read their own output.

    Example:
        >>> import jax, gatedrnn as gr
        >>> cell = gr.projected(gr.lstm)
        >>> params = cell.init(jax.random.key(0), 3, 8, projected_size=2)
        >>> carry, ys = gr.unroll(cell, params, jax.numpy.ones((100, 4, 3)))
        >>> ys.shape, carry.h.shape, carry.c.shape
        ((100, 4, 2), (4, 2), (4, 8))

    References:
        Sak, Senior, Beaufays, "Long short-term memory recurrent neural network architectures for large scale acoustic
        modeling", 2014, https://doi.org/10.21437/Interspeech.2014-80
    """
    cell = check_layer("cell", cell)
    run = Projection(cell)
    if not cell.bare or not _fits(run):
        raise fail(
            "cell",
            "a cell with a memory beside h, which its `pointwise` does not read, such as gatedrnn.lstm",
            repr(cell.name),
        )
    return as_cell(run, f"projected({cell.name})", cell.horizon_option, False)


def _fits(run: Projection) -> bool:
    """Whether the cell can be stepped with an output of another width than its memory's."""

    def stepped(key: Array) -> Any:
        params = run.init(key, 1, PROBED, projected_size=PROBED // 2)
        carry = run.initial_carry(params, 1)
        return len(carry) > 1 and run.step(params, carry, jnp.zeros((1, 1)))

    try:
        return bool(jax.eval_shape(stepped, jax.random.key(0)))
    except Exception:  # of each primitive its own, where widths do not match
        return False
