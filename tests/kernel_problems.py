"""What both loops of a segment are given, for kernels that are no GPU's."""

import jax
import jax.numpy as jnp
import numpy as np

from gatedrnn._jacobian import Blocks
from gatedrnn.methods._loops import Inputs, Pulls
from gatedrnn.methods.kernels._loops import Kernels
from gatedrnn.methods.kernels._mosaic import Mosaic


def problem(cell, sizes, dtype, reverse):
    """The arguments of the forward and of the backward loop, `sizes` = (T, B, H); random, with both flags."""
    rng = np.random.default_rng(0)
    draw = lambda like: jnp.asarray(rng.normal(size=np.shape(like)), jnp.float32)
    params = cell.init(jax.random.key(0), 3, sizes[2], dtype=jnp.dtype(dtype))
    zero, per_step = cell.initial_carry(params, sizes[1]), jnp.zeros(sizes)
    carry, gates = jax.tree.map(draw, zero), tuple(draw(per_step) for _ in cell.gates)
    mask, reset = (jnp.asarray(rng.random(sizes[:2]) < p) for p in (0.8, 0.3))
    kernels = Kernels(Mosaic("9.0"), False)
    inputs = Inputs(gates, draw(per_step), mask, reset)
    forward = (cell, reverse, len(carry), kernels.weights(cell, params, carry.h), carry, zero, inputs)

    h = Blocks(tuple(map(draw, gates)), tuple(map(draw, gates[: len(carry)])), (None, per_step)[: len(carry)], {}, ())
    c = Blocks((*map(draw, gates[:-1]), None), (None, draw(per_step)), (None, None), {}, ())
    pulls = Pulls(draw(per_step), [h, c][: len(carry)], None, draw(per_step), mask, reset)
    order = [1, 0][-len(carry) :]
    return forward, (order, 0.5, reverse, kernels.adjoint(cell, params, carry.h), (carry, zero), pulls)
