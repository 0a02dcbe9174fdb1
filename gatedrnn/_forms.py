"""What a cell is made of: its weights, and the forms in which its functions come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, export, lax

Carry = Any
"""A NamedTuple of arrays [B, H] (or [H]), `h` first; of a cell with `step` alone, any pytree of arrays [B, ...]."""

Gates = tuple[Array, ...]
"""One array [..., H] per gate."""

Tuple = TypeVar("Tuple", bound=tuple[Any, ...])


def serialisable(kind: type[Tuple]) -> type[Tuple]:
    """Lets `jax.export` write a NamedTuple of the package into a file, under its name."""
    return export.register_namedtuple_serialization(kind, serialized_name=f"gatedrnn.{kind.__name__}")


@serialisable
class Params(NamedTuple):
    """The weights of one cell, split by what they meet.

    Attributes:
        input: pytree read by `project`. In the house's cells `w [D, G * H]` and `b [G * H]`.
        recurrent: pytree read by `recur`. In the house's cells `w [H, G * H]`; the GRU adds `b [H]`.
        unit: pytree of [H] read by `pointwise`, a number per unit: peepholes, time steps. Empty in the house's cells.
        initial: the first carry [H] each, where it is learned (`gr.learned_carry`).
        norm: pytree read by `Cell.norm` (`gr.normalised`).
    """

    input: Any
    recurrent: Any
    unit: Any = ()
    initial: Any = ()
    norm: Any = ()

    def spread(self, h: Array) -> tuple[Any, ...]:
        """What `pointwise` and `activations` take last: `unit` as arrays like `h` [..., H], where there is any."""
        if not jax.tree.leaves(self.unit):
            return ()
        return (jax.tree.map(lambda a: jnp.broadcast_to(a.astype(h.dtype), h.shape), self.unit),)


@dataclass(frozen=True)
class Composed:
    """The step that `project`, `recur` and `pointwise` make together."""

    project: Callable[[Any, Array], Gates]
    recur: Callable[[Any, Array], Gates]
    pointwise: Callable[..., Carry]
    damp: Callable[[Any, Array], Array] | None
    norm: Callable[[Any, Gates], Gates] | None

    def __call__(self, params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        gates_x = self.project(params.input, x)  # G x [..., H]
        h = carry.h if self.damp is None else carry.h * lax.stop_gradient(self.damp(params.input, x))
        gates_h = heard(self.recur, self.norm, params, h)  # G x [..., H]
        carry = self.pointwise(gates_x, gates_h, carry, *params.spread(carry.h))
        return carry, carry.h


def heard(recur: Any, norm: Any, params: Params, h: Array) -> Gates:
    """What `pointwise` reads of states h [..., H]: `recur`, of which what is not its bias goes through `norm`."""
    if norm is None:
        return tuple(recur(params.recurrent, h))
    return normed(norm, params, *taken_apart(recur, params, h))


def taken_apart(recur: Any, params: Params, h: Array) -> tuple[Gates, Gates]:
    """Bias and product of `recur`, G x [..., H] each."""
    return jax.jvp(lambda h: tuple(recur(params.recurrent, h)), (jnp.zeros_like(h),), (h,))


def normed(norm: Any, params: Params, bias: Gates, product: Gates) -> Gates:
    """The norm of the product, above the bias."""
    return tuple(a + b for a, b in zip(norm(params.norm, product), bias, strict=True))


@dataclass(frozen=True)
class PerRow:
    """`project`, `recur` or `norm` of one row, mapped over batch and time, so that no row can see another."""

    function: Callable[[Any, Array], Any]

    def __call__(self, weights: Any, rows: Any) -> Any:
        run = self.function
        for _ in jax.tree.leaves(rows)[0].shape[:-1]:
            run = jax.vmap(run, in_axes=(None, 0))
        return run(weights, rows)


@dataclass(frozen=True)
class PerHead:
    """A block-diagonal `recur`: that of one head, mapped over heads, so that no head can see another.

    Attributes:
        recur: `(weights, h [H / N]) -> gates`, G arrays [H / N], for one head.

    Example:
        >>> import jax.numpy as jnp, gatedrnn as gr
        >>> two = gr.PerHead(lambda w, h: gr.linear.split(gr.linear.product(h, w), 4))
        >>> gates = two(jnp.ones((2, 3, 4 * 3)), jnp.ones(6))  # weights [N, H / N, G * H / N], h [H]
        >>> len(gates), gates[0].shape
        (4, (6,))
    """

    recur: Callable[[Any, Array], Gates]

    def __call__(self, weights: Any, h: Array) -> Gates:
        """`weights`: pytree of [N, ...]; h [H] -> G arrays [H]."""
        heads = self.heads(weights)
        gates = jax.vmap(self.recur)(weights, h.reshape(heads, h.size // heads))
        return tuple(gate.reshape(h.shape) for gate in gates)

    @staticmethod
    def heads(weights: Any) -> int:
        """N, the first axis of every weight."""
        return jax.tree.leaves(weights)[0].shape[0]


@dataclass(frozen=True)
class Of:
    """A method of a value, as a function: equal where the values are, as Python's own bound methods are not."""

    value: Any
    name: str

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self.value, self.name)(*args, **options)


class Network(Protocol):
    """How a network of cells is run over a sequence: layer by layer, each by the method of its cells.

    Attributes:
        causal: whether an output depends on no later input. Where it does, there are no single steps to run: methods,
            which step, are given the layers' cells alone.
    """

    @property
    def causal(self) -> bool: ...

    def __call__(self, method: Any, params: Any, sequence: Any, outputs: Any) -> tuple[Any, Any]:
        """As a method's own call (`gr.Method`), with the method that the cells are run by."""
