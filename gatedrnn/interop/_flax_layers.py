"""flax's layers as a tree of cells, and flax's own runs of them.

Single     a cell, or an RNN over one
Pair       Bidirectional
Pile       Sequential, a list
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from flax import nnx
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Carry
from gatedrnn.interop._blocks import check_options
from gatedrnn.interop._flax_cells import linen_cell, nnx_cell
from gatedrnn.interop._networks import Pair, Pile, Single, Tree
from gatedrnn.interop._verify import Outputs


def read(module: Any) -> Tree:
    """The tree of a cell, a layer, a Sequential or a list of layers, of either of flax's APIs.

    Raises:
        ValueError: something in it computes what no cell or network of the package computes.
    """
    if (parts := _parts(module)) is not None:
        if not parts:
            raise fail("module", "recurrent layers, at least one", "none")
        return read(parts[0]) if len(parts) == 1 else Pile(tuple(map(read, parts)), 0.0)
    if type(module) in (nn.Bidirectional, nnx.Bidirectional):
        if module.merge_fn is not type(module).merge_fn:
            raise fail("merge_fn", "flax's own, which lays the outputs side by side", shown(module.merge_fn))
        return Pair(_one(module.forward_rnn), _one(module.backward_rnn), "concat")
    if type(module) in (nn.RNN, nnx.RNN) and module.reverse:
        wanted = "False, or in a Bidirectional; `gr.unroll(reverse=True)` runs from the end, each output at its place"
        raise fail("reverse", wanted, module.reverse)
    return _one(module)


def variables_of(module: Any, params: Any, path: Any) -> Any:
    """linen's variables of each cell in the tree of `module`: of a pair by direction, of a pile as a list.

    Args:
        module: as in `read`.
        params: `variables["params"]`, or what is below a path in it.
        path: of the module in it, or one path for each of its parts.

    Raises:
        ValueError: nothing is there.
    """
    parts = _parts(module)
    pair = type(module) is nn.Bidirectional
    if pair or parts is not None:
        inner: list[Any] = [module.forward_rnn, module.backward_rnn] if pair else list(parts or ())
        if isinstance(path, str) and isinstance(module, nn.Module):
            params = _below(params, path)
            path = ["forward_rnn", "backward_rnn"] if pair else [f"layers_{place}" for place in range(len(inner))]
        if not isinstance(path, list | tuple) or len(path) != len(inner):
            raise fail("path", f"{len(inner)} paths, one for each part of the module", shown(path))
        found = [variables_of(part, params, at) for part, at in zip(inner, path, strict=True)]
        if pair:
            return {"forward": found[0], "backward": found[1]}
        return found if len(found) > 1 else found[0]
    held = _below(params, path)
    if type(module) is nn.RNN and isinstance(held, Mapping) and "cell" in held:
        held = held["cell"]
    return {"params": held}


def states_of(tree: Tree) -> Any:
    """The same of nnx: each cell's parameters."""
    if isinstance(tree, Single):
        return nnx.state(tree.step, nnx.Param)
    if isinstance(tree, Pair):
        return {"forward": states_of(tree.forward), "backward": states_of(tree.backward)}
    return [states_of(part) for part in tree.layers]


def with_state(module: Any, state: Any) -> Any:
    """A copy of a module of nnx that has these parameters."""
    structure, _, *rest = nnx.split(module, nnx.Param, ...)
    return nnx.merge(structure, state, *rest)


def run_linen(tree: Tree, weights: Any, xs: Array, carry: Carry) -> Outputs:
    """linen's own run of the tree, from a carry of ours."""
    if isinstance(tree, Single):
        return _scan(lambda h, x: tree.step.apply(weights, h, x), xs, carry)
    if isinstance(tree, Pile):
        return _piled(run_linen, tree, weights, xs, carry)
    one, other = map(nn.RNN, _steps(tree))
    layer: Any = nn.Bidirectional(one, other, time_major=True, return_carry=True)
    held = {f"{side}_rnn": {"cell": weights[side]["params"]} for side in ("forward", "backward")}
    return _paired(layer.apply({"params": held}, xs, initial_carry=tuple(map(_theirs, carry))), carry)


def run_nnx(tree: Tree, weights: Any, xs: Array, carry: Carry) -> Outputs:
    """nnx's own run of the tree, from a carry of ours."""
    if isinstance(tree, Single):
        return _scan(with_state(tree.step, weights), xs, carry)
    if isinstance(tree, Pile):
        return _piled(run_nnx, tree, weights, xs, carry)
    steps = [
        with_state(step, held)
        for step, held in zip(_steps(tree), (weights["forward"], weights["backward"]), strict=True)
    ]
    layer: Any = nnx.Bidirectional(*map(nnx.RNN, steps), time_major=True, return_carry=True)
    return _paired(layer(xs, initial_carry=tuple(map(_theirs, carry))), carry)


def _parts(module: Any) -> list[Any] | None:
    """The layers of what holds several; of anything else None."""
    several = type(module) in (nn.Sequential, nnx.Sequential)
    found: Any = module.layers if several else module
    return list(found) if several or isinstance(found, list | tuple | nnx.List) else None


def _one(layer: Any) -> Single:
    step: Any = layer.cell if type(layer) in (nn.RNN, nnx.RNN) else layer
    linen = isinstance(step, nn.Module)
    find: Callable[[Any], Cell] = linen_cell if linen else nnx_cell
    cell = find(step)
    check_options(step, cell, carry_init=nn.initializers.zeros if linen else None)
    return Single(cell, step)


def _below(params: Any, path: Any) -> Any:
    if not isinstance(path, str):
        raise fail("path", "such as 'encoder/cell'", shown(path))
    for name in filter(None, path.split("/")):
        if not isinstance(params, Mapping) or name not in params:
            there = sorted(params) if isinstance(params, Mapping) else shown(params)
            raise fail("path", f"where the module's variables are, {name!r} among the names there", there)
        params = params[name]
    return params


def _steps(pair: Pair) -> list[Any]:
    return [end.step for end in (pair.forward, pair.backward) if isinstance(end, Single)]


def _piled(run: Callable[..., Outputs], pile: Pile, weights: Any, xs: Array, carry: Carry) -> Outputs:
    ends = []
    for part, held, first in zip(pile.layers, weights, carry, strict=True):
        end, xs = run(part, held, xs, first)
        ends.append(end)
    return tuple(ends), xs


def _paired(found: Any, carry: Carry) -> Outputs:
    ends, ys = found
    return type(carry)(*(_ours(end, first) for end, first in zip(ends, carry, strict=True))), ys


def _theirs(carry: Carry) -> Any:
    """The LSTM's carry is (c, h) there, the others' h."""
    return carry[0] if len(carry) == 1 else tuple(carry)[::-1]


def _ours(end: Any, like: Carry) -> Carry:
    return type(like)(*([end] if len(like) == 1 else end[::-1]))


def _scan(step: Callable[..., Any], xs: Array, carry: Carry) -> Outputs:
    """flax's step over time."""
    end, ys = lax.scan(step, _theirs(carry), xs)
    return _ours(end, carry), ys
