"""Whether there are kernels for a cell, its weights and sizes, on a device; and how, or why not, in one sentence."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp

from gatedrnn._cell import Cell
from gatedrnn._contract import one_more
from gatedrnn._elementwise import DRAWN, outline
from gatedrnn._forms import Carry
from gatedrnn._jax import is_static, outside_meshes, split_by_compiler, varies
from gatedrnn._pointwise import take_apart, values_of
from gatedrnn.methods._loops import Inputs
from gatedrnn.methods.kernels._body import Weights
from gatedrnn.methods.kernels._budget import Load, Tiles, matrices
from gatedrnn.methods.kernels._call import load_of
from gatedrnn.methods.kernels._loops import Kernels

STEPS = 2  # of the kernel that is tried


def verdict(kernels: Kernels, cell: Cell, params: Any, carry: Carry, xs: Any) -> tuple[bool, str]:
    """Whether `kernels` run the cell over xs [T, B, D] from a carry [B, H] each; and how, or why not.

    Only shapes and dtypes of the arrays matter, and the mesh that is set.
    """
    refused = _refused(kernels, cell, params, carry, xs)
    if refused:
        return False, refused
    like = lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype)
    leaves, structure = jax.tree.flatten(jax.tree.map(like, (params, carry, like(xs))))
    with outside_meshes():
        return _tried(kernels, cell, structure, tuple(leaves))


def _refused(kernels: Kernels, cell: Cell, params: Any, carry: Carry, xs: Any) -> str:
    """What does not follow from shapes alone, or needs no look at them; "" where there is nothing."""
    missing = kernels.backend.missing()
    if missing:
        return missing
    if not all(map(is_static, xs.shape)):
        return "no kernel is made for a number of steps or rows that is a symbol"
    if 0 in xs.shape[:2]:
        return "there is nothing to run"
    if cell.norm is not None:
        return f"in the cell {cell.name!r} a norm stands between `recur` and `pointwise`, which sees a whole row"
    if varies(xs, params, carry):
        return "inside a `jax.shard_map` with `check_vma` no kernel says over which axes it varies; use `Sharded`"
    if split_by_compiler() and not kernels.interpret:
        return "the compiler does not split a kernel over the mesh that is set; use `Sharded`"
    dtypes = {jnp.dtype(leaf.dtype).name for leaf in jax.tree.leaves(params.recurrent)}
    dtypes = {part.dtype.name for part in carry} - {"float32"} or dtypes - {"float32", "bfloat16"}
    if dtypes:
        return f"kernels are for float32 and bfloat16 with carries of float32, not for {', '.join(sorted(dtypes))}"
    return ""


@functools.lru_cache(maxsize=256)
def _tried(kernels: Kernels, cell: Cell, structure: Any, leaves: tuple[Any, ...]) -> tuple[bool, str]:
    """What follows from shapes alone: too large, or a `pointwise` that cannot be lowered; or how it fits."""
    params, carry, xs = jax.tree.unflatten(structure, leaves)
    steps, (batch, units) = xs.shape[0], carry.h.shape
    weights = jax.eval_shape(functools.partial(kernels.weights, cell), params, carry.h)
    row = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
    inputs = jax.eval_shape(functools.partial(_inputs, cell), params, row)
    if kernels.backend.dense and all(u.shape[0] == 1 for u in weights.u):
        return False, "U is a diagonal, with which Mosaic has nothing to multiply"
    for load in (_forward(weights, carry, inputs), _backward(cell, weights, carry, inputs, params)):
        tiles = kernels.backend.tiles(load, steps, batch, units)
        if tiles is None:
            return False, _too_large(kernels, load, units)
        how = _shared_out(kernels, load, units, tiles)
    stretched = jax.tree.map(lambda a: jax.ShapeDtypeStruct((min(steps, STEPS), *a.shape), a.dtype), inputs)
    try:
        with warnings.catch_warnings(action="ignore"):  # that a backend is to be given up is no reason: it is there
            _try(kernels, cell, weights, carry, stretched)
            apart = _tells_units_apart(cell, params, carry, inputs)
    except Exception as error:  # of many kinds: each compiler has its own way to say what it does not know
        first = (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
        return False, f"no kernel can be made of the cell {cell.name!r}: {first:.200}"
    if apart:
        return False, f"`pointwise` of the cell {cell.name!r} tells units apart, of which a kernel has more, or some"
    return True, f"the kernels fit{how}"


def _shared_out(kernels: Kernels, load: Load, units: int, tiles: Tiles) -> str:
    """By how many blocks of threads, and why; "" where one has it all."""
    if tiles.blocks == 1:
        return ""
    return f", in clusters of {tiles.blocks} blocks: {_takes(kernels, load, units, matrices(load, tiles.lanes))}"


def _too_large(kernels: Kernels, load: Load, units: int) -> str:
    name, size = kernels.backend.memory()
    taken, where = kernels.backend.share(load, units)
    if taken <= size:
        return f"a kernel for H = {units} takes more than the {size:,} bytes of {name}{where}"
    return _takes(kernels, load, units, taken, where)


def _takes(kernels: Kernels, load: Load, units: int, taken: int, where: str = "") -> str:
    name, size = kernels.backend.memory()
    gates = f"{load.matrices} gate{'s' * (load.matrices > 1)}"
    return f"U of {gates} of H = {units} takes {taken:,} bytes{where} as it is laid out, and {name} has {size:,}"


def _inputs(cell: Cell, params: Any, x: Any) -> Inputs:
    """What the forward loop reads of one step, with both flags."""
    flag = jnp.ones(x.shape[:1], bool)
    damp = None if cell.damp is None else cell.damp(params.input, x)
    return Inputs(cell.project(params.input, x), damp, flag, flag)


def _forward(weights: Weights, carry: Carry, inputs: Inputs) -> Load:
    """The most that the forward kernel moves."""
    flags = (inputs.mask, inputs.reset)
    return load_of((inputs.gates_x, inputs.damp), flags, (carry, carry), weights, (len(carry), len(carry)))


def _backward(cell: Cell, weights: Weights, carry: Carry, inputs: Inputs, params: Any) -> Load:
    """The most that the backward kernel moves: a block for every value that a part of the carry reads."""
    unit = jax.eval_shape(lambda params, h: params.spread(h), params, carry.h)
    gates_h = (carry.h,) * len(weights.u)
    parts = take_apart(cell, values_of(inputs.gates_x, gates_h, carry, unit), carry, unit)
    blocks = [[kind for kind, _ in part.reads if kind in ("h", "after")] for part in parts]
    square = len(carry) ** 2  # by the carry before, of which a mask needs the diagonal
    streams = (carry.h, [carry.h] * (sum(map(len, blocks)) + square), inputs.damp)
    counts = (len(carry), 2 * len(carry))
    return load_of(streams, (inputs.mask, inputs.reset), (carry, carry), Weights(weights.u), counts)


def _tells_units_apart(cell: Cell, params: Any, carry: Carry, inputs: Inputs) -> bool:
    """Whether what `pointwise` computes depends on the number of units, or on their places."""
    gates_h = (carry.h,) * (len(inputs.gates_x) - cell.extra)
    given = (inputs.gates_x, gates_h, carry, *jax.eval_shape(lambda p, h: p.spread(h), params, carry.h))
    here, there = ([*outline(jax.make_jaxpr(cell.pointwise)(*at))] for at in (given, one_more(given, -1)))
    return here != there or not (DRAWN | {"iota"}).isdisjoint(name for name, _ in here)


def _try(kernels: Kernels, cell: Cell, weights: Weights, carry: Carry, inputs: Inputs) -> None:
    """Traces the forward kernel and, but where it is interpreted, lowers it; raises what that raises."""

    def run(weights: Weights, carry: Carry, inputs: Inputs) -> Any:
        return kernels.forward(cell, weights, carry, carry, inputs, False, True)

    if kernels.interpret:
        jax.eval_shape(run, weights, carry, inputs)
    else:
        jax.jit(run).trace(weights, carry, inputs).lower(lowering_platforms=(kernels.backend.platform,))
