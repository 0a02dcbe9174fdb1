"""A grid of sizes drawn at random: the draws, the turns, a killed run, and how the ratios stand against the bars."""

import json
import math

import pytest

from benchmarks.speed import draws, grid as measuring, measures, shares
from benchmarks.speed.draws import QUICK, WHOLE, Draw, drawn, expected
from benchmarks.speed.problem import Size
from benchmarks.tables import grid as tables


def test_draws_are_the_seed_s():
    """The same again, the first of more, others of another seed; all within the limits, small and large."""
    found = drawn(0, 200, WHOLE)
    assert found == drawn(0, 200, WHOLE) and found[:7] == drawn(0, 7, WHOLE) and found != drawn(1, 200, WHOLE)
    assert {draw.cell for draw in found} == {"rnn", "gru", "lstm"}
    for draw in found:
        assert all(map(lambda low, n, high: low <= n <= high, WHOLE.least, draw.size, WHOLE.most))
        assert expected(draw) <= (WHOLE.bytes, math.inf) and expected(draw)[1] <= WHOLE.seconds
    batches = [draw.size.batch for draw in found]
    assert 0.3 < sum(batch <= 16 for batch in batches) / 200 < 0.7  # half of the logarithms lie below those of 16


def test_what_is_too_large_is_not_drawn():
    """Limits bind: what is kept of tight limits is what wide ones draw, without what is over."""
    tight = WHOLE._replace(bytes=1e7, seconds=0.05)
    wide = drawn(3, 100, WHOLE._replace(bytes=math.inf, seconds=math.inf))
    kept = [draw for draw in wide if expected(draw)[0] <= 1e7 and expected(draw)[1] <= 0.05]
    assert 5 < len(kept) < 95 and drawn(3, len(kept), tight) == kept


def test_expected_is_the_formula(monkeypatch):
    """By hand for a GRU, B D H T = 2 3 4 5: 9 H + D numbers per step and sequence, 3 H (D + H) = 84 weights."""
    for name, rate in (("RATE", 1.0), ("TRAFFIC", 1.0), ("STEP", 7.0)):
        monkeypatch.setattr(draws, name, rate)
    size, seconds = expected(Draw("gru", Size(2, 3, 4, 5)))
    assert size == 4 * 5 * 2 * (3 + 9 * 4)
    assert seconds == 5 * (6 * 2 * 84 + 16 * 84 + 7)


class Clock:
    """Systems whose calls take what is told, in milliseconds, and the time that is spent in them."""

    def __init__(self, monkeypatch, **ms):
        self.now, self.order = 0.0, []
        self.systems = {name: self.system(name, each) for name, each in ms.items()}
        monkeypatch.setattr(measures, "milliseconds", lambda run: run())
        monkeypatch.setattr(measures.time, "sleep", self.rest)
        monkeypatch.setattr(measuring.time, "perf_counter", lambda: self.now)

    def system(self, name, ms):
        def run():
            self.order.append(name)
            self.now += ms / 1e3
            return ms

        return measuring.Ready(run, run, None, None, None, None)

    def rest(self, seconds):
        self.order.append("rest")
        self.now += seconds


@pytest.mark.parametrize(
    ("ms", "budget", "turns"), [(1.0, 60.0, 101), (100.0, 1.05, 6), (150.0, 0.0, 5), (2e3, 1.0, 3), (2e4, 1.0, 1)]
)
def test_turns_end_with_the_budget(monkeypatch, ms, budget, turns):
    """At most 101, at least five; three of calls of more than 0.2 s, one of more than ten."""
    clock = Clock(monkeypatch, a=ms, b=ms)
    taken = measuring.in_turns(clock.systems, "gradient", budget, 0)
    assert taken == {"a": [ms] * turns, "b": [ms] * turns}


def test_torch_s_threads_fall_asleep_before_the_next_system(monkeypatch):
    """In the turns of both benchmarks; a rest is in no system's time."""
    clock = Clock(monkeypatch, **{"gatedrnn": 1.0, "torch.nn": 2.0})
    taken = measuring.in_turns(clock.systems, "forward", 0.0, 0)
    assert taken == {"gatedrnn": [1.0] * 5, "torch.nn": [2.0] * 5}
    assert measures.turns(clock.systems, "forward", 1)["torch.nn"] == [2.0] * 5
    calls = " ".join(clock.order)
    assert calls.count("torch.nn rest") == calls.count("rest") == 10


