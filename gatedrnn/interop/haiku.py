"""dm-haiku: LSTM, GRU and VanillaRNN, alone or as the cores of a DeepRNN.

LSTM        linear/w [D + H, 4 * H] = [W; U], linear/b      gates input, candidate, forget, output; sigmoid(... + 1)
GRU         w_i [D, 3 * H], w_h [H, 3 * H], b               gates update, reset, candidate; h' = (1 - z) h + z a
VanillaRNN  linear/w [D, H], linear_1/w [H, H], and b each  relu(...), the two biases added

The hidden 1 of the LSTM stands in our bias. The GRU's update is one minus ours, and 1 - sigmoid(x) = sigmoid(-x): the
signs of that gate's weights turn.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru_before, lstm, relu_rnn
from gatedrnn.interop._blocks import array, join, kind_of, part, reorder
from gatedrnn.interop._haiku_names import Core, cores_of
from gatedrnn.interop._networks import layers_of, stacked
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors
from gatedrnn.interop._wrapped import wrapped

KINDS: dict[Cell, Any] = {lstm.cell: hk.LSTM, gru_before.cell: hk.GRU, relu_rnn.cell: hk.VanillaRNN}
NAMES: dict[Cell, str] = {lstm.cell: "lstm", gru_before.cell: "gru", relu_rnn.cell: "vanilla_rnn"}
"""haiku's default for each."""
ORDER: dict[Cell, tuple[int, ...]] = {lstm.cell: (0, 2, 1, 3), gru_before.cell: (1, 0, 2), relu_rnn.cell: (0,)}
"""Where each gate's block stands; each order is its own inverse."""


def from_haiku(
    params: Mapping[str, Mapping[str, Any]], *, modules: str | Sequence[str] | None = None
) -> tuple[Cell, Any]:
    """The cell or network that cores of haiku compute, and its weights.

    Args:
        params: what `init` gave, of the cores alone or of a whole model.
        modules: the paths of the cores in it, from the input's side, such as `["encoder/lstm", "encoder/lstm_1"]`; of
            one, its path. By default all that there are, in the order of their numbers: they must have haiku's own
            names of one kind, and nothing else lies beside them.

    Returns:
        `gatedrnn.lstm`, with 1 added to the forget gate's bias; of an `hk.GRU`, `gatedrnn.gru_before`; of an
        `hk.VanillaRNN`, `gatedrnn.relu_rnn`, its biases summed; of several cores, as `hk.DeepRNN` runs them, a
        `gr.stack`. And copies of the weights in their dtype. What lies between the cores of a DeepRNN has no weights,
        and is not seen here: it must be nothing.

    Raises:
        ValueError: a module is not there, or has other parameters or shapes than a core; the cores do not fit on each
            other, as with skip connections; or they have other names than by default and `modules` is not given.

    Example:
        >>> import haiku as hk, jax
        >>> from gatedrnn.interop.haiku import from_haiku
        >>> def run(xs):
        ...     core = hk.DeepRNN([hk.LSTM(16), hk.LSTM(16)])
        ...     return hk.dynamic_unroll(core, xs, core.initial_state(4))
        >>> weights = hk.transform(run).init(jax.random.key(0), jax.numpy.ones((10, 4, 8)))
        >>> cell, params = from_haiku(weights)
        >>> cell.name
        'stack(lstm, lstm)'

    References:
        https://dm-haiku.readthedocs.io/en/latest/api.html#recurrent
    """
    return _network(cores_of(params, modules, {name: cell for cell, name in NAMES.items()}))


