"""A recurrence with a readout: what is trained, saved and loaded again.

h = unroll(cell, params.cell, x)        x = xs, or rows of the embedding where xs are symbols
y_t = h_t W + b
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_floating, check_key, check_size, fail, shown
from gatedrnn._forms import Carry, Params, serialisable
from gatedrnn._method import Method
from gatedrnn._unroll import unroll
from gatedrnn.linear import add_bias, product
from gatedrnn.methods.auto import Auto
from gatedrnn.networks import width_of


@serialisable
class ModelParams(NamedTuple):
    """The weights of a model.

    Attributes:
        embedding: [V, D], one row per symbol; None where the inputs are features.
        cell: the cell's weights.
        readout: `w [H, O]` and `b [O]`, with H as wide as the outputs of the cell.
    """

    embedding: Array | None
    cell: Params
    readout: dict[str, Array]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Model:
    """The sizes of a model, and its function.

    Attributes:
        cell: the recurrence.
        input_size: D features; or V, the number of symbols, where there is an embedding.
        hidden_size: H.
        output_size: O.
        embedding_size: D of the embedding of symbols; None for inputs that are features.

    Raises:
        ValueError: a size is not a whole number of at least 1.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    output_size: int
    embedding_size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", shown(self.cell))
        optional = () if self.embedding_size is None else ("embedding_size",)
        for name in ("input_size", "hidden_size", "output_size", *optional):
            object.__setattr__(self, name, check_size(name, getattr(self, name), most=LARGEST))

    def init(self, key: Array, *, dtype: DTypeLike = jnp.float32, **options: Any) -> ModelParams:
        """Draws the weights; the readout's are zero but for N(0, 1 / H) in `w`.

        Args:
            key: a `jax.random.key`.
            dtype: of every weight.
            options: those of the cell's `init`, such as `chrono`.
        """
        check_floating("dtype", dtype)
        key_embedding, key_cell, key_readout = jax.random.split(check_key("key", key), 3)
        embedding = None
        if self.embedding_size is not None:
            embedding = jax.random.normal(key_embedding, (self.input_size, self.embedding_size), dtype)
        width = self.embedding_size or self.input_size
        cell = self.cell.draw(key_cell, width, self.hidden_size, dtype, **options)
        shown = width_of(self.cell, cell, width)  # H; of a network, as wide as what it shows
        w = jax.random.normal(key_readout, (shown, self.output_size), dtype) / shown**0.5
        return ModelParams(embedding, cell, {"w": w, "b": jnp.zeros(self.output_size, dtype)})

    def features(self, params: ModelParams, xs: Array) -> Array:
        """What the recurrence reads, [T, B, D]: `xs` itself, or the embedding of symbols [T, B]."""
        return xs if params.embedding is None else params.embedding[xs]

    def __call__(
        self,
        params: ModelParams,
        xs: Array,
        carry: Carry | None = None,
        *,
        mask: Array | None = None,
        reset: Array | None = None,
        key: Array | None = None,
        method: Method = Auto(),
    ) -> tuple[Carry, Array]:
        """The last carry, and the outputs [T, B, O]; arguments as in `gr.unroll`."""
        xs = self.features(params, xs)
        carry, ys = unroll(self.cell, params.cell, xs, carry, mask=mask, reset=reset, key=key, method=method)
        return carry, read_out(params.readout, ys)


def read_out(readout: Mapping[str, Array], ys: Array) -> Array:
    """ys [..., H] -> [..., O]."""
    return add_bias(product(ys, readout["w"]), readout["b"])


def count(params: Any) -> int:
    """The number of weights in a pytree."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def hidden_size_for(cell: Cell, input_size: int, output_size: int, weights: int) -> int:
    """The largest H whose model, without an embedding, has at most `weights` weights.

    Raises:
        ValueError: not even one hidden unit fits.
    """
    weights = check_size("weights", weights)

    def total(hidden: int) -> int:
        model = Model(cell, input_size, hidden, output_size)
        return count(jax.eval_shape(model.init, jax.random.key(0)))

    if total(1) > weights:
        raise fail("weights", f"at least {total(1):,} for one unit of {cell.name}", f"{weights:,}")
    high = 2
    while total(high) <= weights:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) <= weights else (low, middle)
    return low
