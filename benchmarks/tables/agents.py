"""The table of the agents, from the record that `python -m benchmarks.agents.ppo` writes."""

import json
import statistics

from benchmarks.shared import RESULTS, Row, number, table
from benchmarks.tables.learned import spread

MARK = 0.95  # a share of right answers that counts as learned
TITLES = {
    ("gru", "none"): "GRU",
    ("lstm", "none"): "LSTM",
    ("none", "none"): "GRU that begins anew at every step",
    ("gru", "late"): "GRU, `done` in the place of `reset` in training",
}


def learned(entry: Row) -> int | None:
    """The environment's steps after which MARK was reached."""
    return next((row["steps"] for row in entry["curve"] if (row["success"] or 0) >= MARK), None)


def agents_table() -> str:
    """Per agent what the audit says, how often it is right in the end, and how soon."""
    record = json.loads((RESULTS / "agents.json").read_text())
    environment = record["environment"]
    lines = []
    for (name, fault), title in TITLES.items():
        found = [each for each in record["runs"] if (each["agent"], each["settings"]["fault"]) == (name, fault)]
        soon = [steps for entry in found if (steps := learned(entry)) is not None]
        right = spread([entry["curve"][-1]["success"] for entry in found], ".3f")
        needed = spread(soon, ",.0f") if len(soon) == len(found) else number(None, "")
        minutes = number(statistics.median(entry["seconds"] for entry in found) / 60, ".1f")
        lines.append((title, found[0]["audit"], right, needed, minutes))
    entry = record["runs"][0]
    first, last = entry["curve"][0], entry["curve"][-1]
    below = (
        f"{environment['symbols']} cues, mean delay {environment['delay']}; chance is {environment['chance']:g}. "
        f"{entry['hidden_size']} units, {entry['rows']} environments, rollouts of {entry['steps']} steps, "
        f"{last['updates']} updates, {last['steps']:,} steps; {len(found)} seeds, the median and the range. Right is "
        f"over the last {first['updates']} updates, of actions that are drawn. Minutes on "
        f"{record['made']['device']['cores']} cores, with compilation."
    )
    header = ("agent", "audit", "right answers", f"steps to {MARK:g}", "minutes")
    return f"{table(header, lines)}\n\n{below}"