def test_every_turn_has_an_order_of_its_own(monkeypatch):
    """Each runs once in a turn, and none always follows the same one."""
    clock = Clock(monkeypatch, a=1.0, b=2.0, c=3.0)
    measuring.in_turns(clock.systems, "forward", 60.0, 0)
    orders = [tuple(clock.order[first : first + 3]) for first in range(0, len(clock.order), 3)]
    assert (
        len(orders) == 101 and len(set(orders)) == 6 and {tuple(sorted(each)) for each in orders} == {("a", "b", "c")}
    )


def test_ratios_are_of_the_same_turn():
    """A machine that slows down between turns slows both."""
    taken = {"gatedrnn": [1.0, 10.0, 4.0], "peer": [2.0, 20.0, 4.0]}
    assert measuring.ratio(taken, "peer") == 0.5


def test_processes_are_merged():
    """Medians of times and of ratios, whichever process they are of; the least and largest; every turn."""

    def found(ms, ratio, compiled):
        told = {"ms": ms, "spread": [ms - 1, ms + 1], "turns": 5}
        place = {"draw": 3, "cell": "gru"}
        ours = place | {"system": "gatedrnn", "compile_s": compiled, "trace_s": 0.1, "forward": told, "gradient": told}
        theirs = told | {"ratio": ratio}
        peer = {"system": "torch.nn", "compile_s": None, "trace_s": None, "forward": theirs, "gradient": theirs}
        return [ours, place | peer]

    ours, peer = measuring.merged([found(5.0, 0.9, 1.0), found(9.0, 0.7, 4.0), found(7.0, 1.2, 2.0)])
    whole = {"ms": 7.0, "spread": [4.0, 10.0], "turns": 15}
    told = whole | {"ratio": 0.9, "ratios": [0.9, 0.7, 1.2]}
    assert ours["forward"] == ours["gradient"] == whole and peer["forward"] == peer["gradient"] == told
    assert (ours["compile_s"], ours["draw"], peer["compile_s"]) == (2.0, 3, None)


def rows_of(index, cell, ours, **peers):
    """A draw's rows; `peers` by system: (forward, gradient) in ms."""
    place = {"draw": index, "cell": cell} | dict(zip("BDHT", (2, 3, 4, 5000), strict=True))
    rows = [place | {"system": "gatedrnn", "forward": {"ms": ours[0]}, "gradient": {"ms": ours[1]}}]
    for name, times in peers.items():
        told = [{"ms": theirs, "ratio": mine / theirs} for mine, theirs in zip(ours, times, strict=True)]
        rows.append(place | {"system": name} | dict(zip(measuring.KINDS, told, strict=True)))
    return rows


def two_draws():
    """Forward 1.0 and 1.2 of plain scan; forward + backward 0.8 and 2.0 of the fastest on XLA, 0.2 and 2.0 of torch."""
    scan = "lax.scan + jax.grad"
    first = rows_of(0, "gru", (2.0, 4.0), **{scan: (2.0, 16.0), "flax nnx": (1.0, 5.0), "torch.nn": (9.0, 20.0)})
    second = rows_of(1, "rnn", (1.2, 8.0), **{scan: (1.0, 4.0), "flax nnx": (3.0, 5.0), "torch.nn": (9.0, 4.0)})
    return [*first, *second]


def test_shares_by_hand():
    """Medians, quantiles between the two, the worst, and how many are within each bar."""
    lines = shares.shares_table(two_draws()).splitlines()[2:]
    assert [line.strip("| ").split(" | ")[1:] for line in lines] == [
        ["2", "1.10", "1.19", "1.20", "at most 1.05 in 50% (95%), at most 1.15 in 50% (100%)"],
        ["2", "1.40", "1.94", "2.00", "at most 0.80 in 50% (50%), at most 1.00 in 50% (95%)"],
        ["2", "1.10", "1.91", "2.00", "at most 1.00 in 50% (80%)"],
    ]