def to_haiku(cell: Cell, params: Any) -> dict[str, dict[str, Array]]:
    """The inverse of `from_haiku`, but for the rounding of the forget gate's bias, from which 1 is taken.

    Args:
        cell: `gatedrnn.lstm`, `gatedrnn.gru_before` or `gatedrnn.relu_rnn`, or a `gr.stack` of them, whose dropout is
            not part of the parameters.
        params: its weights.

    Returns:
        The parameters of an `hk.LSTM`, `hk.GRU` or `hk.VanillaRNN`, or of an `hk.DeepRNN` of them, under the paths that
        haiku gives them outside of other modules: `{"lstm/linear": {"w", "b"}, "lstm_1/linear": ...}`.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    found: dict[str, dict[str, Array]] = {}
    layers, _ = layers_of(cell, params)
    for path, (one, held) in zip(_paths([one for one, _ in layers]), layers, strict=True):
        for inner, weights in _parted(one, held).items():
            found["/".join(filter(None, (path, inner)))] = weights
    return found


def verify_haiku(
    params: Mapping[str, Mapping[str, Any]], xs: Any, *, modules: str | Sequence[str] | None = None
) -> Errors:
    """Proves `from_haiku(params)` on `xs [T, B, D]`, in values and gradients.

    Args:
        params: as in `from_haiku`.
        xs: inputs, time-major, [T, B, D].
        modules: as in `from_haiku`.

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of the cores' weights.

    Raises:
        ValueError: as `from_haiku`.
    """
    cores = cores_of(params, modules, {name: cell for cell, name in NAMES.items()})
    cell, _ = _network(cores)
    weights = {core.path: core.weights for core in cores}

    def held(weights: Any) -> list[Core]:
        return [core._replace(weights=weights[core.path]) for core in cores]

    peer = differentiated(lambda weights, xs, carry: _run(held(weights), xs, carry))
    return largest_errors(cell, lambda weights: _network(held(weights))[1], weights, peer, xs)


def wrap_haiku(make: Callable[[], Any], params: Mapping[str, Mapping[str, Any]]) -> tuple[Cell, Any]:
    """Any recurrent core as it is, and its weights: one of your own, or one that `from_haiku` refuses.

    Args:
        make: `() -> hk.RNNCore`, called inside `hk.transform`. What the core draws or writes on its way is lost.
        params: the core's, under the names that it has where `make` alone is called.

    Returns:
        A cell that has `step` alone, with the core's state as its carry; and `params`. Methods but `Autodiff` and
        measures that ask for gates refuse it, all else runs it. Its `init` draws nothing.

    Raises:
        ValueError: there are no weights.

    Example:
        >>> import haiku as hk, jax, gatedrnn as gr
        >>> from gatedrnn.interop.haiku import wrap_haiku
        >>> class Leaky(hk.RNNCore):
        ...     def initial_state(self, batch_size):
        ...         return jax.numpy.zeros((batch_size, 16))
        ...     def __call__(self, x, h):
        ...         h = 0.9 * h + 0.1 * jax.numpy.tanh(hk.Linear(16)(jax.numpy.concatenate([x, h], -1)))
        ...         return h, h
        >>> run = hk.transform(lambda x: Leaky()(x, jax.numpy.zeros((4, 16))))
        >>> weights = run.init(jax.random.key(0), jax.numpy.ones((4, 8)))
        >>> cell, params = wrap_haiku(Leaky, weights)
        >>> carry, ys = gr.unroll(cell, params, jax.numpy.ones((20, 4, 8)))
    """
    return wrapped(getattr(make, "__name__", type(make).__name__), _Haiku(make), dict(params))


def _network(cores: list[Core]) -> tuple[Cell, Any]:
    return stacked([(core.cell, converted(core.cell, core.weights)) for core in cores])


def converted(cell: Cell, weights: Mapping[str, Mapping[str, Any]]) -> Params:
    """Ours of a core's weights by layer and name, as a function that JAX differentiates."""
    held = {path: {name: array(a) for name, a in layer.items()} for path, layer in weights.items()}
    reordered = functools.partial(reorder, order=ORDER[cell])
    if cell == relu_rnn.cell:
        one, other = held["linear"], held["linear_1"]
        return join(cell, one["w"], other["w"], one["b"], other.get("b"))
    if cell == gru_before.cell:
        w, u, b = (_turned(reordered(held[""][name])) for name in ("w_i", "w_h", "b"))
        return join(cell, w, u, b)
    w, b = (reordered(held["linear"][name]) for name in "wb")
    hidden = b.size // 4
    return join(cell, w[:-hidden], w[-hidden:], b.at[hidden : 2 * hidden].add(1))


def _parted(cell: Cell, params: Any) -> dict[str, dict[str, Array]]:
    """The inverse of `converted`."""
    order = kind_of(cell, ORDER)
    w, u, b, zero = part(cell, params)
    if cell == relu_rnn.cell:
        return {"linear": {"w": w, "b": b}, "linear_1": {"w": u, "b": zero}}
    if cell == gru_before.cell:
        return {"": {name: reorder(_turned(a), order) for name, a in zip(("w_i", "w_h", "b"), (w, u, b), strict=True)}}
    b = b.at[b.size // 4 : b.size // 2].add(-1)
    return {"linear": {"w": reorder(jnp.concatenate([w, u]), order), "b": reorder(b, order)}}


def _turned(blocks: Array) -> Array:
    """The update gate's block, the second of ours, with its sign turned."""
    reset, update, candidate = jnp.split(blocks, 3, axis=-1)
    return jnp.concatenate([reset, -update, candidate], axis=-1)


def _paths(cells: Sequence[Cell]) -> list[str]:
    """haiku's default names: the first of a kind has no number."""
    names = [kind_of(cell, NAMES) for cell in cells]
    counts = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name}_{count}" if count else name for name, count in zip(names, counts, strict=True)]


def _run(cores: list[Core], xs: Array, carry: Carry) -> Outputs:
    """haiku's unroll of its cores."""
    firsts = [carry] if len(cores) == 1 else carry
    sizes = [first.h.shape[-1] for first in firsts]

    def run(xs: Array, state: Any) -> Any:
        made = [_made(core, size) for core, size in zip(cores, sizes, strict=True)]
        return hk.dynamic_unroll(hk.DeepRNN(made), xs, state)

    weights = {
        "/".join(filter(None, (path, inner))): layer
        for path, core in zip(_paths([core.cell for core in cores]), cores, strict=True)
        for inner, layer in core.weights.items()
    }
    state = tuple(hk.LSTMState(*first) if len(first) == 2 else first.h for first in firsts)
    network: Any = hk.without_apply_rng(hk.transform(run))
    ys, ends = network.apply(weights, xs, state)
    return jax.tree.unflatten(jax.tree.structure(carry), jax.tree.leaves(ends)), ys


def _made(core: Core, size: int) -> Any:
    if core.cell == relu_rnn.cell:
        return hk.VanillaRNN(size, double_bias="b" in core.weights["linear_1"])
    return KINDS[core.cell](size)


@dataclass(frozen=True)
class _Haiku:
    """How haiku runs a core."""

    make: Callable[[], Any]

    def step(self, held: Any, carry: Carry, x: Array) -> tuple[Carry, Array]:
        y, after = _applied(lambda: self.make()(x, carry), held)
        return after, y

    def first(self, held: Any, batch: tuple[int, ...]) -> Carry:
        return _applied(lambda: self.make().initial_state(*(batch or (None,))), held)


def _applied(run: Callable[[], Any], weights: Any) -> Any:
    network: Any = hk.without_apply_rng(hk.transform(run))
    return network.apply(weights)
