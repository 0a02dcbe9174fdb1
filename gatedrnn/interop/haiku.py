"""dm-haiku: LSTM alone, whose one layer reads the input and the state together.

w [D + H, 4 * H] = [W; U]        b [4 * H]        gates input, candidate, forget, output; f = sigmoid(... + 1)

The hidden 1 in the forget gate stands in our bias. GRU and VanillaRNN are other functions than ours.
"""

import re
from collections.abc import Mapping
from typing import Any

import haiku as hk
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import lstm
from gatedrnn.interop._blocks import array, join, part, reorder
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors

ORDER = (0, 2, 1, 3)
"""Where each gate's block stands; its own inverse."""

GRU = "those of an hk.GRU, which applies the reset gate before the product"
VANILLA = "those of an hk.VanillaRNN, whose activation is relu"


def from_haiku(params: Mapping[str, Mapping[str, Any]], *, cell: Cell | None = None) -> tuple[Cell, Params]:
    """The weights of one `hk.LSTM`, as ours.

    Args:
        params: `{path: {"w": [D + H, 4 * H], "b": [4 * H]}}`, the LSTM's part of what `init` gave; the path ends in
            "lstm/linear" by default.
        cell: `gatedrnn.lstm`, needed where the path is another: an `hk.Linear` of 4 * H outputs has the same weights.

    Returns:
        `gatedrnn.lstm` and its weights, with 1 added to the forget gate's bias.

    Raises:
        ValueError: these are the weights of an `hk.GRU` (reset gate before the product, and z for our 1 - z), of an
            `hk.VanillaRNN` (relu), or of something else; or the path does not say and `cell` is not given.

    Example:
        >>> import haiku as hk, jax
        >>> from gatedrnn.interop.haiku import from_haiku
        >>> model = hk.transform(lambda xs: hk.dynamic_unroll(hk.LSTM(16), xs, hk.LSTM(16).initial_state(4)))
        >>> cell, params = from_haiku(model.init(jax.random.key(0), jax.numpy.ones((10, 4, 8))))

    References:
        https://dm-haiku.readthedocs.io/en/latest/api.html#lstm
    """
    if cell not in (None, lstm.cell):
        raise fail("cell", "gatedrnn.lstm, the one cell that haiku has too", repr(getattr(cell, "name", cell)))
    if not isinstance(params, Mapping):
        raise fail("params", "{path: {'w', 'b'}}, those of one hk.LSTM", type(params).__name__)
    found = {path: sorted(layer) if isinstance(layer, Mapping) else "an array" for path, layer in params.items()}
    if list(found.values()) != [["b", "w"]]:
        others = {"b w_h w_i": GRU, "b b w w": VANILLA, "b w w": VANILLA}
        leaves = " ".join(sorted(name for names in found.values() for name in names))
        raise fail("params", "{path: {'w', 'b'}}, those of one hk.LSTM", others.get(leaves, found))
    ((path, layer),) = params.items()
    shapes = [getattr(layer[name], "shape", ()) for name in "wb"]
    match shapes:
        case [(rows, wide), (same,)] if wide == same and wide % 4 == 0 and 4 * rows > wide > 0:
            pass
        case _:
            raise fail("params", "of the shapes [D + H, 4 * H] and [4 * H] (w, b), those of one hk.LSTM", shapes)
    if cell is None and not re.search(r"(^|/)lstm(_\d+)?(/~\w*)?/linear$", path):
        raise fail("cell", "gatedrnn.lstm where the path is not that of an hk.LSTM by default", f"None with {path!r}")
    w, b = (reorder(array(layer[name]), ORDER) for name in "wb")
    hidden = b.size // 4
    return lstm.cell, join(lstm.cell, w[:-hidden], w[-hidden:], b.at[hidden : 2 * hidden].add(1))


def to_haiku(cell: Cell, params: Params) -> dict[str, dict[str, Array]]:
    """The inverse of `from_haiku`, but for the rounding of the forget gate's bias, from which 1 is taken.

    Args:
        cell: `gatedrnn.lstm`.
        params: its weights.

    Returns:
        The parameters of an `hk.LSTM` under its default path, `{"lstm/linear": {"w", "b"}}`.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    if cell != lstm.cell:
        raise fail(
            "cell",
            "gatedrnn.lstm, since the others differ: hk.GRU applies the reset gate before the product, and "
            "hk.VanillaRNN's activation is relu",
            repr(getattr(cell, "name", cell)),
        )
    w, u, b, _ = part(cell, params)
    b = b.at[b.size // 4 : b.size // 2].add(-1)
    return {"lstm/linear": {"w": reorder(jnp.concatenate([w, u]), ORDER), "b": reorder(b, ORDER)}}


def verify_haiku(params: Mapping[str, Mapping[str, Any]], xs: Any, *, cell: Cell | None = None) -> Errors:
    """Proves `from_haiku(params)` on `xs [T, B, D]`, in values and gradients.

    Args:
        params: as in `from_haiku`.
        xs: inputs, time-major, [T, B, D].
        cell: as in `from_haiku`.

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of haiku's weights.

    Raises:
        ValueError: as `from_haiku`.
    """
    cell, _ = from_haiku(params, cell=cell)
    return largest_errors(cell, lambda p: from_haiku(p, cell=cell)[1], params, differentiated(_run), xs)


def _run(params: Mapping[str, Mapping[str, Array]], xs: Array, carry: Carry) -> Outputs:
    """haiku's unroll of its LSTM."""
    hidden = carry.h.shape[-1]
    network: Any = hk.without_apply_rng(hk.transform(lambda xs, state: hk.dynamic_unroll(hk.LSTM(hidden), xs, state)))
    (layer,) = params.values()
    ys, end = network.apply({"lstm/linear": layer}, xs, hk.LSTMState(carry.h, carry.c))
    return lstm.LSTMState(end.hidden, end.cell), ys