def recorded(rows):
    """A record with those rows."""
    limits = json.loads(json.dumps(WHOLE._asdict()))
    made = {
        "versions": {"jax": "1.2.3"},
        "device": {"cores": 2},
        "load": 0.1,
        "devices": 1,
        "seed": 7,
        "draws": 2,
        "processes": 3,
    }
    return made | {"limits": limits, "rows": rows}


def test_table_and_picture(tmp_path, monkeypatch):
    """From the record alone; without one, the command that makes one and no picture."""
    record, picture = tmp_path / "grid.json", tmp_path / "grid.png"
    monkeypatch.setattr(tables, "RECORD", record)
    assert "python -m benchmarks.speed.grid" in tables.grid_table()
    tables.grid_picture(picture)
    assert not picture.exists()
    record.write_text(json.dumps(recorded(two_draws())))
    text = tables.grid_table()
    assert shares.shares_table(two_draws()) in text
    assert text.splitlines()[-1] == (
        "2 draws of seed 7: B 1 to 256, D 1 to 512, H 8 to 1,024, T 8 to 20,000, log-uniform, within 4 GB and 3 s; "
        "3 processes each, 1 device on 2 cores. jax 1.2.3."
    )
    tables.grid_picture(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    """What stands in the part is not measured again; of other settings it counts for nothing."""
    out, measured = tmp_path / "grid.json", []

    def measure(index, draw, budget, processes):
        assert processes == 2
        if len(measured) == 1:
            measured.append(None)
            raise KeyboardInterrupt
        measured.append(index)
        peers = dict.fromkeys(measuring.SYSTEMS[1:], (2.0, 2.0))
        return rows_of(index, draw.cell, (1.0, 1.0), **peers)

    monkeypatch.setattr(measuring, "in_processes", measure)
    with pytest.raises(KeyboardInterrupt):
        measuring.record(0, 3, QUICK, 0.0, 2, out)
    assert not out.exists()
    done = measuring.record(0, 3, QUICK, 0.0, 2, out)
    assert measured == [0, None, 1, 2] and done == json.loads(out.read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["grid.json"]
    out.with_suffix(".part.json").write_text(json.dumps(done))
    measuring.record(1, 1, QUICK, 0.0, 2, out)
    assert measured == [0, None, 1, 2, 0]


@pytest.mark.parametrize(
    "arguments", [["--quick"], ["--draws", "0"], ["--devices", "0"], ["--processes", "0"], ["--seed", "-1"]]
)
def test_what_is_no_record_is_refused(monkeypatch, capsys, arguments):
    """In a sentence: it must not replace the record."""
    monkeypatch.setattr("sys.argv", ["grid", *arguments])
    with pytest.raises(SystemExit, match="2"):
        measuring.main()
    assert "error: --" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("peers")
def test_quick(run, tmp_path, monkeypatch):
    """Two draws on two devices: every system has errors, times and ratios; table and picture are made of them."""
    out = tmp_path / "grid.json"
    done = run("-m", "benchmarks.speed.grid", "--quick", "--processes", "1", "--devices", "2", "--out", out)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert (record["seed"], record["draws"], record["devices"]) == (0, 2, 2) and record["commit"]
    found = shares.by_draw(record["rows"])
    assert [tuple(each) for each in found] == [measuring.SYSTEMS] * 2
    for each, draw in zip(found, drawn(0, 2, QUICK), strict=True):
        for name, row in each.items():
            assert (row["cell"], *(row[letter] for letter in "BDHT")) == (draw.cell, *draw.size)
            assert 0 <= max(row["errors"].values()) < 1e-4
            assert (row["compile_s"] is None) == (name == "torch.nn")
            for kind in measuring.KINDS:
                assert row[kind]["ms"] > 0 and 1 <= row[kind]["turns"] <= 5
                assert (name == "gatedrnn") != (row[kind].get("ratio", 0) > 0)
    assert shares.shares_table(record["rows"]) in done.stdout
    monkeypatch.setattr(tables, "RECORD", out)
    tables.grid_picture(tmp_path / "grid.png")
    assert "2 draws of seed 0" in tables.grid_table() and (tmp_path / "grid.png").exists()
