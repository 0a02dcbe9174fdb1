"""torch's LSTM with `proj_size`: weight_hr [P, H] = the projection^T, and weight_hh [4 * H, P]."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Params
from gatedrnn.cells import lstm
from gatedrnn.networks.projected import ProjectedParams, projected

CELL: Cell = projected(lstm.cell)


def join(weights: Mapping[str, Array]) -> ProjectedParams:
    """Ours of torch's weights by name; the two biases are summed.

    Raises:
        ValueError: the shapes are not those of one layer.
    """
    w, u, projection = (weights[name].T for name in ("weight_ih", "weight_hh", "weight_hr"))
    zero = jnp.zeros(u.shape[-1:], u.dtype)
    b = weights.get("bias_ih", zero) + weights.get("bias_hh", zero)
    params = ProjectedParams(Params({"w": w, "b": b}, {"w": u}), projection)
    _check_shapes(params)
    return params


def part(params: Any) -> dict[str, Array]:
    """The inverse of `join`, with the whole bias in `bias_ih`.

    Raises:
        ValueError: `params` are not the weights of a projected LSTM.
    """
    leaf: Any = "*"
    layout = ProjectedParams(Params({"w": leaf, "b": leaf}, {"w": leaf}), leaf)
    structure: Any = jax.tree.structure(params)
    if structure != jax.tree.structure(layout):
        raise fail("params", f"the weights of gatedrnn.{CELL.name}, laid out as {layout}", structure)
    _check_shapes(params)
    w, u, b = params.cell.input["w"], params.cell.recurrent["w"], params.cell.input["b"]
    named = {"weight_ih": w.T, "weight_hh": u.T, "weight_hr": params.projection.T}
    return named | {"bias_ih": b, "bias_hh": jnp.zeros_like(b)}


def _check_shapes(params: ProjectedParams) -> None:
    shapes = [a.shape for a in (params.cell.input["w"], params.cell.recurrent["w"], params.cell.input["b"])]
    match params.projection.shape:
        case (hidden, size) if shapes == [(shapes[0][0], 4 * hidden), (size, 4 * hidden), (4 * hidden,)]:
            return
    raise fail("weights", "[D, 4 * H], [P, 4 * H], [4 * H] and a projection [H, P]", [*shapes, params.projection.shape])
