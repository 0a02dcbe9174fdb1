"""Tables of gradient flow, time, memory and compilation."""

import json

from benchmarks.shared import RESULTS, Row, number, table
from benchmarks.speed.reading import by_problem, fastest, made_by, size_of, speed_record
from benchmarks.speed.systems import FORWARD_ONLY, OURS
from gatedrnn.flow import SCALARS


def compare_table() -> str:
    """Medians over seeds of `gatedrnn compare`."""
    record = json.loads((RESULTS / "gradient-flow" / "comparison.json").read_text())
    columns = [scalar for scalar in SCALARS.values() if scalar.short]
    rows = [
        (
            *(row[key] for key in ("cell", "init", "input")),
            *(number(row[scalar.name], scalar.form) for scalar in columns),
            row["verdict"],
        )
        for row in record["summary"]
    ]
    header = ("cell", "init", "input", *(scalar.heading for scalar in columns), "verdict")
    first = record["runs"][0]
    caption = (
        f"`{record['command']}`: {first['horizon']:,} steps, {first['hidden_size']} units, medians over "
        f"{record['summary'][0]['seeds']} seeds; jax {record['versions']['jax']} on {record['device']['platform']}."
    )
    return f"{table(header, rows)}\n\n{caption}"


def against_peer(rows: dict[str, Row], kind: str) -> tuple[float, tuple[str, ...]]:
    """Our best time, and a line's first cells: the problem, our times, the fastest trainer's and the ratio to that."""
    name, peer = fastest(rows, kind, [name for name in rows if name not in (*OURS, *FORWARD_ONLY)])
    ours, two = rows[OURS[0]], rows.get(OURS[1])
    best = fastest(rows, kind, OURS)[1]
    return best, (
        ours["cell"],
        size_of(ours),
        number(ours[kind]["ms"], ",.0f"),
        number(two[kind]["ms"] if two else None, ",.0f"),
        f"{name} {number(peer, ',.0f')}",
        number(best / peer, ".2f"),
    )


def share(gflop: float, ms: float, made: Row) -> str:
    """The necessary work's rate, of the rate of a large product."""
    return number(gflop / ms * 1e3 / made["limit_gflops"], ".0%")


def backward_table() -> str:
    """Forward and backward times of `benchmarks.speed`."""
    record = speed_record()
    made = made_by(record, "rows")
    header = ("", "B D H T", "gatedrnn, ms", "on 2 devices", "fastest peer", "ratio", "share of the limit")
    lines = []
    for rows in by_problem(record):
        best, cells = against_peer(rows, "gradient")
        lines.append((*cells, share(rows[OURS[0]]["necessary_gflop"], best, made)))
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    caption = (
        f"Medians; {made['device']['cores']} cores, limit {made['limit_gflops']:.0f} GFLOP/s (a large float32 "
        f"matrix product in the same run). {versions}."
    )
    return f"{table(header, lines)}\n\n{caption}"


def forward_table() -> str:
    """Forward times of `benchmarks.speed`."""
    record = speed_record()
    made = made_by(record, "rows")
    header = (
        "",
        "B D H T",
        "gatedrnn, ms",
        "on 2 devices",
        "fastest training framework",
        "ratio",
        "onnxruntime",
        "ratio",
        "share of the limit",
    )
    lines = []
    for rows in by_problem(record):
        best, cells = against_peer(rows, "forward")
        onnx = rows["onnxruntime"]["forward"]["ms"] if "onnxruntime" in rows else None
        of_limit = share(rows[OURS[0]]["necessary_forward_gflop"], best, made)
        lines.append((*cells, number(onnx, ",.0f"), number(onnx and best / onnx, ".2f"), of_limit))
    return table(header, lines)


def memory_table() -> str:
    """Peak memory of `benchmarks.speed`: every system at one size, ours against the leanest peer at all of them."""
    groups: dict[str, dict[tuple[str, str], float]] = {}  # by size
    record = speed_record()
    rows = record["memory"]
    for row in rows:
        groups.setdefault(size_of(row), {})[row["system"], row["cell"]] = row["bytes"]
    first = groups[size_of(rows[0])]
    names, cells = (list(dict.fromkeys(names)) for names in zip(*first, strict=True))
    lines = []
    for name in names:
        found = [first.get((name, cell)) for cell in cells]
        lines.append((name, *(number(None if value is None else value / 1e6, ",.0f") for value in found)))
    text = table((f"B D H T = {size_of(rows[0])}; MB beyond inputs, outputs and gradients", *cells), lines)
    told = [
        f"{where}: {', '.join(leanness(taken, cell) for cell in cells)}"
        for where, taken in groups.items()
        if {cell for _, cell in taken} == set(cells)
    ]
    return f"{text}\n\nRatio to the leanest peer, gatedrnn / gatedrnn, Checkpointed, by B D H T. {'; '.join(told)}."


def leanness(taken: dict[tuple[str, str], float], cell: str) -> str:
    """A cell's memory against that of the leanest peer, by default and checkpointed."""
    peer = min(value for (name, which), value in taken.items() if which == cell and name not in OURS)
    return f"{cell} {' / '.join(number(taken[name, cell] / peer, '.2f') for name in (OURS[0], OURS[2]))}"


def compile_table() -> str:
    """Seconds to trace and compile forward + backward, what a flag saves and costs, and whether they depend on T."""
    record = speed_record()
    growth = [row for row in record["growth"] if row["system"] == "gatedrnn" and row["B"] == record["growth"][0]["B"]]
    times = ", ".join(f"{row['compile_s']:.2f} s at {row['T']:,}" for row in sorted(growth, key=lambda row: row["T"]))
    return f"{compiled_apart(record['compile'])}\n\ngatedrnn's lstm takes, by T: {times}."


def compiled_apart(rows: list[Row]) -> str:
    """Every system in a process of its own, without and with the flag; and our times without and with it."""
    seconds = [row for row in rows if "compile_s" in row]
    found = {(row["system"], row["cell"], row["flags"]): row for row in seconds}
    names, cells, flags = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    tell = lambda row: f"{row['compile_s']:.2f} ({row['trace_s']:.2f})" if row else "–"
    header = (f"B D H T = {size_of(seconds[0])}; seconds, of which tracing and lowering", *names)
    lines = [
        (f"{cell}, with the flag" if flag else cell, *(tell(found.get((name, cell, flag))) for name in names))
        for cell in cells
        for flag in flags
    ]
    if not any(flags):
        return table(header, lines)
    times: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row.get("gradient"):
            times.setdefault((row["cell"], size_of(row)), {})[row["flags"]] = row["gradient"]["ms"]
    (flag,) = filter(None, flags)
    header_of_times = ("gatedrnn, forward + backward, ms", "B D H T", "without", "with the flag", "longer by")
    lines_of_times = [
        (cell, where, *(number(ms[each], ",.0f") for each in ("", flag)), number(ms[flag] / ms[""] - 1, "+.0%"))
        for (cell, where), ms in times.items()
    ]
    return f"{table(header, lines)}\n\nThe flag: `XLA_FLAGS={flag}`.\n\n{table(header_of_times, lines_of_times)}"
