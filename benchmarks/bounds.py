"""How fast the products alone can be: what no arrangement of everything else can undercut on this machine.

python benchmarks/bounds.py                       every problem of results/speed.json, beside its times and aims
python benchmarks/bounds.py lstm 16 32 128 10000  one of them

The programs below run a linear recurrence, h' = the mean over the gates of x W + h U, halved, and its gradient: the
products that no cell can do without, in their order and at their shapes, in segments as the engine has them and on as
many devices, with no sigmoid, no derivative and no cell state. Nothing is recomputed; the product that the engine
computes again is timed beside them.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from formats import number, table
from jax import Array, lax
from jax.sharding import PartitionSpec
from measures import CELLS, Size
from speed_tables import by_problem, fastest, speed_record
from systems import FORWARD_ONLY, OURS

from gatedrnn.methods.segmented import default_length

KINDS = ("forward", "backward", "recomputed")
REPEATS = 9


def rows(a: Array) -> Array:
    """[K, ..., N] -> [K * B, N]."""
    return a.reshape(-1, a.shape[-1])


def in_columns(a: Array) -> Array:
    """a^T [N, K * B], laid out before the product, where XLA would copy the other operand."""
    return lax.optimization_barrier(rows(a).T)


def run_forward(gates: int, w: Array, u: Array, h: Array, xs: Array) -> Array:
    """xs [S, K, B, D], S segments of K steps -> hs [S, K, B, H]; one sequence has no B. w [D, G * H], u [H, G * H]."""

    def step(h: Array, gates_x: list[Array]) -> tuple[Array, Array]:
        gates_h = jnp.split(h @ u, gates, axis=-1)
        h = 0.5 / gates * sum(a + b for a, b in zip(gates_x, gates_h, strict=True))
        return h, h

    def segment(h: Array, x: Array) -> tuple[Array, Array]:
        gates_x = (rows(x) @ w).reshape(*x.shape[:-1], -1)
        return lax.scan(step, h, jnp.split(gates_x, gates, axis=-1))

    return lax.scan(segment, h, xs)[1]


def run_backward(gates: int, w: Array, u: Array, xs: Array, before: Array, dhs: Array) -> tuple[Array, Array, Array]:
    """The cotangents of w, u and xs from those of hs; `before` is what stood before each step, both as hs."""
    transposed = u.T.copy()  # [G * H, H]

    def step(dh: Array, dh_t: Array) -> tuple[Array, Array]:
        dgates = jnp.concatenate([0.5 / gates * (dh + dh_t)] * gates, axis=-1)
        return dgates @ transposed, dgates

    def segment(state: tuple[Array, Array, Array], inputs: tuple[Array, Array, Array]) -> tuple[Any, Array]:
        dh, dw, du = state
        x, h, dhs = inputs
        dh, dgates = lax.scan(step, dh, dhs, reverse=True)
        dw, du = dw + in_columns(x) @ rows(dgates), du + in_columns(h) @ rows(dgates)
        return (dh, dw, du), (rows(dgates) @ w.T).reshape(x.shape)

    start = (jnp.zeros_like(dhs[0, 0]), jnp.zeros_like(w), jnp.zeros_like(u))
    (_, dw, du), dxs = lax.scan(segment, start, (xs, before, dhs), reverse=True)
    return dw, du, dxs


def recompute(u: Array, before: Array) -> Array:
    """h U of all of `before`, segment by segment, of which only the first's is kept."""
    return lax.scan(lambda _, h: (rows(h) @ u, None), rows(before[0]) @ u, before, reverse=True)[0]


