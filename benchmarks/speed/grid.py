"""What `gr.unroll` does by default, at sizes drawn at random: equality first, then turns beside three peers.

python -m benchmarks.speed.grid                     60 draws of seed 0: benchmarks/results/grid.json
python -m benchmarks.speed.grid --seed 1 --out F    another seed
python -m benchmarks.speed.grid --devices 2         in a process of two CPU devices
python -m benchmarks.speed.grid --quick --out F     two tiny draws, to see that it runs

The peers are `lax.scan` over the cell as one writes it by hand, flax nnx's RNN and torch.nn, all with the same weights
and inputs. In a turn each is called once, in an order drawn anew, so that none always follows the same one; a ratio is
the median over turns of our time by the peer's in the same turn. torch and we take turns apart from the others, with a
rest after it: its threads wait busily for more and hold a core for some ms, and to wake after a rest takes time.

The same program has other ratios in another process: of four of rnn 225 126 36 66, forward to plain `lax.scan`, 0.89 to
1.18. So each draw is measured in several processes, one after the other, and its ratio is the median of theirs.

A killed run leaves what it measured in a part beside the record, and goes on from there when it is started again,
unless the tree has another commit by then.

Take it where nothing else runs: torch's threads wait for each other after every operation, and where another process
has one of the cores, a step takes milliseconds.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jax

from benchmarks.shared import RESULTS, Row, described, write_whole
from benchmarks.speed import draws, shares
from benchmarks.speed.draws import Draw, Limits, drawn
from benchmarks.speed.measures import compared, summary, turn
from benchmarks.speed.ready import Ready
from benchmarks.speed.systems import OURS, REFERENCE, SPINNING
from gatedrnn.cells import CLASSICS

RECORD = RESULTS / "grid.json"
VERSIONS = ("jax", "jaxlib", "torch", "flax", "numpy")
SYSTEMS = (OURS[0], REFERENCE, "flax nnx", "torch.nn")
GROUPS = (tuple(name for name in SYSTEMS if name not in SPINNING), (OURS[0], "torch.nn"))
KINDS = ("forward", "gradient")
DRAWS = 60
PROCESSES = 3  # of each draw
BUDGET = 1.0  # seconds of turns, of each kind in each process
MOST = 101  # turns
LEAST = ((1e4, 1), (2e2, 3), (0.0, 5))  # turns, whatever they take, where a system takes so many ms or more


def in_turns(systems: Mapping[str, Ready], kind: str, budget: float, seed: int) -> dict[str, list[float]]:
    """Milliseconds of every system in every turn, until the budget of seconds is spent."""
    rng, began = random.Random(seed), time.perf_counter()
    taken: dict[str, list[float]] = {name: [] for name in systems}
    for made in range(MOST):
        longest = max(min(times, default=0.0) for times in taken.values())  # what a busy moment added is no length
        least = next(turns for ms, turns in LEAST if longest >= ms)
        if made >= least and time.perf_counter() - began > budget:
            break
        for name in rng.sample(list(systems), len(systems)):
            run = systems[name].forward if kind == "forward" else systems[name].gradient
            assert run is not None
            taken[name].append(turn(name, run))
    return taken


def ratio(taken: Mapping[str, list[float]], peer: str) -> float:
    """Our time by a peer's: the median over turns."""
    return statistics.median(ours / theirs for ours, theirs in zip(taken[OURS[0]], taken[peer], strict=True))


def measured(index: int, draw: Draw, budget: float, seed: int) -> list[Row]:
    """A row for each system, of this process; the seed is that of the order of turns.

    Raises:
        SystemExit: one computes other numbers than plain `lax.scan`.
    """
    systems, rows = compared(CLASSICS[draw.cell], draw.size, list(SYSTEMS))
    for kind in KINDS:
        found = [in_turns({name: systems[name] for name in group}, kind, budget, seed) for group in GROUPS]
        for row in rows:
            name = row["system"]
            taken = next(times for times in found if name in times)
            told = {"turns": len(taken[name])} | ({} if name == OURS[0] else {"ratio": ratio(taken, name)})
            row[kind] = (summary(taken[name]) or {}) | told
    return [{"draw": index} | row for row in rows]


