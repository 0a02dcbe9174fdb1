"""What an audit is made of: a loss's own cotangents at the outputs of a recurrence, found once and looked at.

ys = outputs of (cell, params, xs),      dys = d loss(ys) / d ys
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_callable, fail
from gatedrnn._jax import gathered
from gatedrnn._memory import device_bytes, readable
from gatedrnn._outputs import All, Last
from gatedrnn._sequence import Sequence, quarantine
from gatedrnn._step import select
from gatedrnn._visit import outputs_of, visit
from gatedrnn.flow._loss import check_dys
from gatedrnn.flow._probe import output_of, unit_cotangent

Loss = Callable[[Array], Array]


def cotangents(cell: Cell, params: Any, sequence: Sequence, loss: Loss | None, dys: Any, batched: bool) -> Array:
    """dL/dys [T, B, H] in the order of time: of `loss(ys)`, as given, or of the last output with norm 1.

    Raises:
        ValueError: both are given, `loss` is no function of the outputs to a number, or the cotangents are not finite.
    """
    if loss is not None and dys is not None:
        raise fail("dys", "None where `loss` is given, which it is the gradient of", "both")
    if loss is not None:
        found = of_loss(loss, outputs(cell, params, sequence), batched)
    elif dys is not None:
        found = check_dys(output_of(cell, params, sequence, All()), dys, batched)
    else:
        found = _unit(cell, params, sequence)
    found = select(sequence.mask, found, jnp.zeros_like(found))
    poisoned = quarantine(sequence).poisoned
    if poisoned is not None:
        found = jnp.where(poisoned[..., None] & (found != 0), jnp.nan, found)
    broken = np.argwhere(~np.isfinite(np.asarray(found, np.float64)).all(-1))
    if len(broken):
        t, row = broken[0].tolist()
        name = "dys" if loss is None else "loss"
        raise fail(name, "of a finite gradient in the outputs", f"NaN or infinity at step {t}, row {row}")
    return found


def of_loss(loss: Loss, ys: Array, batched: bool) -> Array:
    """The gradient of the user's loss in outputs [T, B, H], which it is shown without B where there is none."""
    check_callable("loss", "a function of the outputs, ys -> value []", loss, 1)
    value, pull = jax.vjp(lambda ys: loss(ys if batched else ys[:, 0]), ys)
    if jnp.shape(value) != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise fail("loss", "a function of the outputs to one number", f"{value.dtype} {jnp.shape(value)}")
    return pull(jnp.ones_like(value))[0]


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def outputs(cell: Cell, params: Any, sequence: Sequence) -> Array:
    """What `unroll` shows, [T, B, H]."""
    return visit(cell, params, sequence, All(), lambda *given: (None, outputs_of(*given)))[1]


def _unit(cell: Cell, params: Any, sequence: Sequence) -> Array:
    """The cotangent of norm 1 of each row's last output, where it stands among all outputs."""
    if not cell.causal:
        raise fail("loss", "given for a network that also reads backwards", None)
    like = output_of(cell, params, sequence, All())
    _, pull = jax.vjp(lambda ys: Last().of(sequence, ys)[0], jnp.zeros(like.shape, like.dtype))
    return pull(unit_cotangent(jax.ShapeDtypeStruct(like.shape[1:], like.dtype)))[0]


def check_weights(params: Any) -> None:
    """Raises ValueError where a leaf is no float: a key, a count. An audit takes the gradient in every one."""
    for place, leaf in zip(paths(params), jax.tree.leaves(params), strict=True):
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise fail(
                "params",
                "of floating-point weights alone, in which an audit takes the gradient",
                f"{dtype} at {place!r}",
            )


def check_memory(argument: str, parts: list[int]) -> None:
    """Raises ValueError where arrays of so many bytes would not fit into three quarters of the device's memory."""
    need, most = sum(parts), 3 * device_bytes() // 4
    if need > most:
        raise fail(argument, f"such that the audit fits into {readable(most)} of memory", readable(need))


def sizes(tree: Any) -> int:
    """Bytes of all leaves, in float32 or wider."""
    return sum(math.prod(np.shape(a)) * max(jnp.result_type(a).itemsize, 4) for a in jax.tree.leaves(tree))


def paths(tree: Any) -> list[str]:
    """The places of the leaves of weights, such as `recurrent.w`; a bare array is `params`."""
    return [place or "params" for place in _places(tree)]


def under(root: str, tree: Any) -> list[str]:
    """The same below a name, such as `carry.h`; a bare array is that name."""
    return [f"{root}.{place}" if place else root for place in _places(tree)]


def _places(tree: Any) -> list[str]:
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(tree)]
