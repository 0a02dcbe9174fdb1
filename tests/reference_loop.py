"""What the literal loops over the papers' equations are made of: one row and one step after the other."""

from typing import NamedTuple

import numpy as np


class Run(NamedTuple):
    """What a loop leaves behind: carry parts `[B, H]` (h first), `ys [T, B, H]`, gate values `[T, B, H]` by name."""

    carry: tuple
    ys: np.ndarray
    gates: dict


def loop(step, parts, H, xs, carry, mask, reset, reverse):
    """Run `step(x [D], *carry [H]) -> (carry, gates)` over `xs [T, B, D]`, row by row."""
    xs = np.asarray(xs, np.float64)
    T, B, _ = xs.shape
    carry = [np.zeros((B, H)) for _ in range(parts)] if carry is None else [np.array(a, np.float64) for a in carry]
    ys, gates = np.zeros((T, B, H)), {}
    for b in range(B):
        for t in reversed(range(T)) if reverse else range(T):
            if mask is not None and not mask[t, b]:
                continue
            before = [np.zeros(H) if reset is not None and reset[t, b] else part[b] for part in carry]
            after, values = step(xs[t, b], *before)
            for part, value in zip(carry, after, strict=True):
                part[b] = value
            ys[t, b] = after[0]
            for name, value in values.items():
                gates.setdefault(name, np.zeros((T, B, H)))[t, b] = value
    return Run(tuple(carry), ys, gates)


def columns(array, H):
    """The gates' blocks of H columns each, in order."""
    array = np.asarray(array, np.float64)
    return [array[..., start : start + H] for start in range(0, array.shape[-1], H)]


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))