def in_processes(index: int, draw: Draw, budget: float, processes: int) -> list[Row]:
    """A row for each system, of as many processes with as many devices as this one has."""
    count, spawn = len(jax.devices()), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, use_devices, (count,), max_tasks_per_child=1) as pool:
        started = [pool.submit(measured, index, draw, budget, processes * index + each) for each in range(processes)]
        return merged([each.result() for each in started])


def use_devices(count: int) -> None:
    """Before anything else is asked of JAX."""
    jax.config.update("jax_num_cpu_devices", count)


def merged(found: Sequence[list[Row]]) -> list[Row]:
    """Of rows of the same systems from several processes: medians; the least and the largest; all turns, all ratios."""
    return [joined(rows) for rows in zip(*found, strict=True)]


def joined(rows: Sequence[Row]) -> Row:
    """One system's, of several processes."""
    row = dict(rows[0])
    for name in ("compile_s", "trace_s"):
        if row[name] is not None:
            row[name] = statistics.median(each[name] for each in rows)
    for kind in KINDS:
        told: list[Row] = [each[kind] for each in rows]
        spreads = [each["spread"] for each in told]
        row[kind] = {
            "ms": statistics.median(each["ms"] for each in told),
            "spread": [min(low for low, _ in spreads), max(high for _, high in spreads)],
            "turns": sum(each["turns"] for each in told),
        }
        if row["system"] != OURS[0]:
            ratios = [each["ratio"] for each in told]
            row[kind] |= {"ratio": statistics.median(ratios), "ratios": ratios}
    return row


def record(seed: int, count: int, limits: Limits, budget: float, processes: int, out: Path) -> Row:
    """Measures what is not in the part of a killed run yet, and writes the record once it is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part.json")
    made = described(VERSIONS) | {"seed": seed, "draws": count, "devices": len(jax.devices()), "budget_s": budget}
    made["processes"] = processes
    made["limits"] = json.loads(json.dumps(limits._asdict()))
    begun: Row = {"load": os.getloadavg()[0]} | made | {"rows": []}
    if part.exists():
        found = json.loads(part.read_text())
        if found == found | made:
            begun = found
            print(f"goes on after {len(found['rows']) // len(SYSTEMS)} draws of {part}", flush=True)
    rows: list[Row] = begun["rows"]
    done = {row["draw"] for row in rows}
    for index, draw in enumerate(drawn(seed, count, limits)):
        if index not in done:
            rows += in_processes(index, draw, budget, processes)
            write_whole(part, begun)
            show(rows[-len(SYSTEMS) :])
    write_whole(out, begun)
    part.unlink()
    return begun


def show(rows: list[Row]) -> None:
    """Prints what a draw gave, as soon as it is there."""
    first, *peers = rows
    size = " ".join(str(first[letter]) for letter in "BDHT")
    tell = lambda kind: ", ".join(f"{row[kind]['ratio']:.2f}" for row in peers)
    times = [f"{kind} {first[kind]['ms']:8.2f} ms, to the peers {tell(kind)}" for kind in KINDS]
    print(f"{first['draw']:3} {first['cell']:4} {size:18} {'   '.join(times)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--draws", type=int, default=DRAWS, help="how many")
    parser.add_argument("--devices", type=int, help="of the CPU; as many as the process has where not given")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="that measure each draw")
    parser.add_argument("--quick", action="store_true", help="two tiny draws, to see that it runs")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    options = parser.parse_args()
    if options.quick and options.out == RECORD:
        parser.error("--quick needs --out: what it measures is no record")
    devices = 1 if options.devices is None else options.devices
    if options.seed < 0 or min(options.draws, devices, options.processes) < 1:
        parser.error("--seed must be at least 0, --draws, --devices and --processes at least 1")
    if options.devices:
        use_devices(options.devices)
    if options.quick:
        done = record(options.seed, 2, draws.QUICK, 0.0, options.processes, options.out)
    else:
        done = record(options.seed, options.draws, draws.WHOLE, BUDGET, options.processes, options.out)
    print(f"\n{shares.shares_table(done['rows'])}")


if __name__ == "__main__":
    main()
