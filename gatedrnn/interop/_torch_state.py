"""The weights of one layer of torch by name, without the module: which layer it was is read off names and shapes.

weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0        of the first layer, forward
weight_ih_l1_reverse, ...                                 of the second, backward
weight_ih, weight_hh, bias_ih, bias_hh                    of a cell
weight_hr_l0                                              of an LSTM with `proj_size`, beside the others
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gatedrnn._cell import Cell
from gatedrnn._check import check_path, fail, shown
from gatedrnn.interop._blocks import kind_of
from gatedrnn.interop._torch_weights import NAMES, suffixes

WEIGHT = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?:_l(\d{1,6})(_reverse)?)?")
WEIGHTS = r"(?:weight|bias)_(?:ih|hh|hr)(?:_l\d+)?(?:_reverse)?"
MADE = {
    "parametrizations\\.": "of a parametrisation",
    f"{WEIGHTS}_g$": "of a weight norm",
    f"{WEIGHTS}_v$": "of a weight norm or a spectral norm",
    f"{WEIGHTS}_orig$": "of a pruning or a spectral norm",
    f"{WEIGHTS}_mask$": "of a pruning",
    f"{WEIGHTS}_u$": "of a spectral norm",
    f"{WEIGHTS}_raw$": "of a weight drop",
    "_all_weight_values": "of a quantised layer",
    "_packed_weight": "of a quantised cell",
}
"""How it shows in a name that torch computes a weight from it."""


def read(weights: Any, prefix: str) -> dict[str, Tensor]:
    """The tensors of one layer by their names without the prefix.

    Raises:
        ValueError: there are none, others are among them, or one is no dense tensor of floating numbers.
    """
    if not isinstance(prefix, str):
        raise fail("prefix", "the text before the names of the layer's weights", shown(prefix))
    every = list(_opened(weights, ()))
    below = [name for name in every if name.startswith(prefix)]
    made = [(name, _made(name.removeprefix(prefix))) for name in below]
    for name, of in made:
        if of:
            wanted = "those with which the layer computes; of its module, `from_torch` computes them"
            raise fail("weights", wanted, f"{name!r}, {of}")
    others = [name for name in below if not WEIGHT.fullmatch(name.removeprefix(prefix))]
    if not below or others:
        raise fail("prefix", "what stands before the weights of one layer alone", _layers(every, prefix, others))
    held = _opened(weights, below)
    return {name.removeprefix(prefix): _tensor(name, held[name]) for name in below}


def shape_of(weights: Mapping[str, Tensor], cells: list[Cell], cell: Cell | None) -> tuple[Cell, list[str]]:
    """The cell, and the marks of its layers and directions in torch's order.

    Raises:
        ValueError: a weight is missing, or has another shape than the others say; or the cell has other gates.
    """
    marks, directions = _marks(weights)
    absent = {
        name for name in ("weight_hr", "bias_ih", "bias_hh") if not any(held.startswith(name) for held in weights)
    }
    absent -= set() if {"bias_ih", "bias_hh"} <= absent else {"bias_ih", "bias_hh"}
    names = [name for name in NAMES if name not in absent]
    wanted = {name + mark for mark in marks for name in names}
    if wanted != set(weights):
        name = min(wanted ^ set(weights))
        got = f"{name!r} missing" if name in wanted else f"{name!r} beside {min(weights)!r}"
        raise fail("weights", "all those of each layer and direction", got)
    rows, shown = _sizes(weights["weight_hh" + marks[0]])  # of an LSTM with `proj_size`, as wide as its projection
    width, units = _sizes(weights["weight_ih" + marks[0]])[1], shown
    if "weight_hr" in names:
        units = _sizes(weights["weight_hr" + marks[0]])[1]
        cells = [known for known in cells if known.name == "lstm"]
    kind = _kind(rows, units, cells, cell)
    for place, mark in enumerate(marks):
        below = width if place < directions else directions * shown
        shapes = dict(zip(NAMES, [(rows, below), (rows, shown), (shown, units), (rows,), (rows,)], strict=True))
        for name in names:
            found = tuple(weights[name + mark].shape)
            if found != shapes[name]:
                raise fail("weights", f"of one layer's shapes, {shapes[name]} for {name + mark}", found)
    return kind, marks


def _marks(weights: Mapping[str, Tensor]) -> tuple[list[str], int]:
    """Of every layer and direction up to the last that is named; and how many directions there are."""
    places = [place for place in map(WEIGHT.fullmatch, weights) if place]
    layers = [int(place[2]) for place in places if place[2]]
    if len(layers) < len(places):
        return [""], 1
    directions = 2 if any(place[3] for place in places) else 1
    return suffixes(min(max(layers), len(weights)) + 1, directions), directions


def _opened(weights: Any, wanted: Sequence[str]) -> dict[str, Any]:
    """Of a dict or a file the tensors that are wanted, by name; None for the others."""
    if isinstance(weights, Mapping):
        return {name: weights[name] if name in wanted else None for name in weights if isinstance(name, str)}
    path: Path = check_path("weights", weights)
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) if name in wanted else None for name in names}
    except (SafetensorError, OSError) as error:
        raise fail("weights", "a safetensors file, or a dict as torch.load gives it", f"{path}: {error}") from None


def _made(name: str) -> str | None:
    """Of what a weight is a part that torch computes with; None of a weight itself."""
    if WEIGHT.fullmatch(name):
        return None
    return next((of for mark, of in MADE.items() if re.match(mark, name)), None)


def _layers(names: list[str], prefix: str, others: list[str]) -> str:
    """Where there are layers, for whoever has given another prefix."""
    starts = {name[: -len("weight_hh_l0")] for name in names if name.endswith("weight_hh_l0")}
    starts |= {name[: -len("weight_hh")] for name in names if name.endswith("weight_hh")}
    known = ", ".join(map(repr, sorted(starts - {prefix})))
    if known:
        return f"{prefix!r}, where there are layers below {known}"
    return f"{prefix!r}, below which there is {repr(others[0]) if others else 'nothing'}"


def _tensor(name: str, value: Any) -> Tensor:
    tensor = value if isinstance(value, Tensor) else _from_array(name, value)
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or not tensor.is_floating_point():
        raise fail("weights", "dense tensors of floating numbers", f"{name!r}, {tensor.dtype} on {tensor.device}")
    return tensor.detach()


def _from_array(name: str, value: Any) -> Tensor:
    a = np.asarray(value)
    if a.dtype.name not in ("bfloat16", "float16", "float32", "float64"):
        raise fail("weights", "dense tensors or arrays of floating numbers", f"{name!r}, {shown(value)}")
    return torch.from_numpy(a.astype(np.float64)).to(getattr(torch, a.dtype.name))


def _sizes(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise fail("weights", "matrices, of inputs and of states", tuple(tensor.shape))
    return tensor.shape[0], tensor.shape[1]


def _kind(rows: int, hidden: int, cells: list[Cell], cell: Cell | None) -> Cell:
    """The cell of as many gates; one gate alone may be tanh or relu."""
    if cell is not None:
        kind_of(cell, dict.fromkeys(cells))
    found = [known for known in cells if len(known.gates) * hidden == rows]
    if not found or (cell is not None and cell not in found):
        gates = ", ".join(f"{len(known.gates)} ({known.name})" for known in (cells if cell is None else [cell]))
        raise fail("weights", f"of as many gates as {gates}", f"{rows} rows for {hidden} units")
    if cell is None and len(found[0].gates) == 1:
        raise fail("cell", "gatedrnn.rnn (tanh) or gatedrnn.relu_rnn for weights of one gate: they do not say", None)
    return found[0] if cell is None else cell
