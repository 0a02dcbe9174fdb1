"""Strict promotion around every test, two devices, and a compiler told to hurry."""

import collections
import gc
import importlib.util
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import pytest

PEERS = ("torch", "keras", "haiku", "equinox", "onnx", "onnxruntime")

# Nearly all the time of these tests is compilation of small programs: code that is not optimised is ready ten times
# sooner and computes the same. XLA reads the flags at its first use; set XLA_FLAGS to run the code that users run.
FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",
    "--xla_cpu_use_fusion_emitters=false",
)


def known(flag):
    """Whether this XLA knows a flag: it aborts the process where it does not, here one of 0.2 s."""
    program = [sys.executable, "-c", "from jaxlib import xla_client; xla_client.CompileOptions()"]
    return subprocess.run(program, env=os.environ | {"XLA_FLAGS": flag}, capture_output=True).returncode == 0


if "XLA_FLAGS" not in os.environ:  # the workers of xdist inherit what was found
    os.environ["XLA_FLAGS"] = " ".join(filter(known, FLAGS))

# Two devices where the machine has one CPU: what splits the batch into shards then has something to split it over.
jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(autouse=True)
def strict_promotion():
    """What the package means to broadcast or to cast, it must say."""
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Compiled programs are let go before they are too many: Linux maps a process 65,530 stretches of memory."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def keras_broadcasts(strict_promotion):
    """keras adds its biases, and draws its orthogonal matrices, by implicit rank promotion."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def peers(monkeypatch):
    """Skips where one is missing; keras cannot be imported without knowing its backend."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for peer in PEERS:
        pytest.importorskip(peer)


@pytest.fixture(scope="session")
def tree():
    """(folder) -> everything below it, with its content."""

    def read(folder):
        found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
        return {name: path.read_bytes() if path.is_file() else None for name, path in found.items()}

    return read


@pytest.fixture(scope="session")
def strict_json():
    """(text) -> what it says; NaN and Infinity are no JSON."""

    def reject(constant):
        raise AssertionError(constant)

    return lambda text: json.loads(text, parse_constant=reject)


def pytest_configure() -> None:
    """Where the peers must be present, as on the project's own checks, a missing one is an error and not a skip."""
    if os.environ.get("GATEDRNN_REQUIRE_PEERS"):
        for name in PEERS:
            if importlib.util.find_spec(name) is None:
                raise pytest.UsageError(f"the peer {name} is not installed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each worker takes its share in order, and steals at the end: what a file compiles is seldom compiled twice."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_addoption(parser) -> None:
    """Products of cells, methods, shapes and flags have thousands of cases, of which a run takes a fixed sample."""
    parser.addoption("--exhaustive", action="store_true", help="run every case of every product")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items) -> None:
    """`thinned(n)`: of a test's cases every n-th is quick, the others are slow.

    `sampled`: of those only two tenths run, but with `--exhaustive`; which, a hash of the case's name decides. n has
    no divisor in common with the cases' numbers.
    """
    seen, kept = collections.Counter(), []
    for item in items:
        marker = item.get_closest_marker("thinned")
        family = item.nodeid.partition("[")[0]
        quick = marker is None or seen[family] % marker.args[0] == 0
        seen[family] += 1
        if not quick:
            item.add_marker(pytest.mark.slow)
        whole = item.get_closest_marker("sampled") is None or config.getoption("exhaustive")
        if quick or whole or zlib.crc32(item.nodeid.encode()) % 10 < 2:
            kept.append(item)
    left = {id(item) for item in items} - {id(item) for item in kept}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left])
    items[:] = kept
