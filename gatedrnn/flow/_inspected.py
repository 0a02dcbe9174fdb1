"""What is read off the measures of an inspection: how far a readout looks back, signs, gates along time, the keeper."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from gatedrnn._cell import Cell
from gatedrnn._sequence import Sequence
from gatedrnn.flow._comparison import GateMap
from gatedrnn.flow._inspection import Keeper
from gatedrnn.flow._places import memory_of
from gatedrnn.flow.paths import Paths
from gatedrnn.flow.sensitivity import Sensitivity
from gatedrnn.flow.timescales import GateTrace, scales_of, trace_gate

Floats = NDArray[np.float64]

BINS = 400  # columns of a gate map


def looks_back(log10_norm: Floats, share: float) -> NDArray[np.int64]:
    """How many last steps hold a share of the sum of the norms, by row: log10 [T, B] -> [B]; 0 where all are zero."""
    top = log10_norm.max(0)
    sizes = 10.0 ** (log10_norm - np.where(np.isfinite(top), top, 0))
    sums = np.cumsum(sizes[::-1], 0)  # [T, B]
    steps = 1 + (sums < share * sums[-1:]).sum(0)
    return np.where(sums[-1] > 0, steps, 0)


def signed(found: Sensitivity, along: Any) -> tuple[NDArray[np.int64], Floats]:
    """Sign and log10 of the size of <dL/dx_t, along_t>, or of dL/dx_t by feature, in row 0: [T, R] each."""
    mantissa = np.asarray(found.mantissa[:, 0], np.float64)  # [T, D]
    values = mantissa if along is None else (mantissa * np.asarray(along[:, 0], np.float64)).sum(1, keepdims=True)
    exponent = np.asarray(found.exponent[:, 0], np.float64)[:, None]
    with np.errstate(divide="ignore"):
        logs = np.log10(np.abs(values)) + exponent * math.log10(2)
    return np.sign(values).astype(np.int64), logs


class Gates(NamedTuple):
    """Time scales of every cell's units, [H] by place, and pictures; none of cells that keep nothing."""

    timescales: dict[str, Floats]
    maps: tuple[GateMap, ...]


def gates_of(cell: Cell, params: Any, sequence: Sequence, cells: dict[str, Cell]) -> Gates:
    """Of cells in three-function form."""
    steps = sequence.xs.shape[0]
    length = -(-steps // BINS)
    traces = trace_gate(cell, length, params, sequence)
    starts = np.arange(0, steps, length)
    centres = (starts + np.minimum(starts + length, steps) - 1) / 2
    listed: list[GateTrace] = jax.tree.leaves(traces, is_leaf=lambda node: isinstance(node, GateTrace))
    scales, maps = {}, []
    for (place, each), trace in zip(cells.items(), listed, strict=True):
        found = np.asarray(scales_of(trace), np.float64)
        if found.any():
            order = np.argsort(-found, kind="stable")
            values = np.asarray(trace.mean, np.float64).T[order]  # [H, N]
            scales[place] = found
            maps.append(GateMap(each.name, "driven", "trained", each.keeps, centres, values, found[order]))
    return Gates(scales, tuple(maps))


def keeper_of(found: Paths, scales: dict[str, Floats], places: list[str]) -> Keeper | None:
    """The unit whose memory has most of the gradient in the one row whose units were kept; None if nothing arrives."""
    units = found.units
    if units is None:
        return None
    row = int(units.rows[0])
    whole = np.asarray(found.whole["state"], np.float64)
    state = whole[row]  # [B]
    parts = [part for part in found.whole if part != "state"]
    best: Keeper | None = None
    for place in places:
        part = memory_of(place, parts)
        logs = [np.asarray(each[part][0], np.float64) for each in (units.whole, units.direct, units.rest)]  # [B, H]
        with np.errstate(invalid="ignore"):
            share = np.nan_to_num(10.0 ** (2 * (logs[0] - state[:, None]))).mean(0)
        unit = int(share.argmax())
        if share[unit] > (0 if best is None else best.share):
            direct, rest = (float(np.median(each[:, unit])) for each in logs[1:])
            kept = scales.get(place)
            scale = 0.0 if kept is None else float(kept[unit])
            best = Keeper(place, unit, len(whole) - 1 - row, float(share[unit]), direct, rest, scale)
    return best
