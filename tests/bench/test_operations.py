"""What bounds the times: the operations of a step, what starting one costs, and the products alone."""

import re

import chex
import jax
import jax.numpy as jnp
import pytest

from benchmarks.speed.bounds import aims
from benchmarks.speed.hlo import innermost
from benchmarks.speed.problem import Size
from benchmarks.speed.products import programs, run_forward


@pytest.mark.slow
@pytest.mark.usefixtures("peers")
def test_operations_are_counted(run):
    """One loop forward in every system; every loop runs once per step; ours has one product per direction."""
    done = run("-m", "benchmarks.speed.operations", "lstm", "2", "16", "64", "200")
    assert done.returncode == 0, done.stderr
    header, _, *lines = ([each.strip() for each in line.strip("|").split("|")] for line in done.stdout.splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert len({row[""] for row in rows}) == 9
    assert {row["runs"] for row in rows} == {"200"}
    kinds = header[header.index("fusions") : header.index("all")]
    assert all(sum(int(row[kind]) for kind in kinds) == int(row["all"]) > 0 for row in rows)
    forward = [row for row in rows if row["program"] == "forward"]
    assert len(forward) == 9 and all(int(row["products"]) >= 1 for row in forward)
    ours = [row["products"] for row in rows if (row[""], row["program"]) == ("gatedrnn", "forward + backward")]
    assert sorted(ours) == ["0", "1", "1"]  # c is replayed without one


@pytest.mark.parametrize("arguments", [["lstm", "0", "1", "1", "1"], ["lstm", "1", "1"], []])
def test_operations_of_nothing_are_refused(run, arguments):
    """In a sentence, without a traceback."""
    done = run("-m", "benchmarks.speed.operations", *arguments)
    assert done.returncode == 2
    assert "four sizes B D H T of at least 1" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_starting_an_operation_costs(run):
    """Of every scan the operations, which grow with its vectors."""
    done = run("-m", "benchmarks.speed.operations", "--baseline")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\d+) \| (\d+) \| [\d.]+ \|$", done.stdout, re.MULTILINE)
    assert [int(vectors) for vectors, _ in rows] == [2, 4, 8, 16, 32]
    assert all(int(operations) > int(vectors) for vectors, operations in rows)
    assert re.search(r"One operation more: -?\d+\.\d+ µs\.", done.stdout)


@pytest.mark.parametrize("devices", [1, 2])
def test_products_alone_are_a_recurrence_and_its_gradient(devices):
    """What is timed has one product per step each way, and is a function and its derivative by `jax.grad`."""
    gates, size = 3, Size(4, 3, 16, 1_000)
    ready = programs(gates, size, devices, length=100)
    loops = {kind: innermost(program.compiled.as_text()) for kind, program in ready.items()}
    products = {kind: [loop.counts["products"] for loop in found] for kind, found in loops.items()}
    assert products == {"forward": [1], "backward": [1], "recomputed": [1]}
    w, u, h, xs = ready["forward"].arguments
    hs = ready["forward"]()
    loss = lambda w, u, xs: jnp.sum(run_forward(gates, w, u, h, xs) ** 2) / 2
    want = jax.grad(loss, argnums=(0, 1, 2))(w, u, xs)
    flat = jnp.concatenate([h[None], hs.reshape(-1, *h.shape)[:-1]])
    place = lambda a: jax.device_put(a, ready["backward"].arguments[-1].sharding)
    got = ready["backward"].compiled(w, u, xs, place(flat.reshape(hs.shape)), place(hs))
    chex.assert_trees_all_close(jax.device_get(got), jax.device_get(want), rtol=1e-4, atol=1e-5)


def test_aims_are_the_bars():
    """Half of the fastest trainer's time, 0.6 for one sequence and forward; forward onnxruntime's, gates or not."""
    times = {"gatedrnn": (1.0, 1.0), "torch.nn": (10.0, 50.0), "flax nnx": (20.0, 40.0), "onnxruntime": (5.0, None)}
    kinds = ("forward", "gradient")
    told = lambda each: {kind: None if ms is None else {"ms": ms} for kind, ms in zip(kinds, each, strict=True)}
    for cell, batch, want in (("lstm", 16, (5.0, 20.0)), ("gru", 1, (5.0, 24.0)), ("rnn", 16, (6.0, 20.0))):
        found = {name: {"cell": cell} | told(each) for name, each in times.items()}
        assert aims(found, batch) == pytest.approx(want)