def programs(gates: int, size: Size, devices: int) -> dict[str, tuple[Any, list[Array]]]:
    """By kind, see `KINDS`: what is compiled, and its arguments."""
    batch, width, hidden, steps = size
    keys = jax.random.split(jax.random.key(0), 5)
    w = jax.random.normal(keys[0], (width, gates * hidden)) / np.sqrt(width)
    u = jax.nn.initializers.orthogonal()(keys[1], (hidden, gates * hidden))
    length = default_length(steps, batch // devices * hidden, gates)
    segments = steps // length
    shape = (segments, length) if batch == 1 else (segments, length, batch)
    xs = jax.random.normal(keys[2], (*shape, width))
    before, dhs = (jax.random.normal(key, (*shape, hidden)) for key in keys[3:])
    h = before[0, 0]
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("batch",))
    one = first = split = PartitionSpec()
    if batch > 1:
        first, split = PartitionSpec("batch"), PartitionSpec(None, None, "batch")

    def backward(*given: Array) -> tuple[Array, Array, Array]:
        dw, du, dxs = run_backward(gates, *given)
        return lax.psum(dw, "batch"), lax.psum(du, "batch"), dxs

    weights = [(w, one), (u, one)]
    whole: dict[str, tuple[Callable[..., Any], list[tuple[Array, PartitionSpec]], Any]] = {
        "forward": (functools.partial(run_forward, gates), [*weights, (h, first), (xs, split)], split),
        "backward": (backward, [*weights, (xs, split), (before, split), (dhs, split)], (one, one, split)),
        "recomputed": (recompute, [weights[1], (before, split)], first),
    }
    found = {}
    for kind, (function, given, out) in whole.items():
        specs = tuple(spec for _, spec in given)
        arrays = [jax.device_put(a, jax.sharding.NamedSharding(mesh, spec)) for a, spec in given]
        sharded = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)
        found[kind] = (jax.jit(sharded).lower(*arrays).compile(), arrays)
    return found


def products_ms(gates: int, size: Size) -> dict[str, float]:
    """Milliseconds of each kind, median of `REPEATS`, on one device and, where the batch can be split, two; the better.

    The programs of one setting take turns.
    """
    best: dict[str, float] = {}
    for devices in (1, 2) if size[0] % 2 == 0 else (1,):
        ready = programs(gates, size, devices)
        taken: dict[str, list[float]] = {kind: [] for kind in ready}
        for turn in range(REPEATS + 1):
            for kind, (compiled, arrays) in ready.items():
                start = time.perf_counter()
                jax.block_until_ready(compiled(*arrays))
                if turn:
                    taken[kind].append(1e3 * (time.perf_counter() - start))
        for kind, times in taken.items():
            best[kind] = min(best.get(kind, float("inf")), statistics.median(times))
    return best


def aims(found: dict[str, dict[str, Any]], batch: int) -> tuple[float, float]:
    """Milliseconds aimed at, forward and forward + backward, from the record's times of the others."""
    peers = [name for name in found if name not in (*OURS, *FORWARD_ONLY)]
    forward = 0.6 * fastest(found, "forward", peers)[1]
    if next(iter(found.values()))["cell"] != "rnn":
        forward = min(forward, found["onnxruntime"]["forward"]["ms"])
    return forward, (0.6 if batch == 1 else 0.5) * fastest(found, "gradient", peers)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cell", nargs="?", choices=list(CELLS))
    parser.add_argument("size", nargs="*", type=int, metavar="B D H T")
    options = parser.parse_args()
    if options.cell and (len(options.size) != 4 or min(options.size) < 1):
        parser.error(f"four sizes B D H T of at least 1 are wanted; got {options.size}")
    jax.config.update("jax_num_cpu_devices", 2)
    header = (
        "",
        "B D H T",
        "forward: aim",
        "products",
        "ours",
        "+ backward: aim",
        "products",
        "and recomputed",
        "ours",
    )
    lines = []
    for found in by_problem(speed_record()):
        row = next(iter(found.values()))
        size = (row["B"], row["D"], row["H"], row["T"])
        if options.cell in (None, row["cell"]) and options.size in ([], list(size)):
            ms = products_ms(len(CELLS[row["cell"]].gates), size)
            both = ms["forward"] + ms["backward"]
            aim, aim_of_both = aims(found, size[0])
            ours = [fastest(found, kind, OURS)[1] for kind in ("forward", "gradient")]
            told = (aim, ms["forward"], ours[0], aim_of_both, both, both + ms["recomputed"], ours[1])
            lines.append((row["cell"], " ".join(map(str, size)), *(number(each, ",.0f") for each in told)))
    if not lines:
        parser.error(f"results/speed.json has no {options.cell} {' '.join(map(str, options.size))}")
    print(table(header, lines))


if __name__ == "__main__":
    main()
