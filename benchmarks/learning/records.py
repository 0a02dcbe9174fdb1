"""Training the entries of records that are not there yet, each in a process of its own."""

import json
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.learning.entries import Entry
from benchmarks.learning.setups import RECORDS
from benchmarks.learning.training import cores
from benchmarks.shared import ROOT, Row, write_whole


@dataclass(frozen=True)
class Way:
    """How entries are trained.

    Attributes:
        results: folder of the records.
        runs: folder of checkpoints.
        quick: at a hundredth of the horizon.
        at_once: entries at a time, each on its share of the cores.
        devices: devices per entry.
    """

    results: Path
    runs: Path
    quick: bool = False
    at_once: int = 1
    devices: int = 1


def run(names: list[str], way: Way) -> None:
    """Every entry that is missing in the records of these names; when one fails, no other begins."""
    way.results.mkdir(parents=True, exist_ok=True)
    free: queue.Queue[list[int]] = queue.Queue()
    for group in np.array_split(cores(), way.at_once):
        free.put(group.tolist())
    writing = threading.Lock()

    def one(name: str, label: str) -> None:
        mine = free.get()
        try:
            told = trained(name, label, way, mine)
        finally:
            free.put(mine)
        with writing:
            add(way.results / f"{name}.json", [entry.label for entry in RECORDS[name]()], told)

    pool = ThreadPoolExecutor(way.at_once)
    try:
        running = [
            pool.submit(one, name, entry.label)
            for name in names
            for entry in RECORDS[name]()
            if not whole(entry, read(way.results / f"{name}.json"))
        ]
        for each in running:
            each.result()
    finally:
        pool.shutdown(cancel_futures=True)


def trained(name: str, label: str, way: Way, on: list[int]) -> Row:
    """An entry, trained on some of the cores."""
    folder = way.runs / name / label.replace(" ", "-").replace(",", "")
    command = [sys.executable, "-m", "benchmarks.learning.training", name, label, str(folder.absolute())]
    command += ["--devices", str(way.devices), *(["--quick"] if way.quick else []), "--cores", *map(str, on)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    entry: Row = json.loads(done.stdout.splitlines()[-1])
    return entry


def whole(entry: Entry, found: list[Row]) -> bool:
    """Whether the entry is in the record with all its tests."""
    tests = {name for name, _, _ in entry.tests}
    return any(there["label"] == entry.label and set(there.get("tests", ())) == tests for there in found)


def read(path: Path) -> list[Row]:
    """The entries of a record, each with what made it: those of old say it once, for all."""
    record = json.loads(path.read_text()) if path.exists() else {"entries": []}
    entries = record.pop("entries")
    return [{"made": record} | entry for entry in entries]


def add(path: Path, labels: list[str], new: Row) -> None:
    """Adds an entry to the record at `path`, which is whole at every moment.

    Where it is there already, and the new one comes from its last checkpoint, only tests and analysis are new.
    """
    found = {entry["label"]: entry for entry in read(path)}
    old = found.get(new["label"])
    if old is not None and new["resumed"] and new["updates"] == old["updates"]:
        new = old | {"tests": new["tests"], "analysis": new["analysis"]}
    found[new["label"]] = new
    places = {label: place for place, label in enumerate(labels)}
    entries = sorted(found.values(), key=lambda entry: places.get(entry["label"], len(places)))
    write_whole(path, {"entries": entries})
