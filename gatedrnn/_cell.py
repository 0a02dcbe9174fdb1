"""A recurrent cell as three pure functions: the contract between cells and loops.

    project(params.input, x)                   -> gates_x   G arrays [H], of one row of inputs
    recur(params.recurrent, h)                 -> gates_h   G arrays [H], of one row of the state; affine in h
    norm(params.norm, gates_h)                 -> gates_h   of one row, its bias aside; most cells have none
    pointwise(gates_x, gates_h, carry[, unit]) -> carry     one unit like another: elementwise in [..., H]

    step = pointwise(project(x), recur(h), carry)

Three laws stand behind the fast gradient. `project`, `recur` and `norm` are mapped over batch and time by the `Cell`,
so no row sees another. The others are proved before they are relied on (`_contract`): JAX can transpose `recur` in h,
so it is affine there; every equation of `pointwise` and of its derivative is elementwise, so no unit sees another.

Dimension letters, everywhere in the package:

    T time steps    B batch    D input features    H hidden units
    G gates         K segment length               S state size, the sum of the carry's widths
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from gatedrnn._check import fail
from gatedrnn._forms import Composed, Gates, Network, Of, PerHead, PerRow, heard

if TYPE_CHECKING:  # a bare `Cell` is one of any carry and any weights; Python has such defaults from 3.13 on
    from typing_extensions import TypeVar as Defaulted

    CarryT = Defaulted("CarryT", default=Any)
    ParamsT = Defaulted("ParamsT", default=Any)
else:
    CarryT, ParamsT = TypeVar("CarryT"), TypeVar("ParamsT")

_ABSENT: Any = None  # default of a function that a cell may do without


def _no_options(params: Any) -> dict[str, Any]:
    """Where D and H alone say what shapes the weights have."""
    return {}


@jax.tree_util.register_static
@dataclass(frozen=True, repr=False)
class Cell(Generic[CarryT, ParamsT]):
    """A recurrent cell: a value, hashable and registered static, so it crosses `jax.jit` as an argument.

    Give `project`, `recur` and `pointwise` (and, for `gate_activations`, `activations`), or `step` alone.
    With the three functions the cell is differentiated by `Segmented`; with `step` alone, by JAX's own rules.
    `gr.check_cell` runs the laws on a cell and says which fails.

    Attributes:
        name: what tables, messages and files call the cell.
        gates: names of the gates, in the order in which their arrays stand in the weights.
        init: `(key, input_size, hidden_size, *, dtype=float32, **options) -> params`; one that draws float32 alone
            need not take `dtype`.
        initial_carry: `(params, batch_size=None) -> carry`, [B, H] each, or [H] without a batch size.
        project: `(params.input, x [D]) -> gates_x`, G arrays [H]. Given for one row; the cell's own takes [..., D].
        recur: `(params.recurrent, h [H]) -> gates_h`, G arrays [H], affine in h; the cell's own takes [..., H]. A
            `PerHead` where U is block-diagonal. One made of elementwise products with [H] is found to be diagonal.
        pointwise: `(gates_x, gates_h, carry) -> carry`; elementwise. Where `params.unit` has weights, they follow as a
            fourth argument, spread to the shape of the carry.
        activations: the arguments of `pointwise`, or of a `step` alone -> NamedTuple of the gates' values by name.
        step: `(params, carry, x) -> (carry, y)`; composed from the three functions where they are given.
        keeps: the gate by which a unit keeps its own memory, the carry's last part: "forget"; "1 - forget" where the
            complement does; "" where there is none.
        horizon_option: the option of `init` that sets biases to a horizon in steps, such as "chrono"; "" for none.
        doc: what `help` says of the cell, such as its equations.
        network: how it is run over a sequence where it is made of other cells: `gr.stack`, `gr.bidirectional`.
        extra: how many arrays [H] `project` gives beyond those of the gates: `pointwise` finds them at the end of
            `gates_x`, and no state meets them.
        damp: `(params.input, x [D]) -> [H]`, what h is multiplied by on its way to `recur`, which no gradient reaches;
            None for nothing.
        norm: `(params.norm, gates [H]) -> gates`, a function of one row of G arrays, which what `recur` adds to its
            bias goes through, such as a layer norm (`gr.normalised`); None for nothing.
        training: what is run in its place where `unroll` is given a key: the cell with noise, whose inputs have four
            more columns.
        options_of: `params -> options of init`, those that the shapes of weights show, such as `{"heads": 4}`; by
            default none do. Saved weights are read by it.

    To a type checker it is a `Cell[carry, weights]`: `gr.lstm` is a `Cell[LSTMState, Params]`.

    Raises:
        ValueError: neither `step` nor all of `project`, `recur` and `pointwise` were given, or `keeps` names no gate.
    """

    name: str
    gates: tuple[str, ...]
    init: Callable[..., ParamsT]
    initial_carry: Callable[..., CarryT]
    project: Callable[[Any, Array], Gates] = _ABSENT
    recur: Callable[[Any, Array], Gates] = _ABSENT
    pointwise: Callable[..., CarryT] = _ABSENT
    activations: Callable[..., Any] = _ABSENT
    step: Callable[[ParamsT, CarryT, Array], tuple[CarryT, Array]] = _ABSENT
    keeps: str = ""
    horizon_option: str = ""
    doc: str = field(default="", compare=False)
    network: Network | None = None
    extra: int = 0
    damp: Callable[[Any, Array], Array] | None = None
    norm: Callable[[Any, Gates], Gates] | None = None
    training: "Cell[CarryT, ParamsT] | None" = None
    options_of: Callable[[Any], dict[str, Any]] = _no_options

    def __post_init__(self) -> None:
        for name in ("project", "recur", "damp", "norm"):
            function = getattr(self, name)
            if function is not None and not isinstance(function, PerRow):
                object.__setattr__(self, name, PerRow(function))
        three = (self.project, self.recur, self.pointwise)
        complete = all(function is not None for function in three)
        # A composed step is made anew, since `dataclasses.replace` hands over that of the cell it copies.
        if complete and (self.step is None or isinstance(self.step, Composed)):
            object.__setattr__(self, "step", Composed(*three, self.damp, self.norm))
        elif self.step is None:
            raise ValueError(f"Cell {self.name!r} needs `step`, or all of `project`, `recur` and `pointwise`.")
        if self.keeps and self.keeps.removeprefix("1 - ") not in self.gates:
            raise fail("keeps", f"one of {self.gates}, or '1 - ' and one of them", repr(self.keeps))
        if self.doc:
            object.__setattr__(self, "__doc__", self.doc)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal; of a network, whose functions are its own methods, it is compared once."""
        if self is other or not isinstance(other, Cell):
            return self is other
        return hash(self) == hash(other) and self._compared == other._compared

    def __hash__(self) -> int:
        """That of its fields, counted once: networks hold cells that hold cells."""
        found: int | None = self.__dict__.get("_hash")
        if found is None:
            found = hash(self._compared)
            object.__setattr__(self, "_hash", found)
        return found

    @property
    def _compared(self) -> tuple[Any, ...]:
        values = (getattr(self, each.name) for each in fields(self) if each.compare)
        own = lambda value: isinstance(value, Of) and value.value is self.network
        return tuple(value.name if own(value) else value for value in values)

    def __repr__(self) -> str:
        gates = f" with the gate{'s' * (len(self.gates) > 1)} {', '.join(self.gates)}" if self.gates else ""
        return f"<Cell {self.name!r}{gates}>"

    @property
    def block_diagonal(self) -> bool:
        """Whether `recur` is a `PerHead`."""
        return isinstance(self.recur, PerRow) and isinstance(self.recur.function, PerHead)

    @property
    def factored(self) -> bool:
        """Whether the step is the composition of `project`, `recur` and `pointwise`."""
        return self.pointwise is not None and isinstance(self.step, Composed)

    @property
    def bare(self) -> bool:
        """Whether it is in three-function form, without noise, `damp` or `extra`: what others can be made of."""
        return self.factored and self.training is None and self.damp is None and not self.extra

    @property
    def in_segments(self) -> bool:
        """Whether `Segmented` runs it: it is in three-function form, or a network."""
        return self.factored or self.network is not None

    @property
    def causal(self) -> bool:
        """Whether an output depends on no later input."""
        return self.network is None or self.network.causal

    def halves(self, params: Any, x: Array, h: Array) -> tuple[Gates, Gates]:
        """What `pointwise` reads of inputs [..., D] and of the state before them [..., H]."""
        damp = None if self.damp is None else lax.stop_gradient(self.damp(params.input, x))
        return self.project(params.input, x), self.heard(params, h if damp is None else h * damp)

    def heard(self, params: Any, h: Array) -> Gates:
        """The recurrent half of every gate, as `pointwise` reads it, of states [..., H]."""
        return heard(self.recur, self.norm, params, h)

    def draw(self, key: Array, input_size: int, hidden_size: int, dtype: DTypeLike, **options: Any) -> ParamsT:
        """`init`, which is told of a dtype only where it is not float32: a foreign one need not know any other."""
        if jnp.dtype(dtype) != jnp.float32:
            options["dtype"] = dtype
        return self.init(key, input_size, hidden_size, **options)

    @classmethod
    def from_step(
        cls,
        name: str,
        step: Callable[[ParamsT, CarryT, Array], tuple[CarryT, Array]],
        *,
        init: Callable[..., ParamsT],
        initial_carry: Callable[..., CarryT],
    ) -> Self:
        """Wraps a recurrence that does not fit the three-function form.

        Args:
            name: what tables and messages call the cell.
            step: `(params, carry, x [B, D]) -> (carry, y [B, H])`, for any leading batch axis.
            init: `(key, input_size, hidden_size, *, dtype=float32, **options) -> params`.
            initial_carry: `(params, batch_size=None) -> carry`, a pytree of floating arrays [B, ...].

        Returns:
            A cell for `unroll`, which runs it by `Autodiff`, and every analysis in `flow` that needs no gates.

        Example:
            >>> import jax, jax.numpy as jnp, gatedrnn as gr
            >>> def step(a, carry, x):
            ...     h = jnp.broadcast_to(a, x.shape) * carry.h + x
            ...     return gr.RNNState(h), h
            >>> decay = gr.Cell.from_step(
            ...     "decay",
            ...     step,
            ...     init=lambda key, input_size, hidden_size: jnp.full(hidden_size, 0.5),
            ...     initial_carry=lambda a, batch_size=None: gr.RNNState(gr.linear.zeros(a.size, a.dtype, batch_size)),
            ... )
            >>> carry, ys = gr.unroll(decay, jnp.array([0.5]), jnp.ones((3, 1, 1)))
            >>> ys.ravel().tolist()
            [1.0, 1.5, 1.75]
        """
        return cls(name=name, gates=(), init=init, initial_carry=initial_carry, step=step)
