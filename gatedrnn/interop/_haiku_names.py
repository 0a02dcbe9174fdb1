"""Which parameters of haiku are those of a core: by their names, below the path of its module.

LSTM        {"lstm/linear": {"w", "b"}}
GRU         {"gru": {"w_i", "w_h", "b"}}
VanillaRNN  {"vanilla_rnn/linear": {"w", "b"}, "vanilla_rnn/linear_1": {"w", "b"}}       the last b with `double_bias`
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gatedrnn._cell import Cell
from gatedrnn._check import check_list, fail, shown

LAYER = re.compile(r"(.*?)(?:/~\w*)?/(linear(?:_1)?)")
"""A layer inside a core; what stands between is a method of it."""


class Core(NamedTuple):
    """A core of haiku.

    Attributes:
        path: of its module.
        cell: what it computes.
        weights: its parameters by layer, of a GRU "", and name.
    """

    path: str
    cell: Cell
    weights: dict[str, Mapping[str, Any]]


def cores_of(params: Any, modules: Any, cells: Mapping[str, Cell]) -> list[Core]:
    """The cores, from the input's side.

    Args:
        params: `{path: {name: array}}`.
        modules: their paths, or one; None for all there are.
        cells: by haiku's default name of the core.

    Raises:
        ValueError: as `from_haiku`.
    """
    if not isinstance(params, Mapping) or not all(isinstance(layer, Mapping) for layer in params.values()):
        got = sorted(params) if isinstance(params, Mapping) else shown(params)
        raise fail("params", "{path: {name: array}}, as hk.transform's `init` gives it", got)
    held = _by_module(params)
    if modules is None:
        paths = _in_order(held, cells)
    else:
        paths = [modules] if isinstance(modules, str) else check_list("modules", "paths of haiku's modules", modules)
    cores, below = [], None
    for path in paths:
        if path not in held:
            raise fail("modules", f"among {sorted(held)}", repr(path))
        name = _name(held[path])
        if name is None:
            leaves = {inner or path: sorted(layer) for inner, layer in held[path].items()}
            raise fail("params", "those of an hk.LSTM, hk.GRU or hk.VanillaRNN in each of the modules", leaves)
        width, hidden = _sizes(path, name, held[path])
        if below not in (None, width):
            raise fail("modules", f"cores that lie on each other, {path!r} on one of {width} units", f"{below} units")
        below = hidden
        cores.append(Core(path, cells[name], held[path]))
    if not cores:
        raise fail("modules", "at least one", "none")
    return cores


def _by_module(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    held: dict[str, dict[str, Any]] = {}
    for path, layer in params.items():
        place = LAYER.fullmatch(path)
        module, inner = place.groups() if place else (path, "")
        held.setdefault(module, {})[inner] = layer
    return held


def _in_order(held: Mapping[str, Any], cells: Mapping[str, Cell]) -> list[str]:
    """All modules by their numbers, if each has a core's default name, and the same."""
    places = {path: re.fullmatch(rf"((?:.*/)?({'|'.join(cells)}))(?:_(\d+))?", path) for path in held}
    found = [(int(place[3] or 0), path) for path, place in places.items() if place and place[2] == _name(held[path])]
    if len(found) < len(held) or len({place[1] for place in places.values() if place}) != 1:
        wanted = (
            "the paths of the cores, from the input's side, where they are not named as haiku names those of one kind"
        )
        raise fail("modules", wanted, f"None with {sorted(held)}")
    return [path for _, path in sorted(found)]


def _name(layers: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The default name of the core that has these parameters."""
    match {inner: " ".join(sorted(layer)) for inner, layer in layers.items()}:
        case {"": "b w_h w_i", **others} if not others:
            return "gru"
        case {"linear": "b w", "linear_1": "b w" | "w", **others} if not others:
            return "vanilla_rnn"
        case {"linear": "b w", **others} if not others:
            return "lstm"
    return None


def _sizes(path: str, name: str, layers: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """D and H of a core, whose shapes agree.

    Raises:
        ValueError: they do not.
    """
    shapes = {
        f"{inner}/{key}".strip("/"): getattr(a, "shape", ()) for inner, at in layers.items() for key, a in at.items()
    }
    match name, shapes:
        case "lstm", {"linear/w": (rows, wide), "linear/b": (same,)} if (
            wide == same > 0 == wide % 4 and 4 * rows > wide
        ):
            return rows - wide // 4, wide // 4
        case "gru", {"w_i": (rows, wide), "w_h": (hidden, _), "b": (_,)}:
            if shapes["w_h"] == (hidden, 3 * hidden) and shapes["b"] == (wide,) and wide == 3 * hidden:
                return rows, hidden
        case "vanilla_rnn", {"linear/w": (rows, hidden), "linear/b": bias, "linear_1/w": square}:
            if square == (hidden, hidden) and bias == shapes.get("linear_1/b", bias) == (hidden,):
                return rows, hidden
    wanted = {
        "lstm": "[D + H, 4 * H] and [4 * H] (w, b)",
        "gru": "[D, 3 * H], [H, 3 * H] and [3 * H] (w_i, w_h, b)",
        "vanilla_rnn": "[D, H] and [H, H] (w of both), and [H] (b)",
    }
    raise fail("params", f"of the shapes {wanted[name]} at {path!r}", shapes)
