"""What a checkpoint says of itself: covered by its digest, typed, and compared with how JAX is set."""

import json
import os
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import save

from gatedrnn.train import _about
from gatedrnn.train._about import ABOUT, digest
from gatedrnn.train._checkpoints import STATE


@pytest.fixture(scope="module")
def good(tmp_path_factory, fit):
    """A run of 8 updates with its checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    fit(folder, 8)
    return folder


@pytest.fixture
def run(good, tmp_path):
    """A copy of it."""
    return shutil.copytree(good, tmp_path / "run")


def alter(folder, change, sealed):
    """Changes what the last checkpoint says; `sealed`: with a digest to match, as its author could."""
    path = folder / "checkpoints" / "8" / ABOUT
    record = json.loads(path.read_text())
    change(record)
    if sealed:
        record.pop("digest", None)
        record["digest"] = digest(_about._canonical(record))
    path.write_text(json.dumps(record))


def test_what_stands_in_it(good):
    """Versions, settings, types, the run, its rows, and what covers them."""
    record = json.loads((good / "checkpoints" / "8" / ABOUT).read_text())
    assert set(record["versions"]) == {"gatedrnn", "jax"}
    assert record["jax"]["jax_enable_x64"] is False and record["jax"]["jax_default_prng_impl"] == "threefry2x32"
    assert record["metrics"] == "metrics.csv" and [row[0] for row in record["rows"]] == [4, 8]
    assert "int32[1]" in record["leaves"] and "float32[1, 4, 16]" in record["leaves"]
    assert len(record["digest"]) == len(record["state"]) == 64


ALTERED = {
    "a row": lambda record: record["rows"][0].__setitem__(3, 0.0),
    "a seed": lambda record: record["rows"][0].__setitem__(1, 5),
    "a row less": lambda record: record["rows"].pop(),
    "the setup": lambda record: record["setup"].update(horizon=9),
    "a setting": lambda record: record["jax"].update(jax_enable_x64=True),
    "the metrics": lambda record: record.update(metrics="/etc/passwd"),
    "the state's digest": lambda record: record.update(state="0" * 64),
    "the digest": lambda record: record.update(digest="0" * 64),
    "no digest": lambda record: record.pop("digest"),
    "more": lambda record: record.update(more=1),
}


@pytest.mark.parametrize("change", ALTERED.values(), ids=ALTERED)
def test_altered(run, change, fit):
    """Not believed; the way out is told, and it is one."""
    alter(run, change, sealed=False)
    with pytest.raises(ValueError, match="about.json is not as it was written; remove it to go on from the one before"):
        fit(run, 12, resume=True)
    shutil.rmtree(run / "checkpoints" / "8")
    assert [row.step for row in fit(run, 8, resume=True).rows] == [4, 8]


MALFORMED = {
    "rows are a word": lambda record: record.update(rows="abc"),
    "a row is a number": lambda record: record.update(rows=[1]),
    "a short row": lambda record: record.update(rows=[[1, 0, 0.5]]),
    "a long row": lambda record: record.update(rows=[[1, 0, 0.5, 0.5, 0.5, 0.5]]),
    "a step in words": lambda record: record["rows"][0].__setitem__(0, "4"),
    "a step below none": lambda record: record["rows"][0].__setitem__(0, -4),
    "a seed that is true": lambda record: record["rows"][0].__setitem__(1, True),
    "a loss in words": lambda record: record["rows"][0].__setitem__(3, "low"),
    "a loss that is a list": lambda record: record["rows"][0].__setitem__(3, [0.1]),
    "no loss": lambda record: record["rows"][0].__setitem__(3, None),
    "a huge loss": lambda record: record["rows"][0].__setitem__(3, 10**400),
    "the setup is a list": lambda record: record.update(setup=[]),
    "settings are a word": lambda record: record.update(jax="x64"),
    "leaves are numbers": lambda record: record.update(leaves=[1, 2]),
    "metrics are a number": lambda record: record.update(metrics=3),
    "no rows": lambda record: record.pop("rows"),
    "no state": lambda record: record.pop("state"),
    "the state is a number": lambda record: record.update(state=3),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_malformed(run, change, fit):
    """One sentence, though the digest fits."""
    alter(run, change, sealed=True)
    with pytest.raises(ValueError, match=r"^`folder` must be one whose checkpoints can be read; .* malformed: [^\n]*$"):
        fit(run, 12, resume=True)


@pytest.mark.parametrize("data", [b"", b"noise" * 9, save({"0": np.zeros(3)})], ids=["nothing", "noise", "others"])
def test_a_state_of_other_arrays(run, data, fit):
    """Though every digest fits."""
    (run / "checkpoints" / "8" / STATE).write_bytes(data)
    alter(run, lambda record: record.update(state=digest(data)), sealed=True)
    with pytest.raises(ValueError, match=r"read; got '[^']*8': state.safetensors (is malformed|holds other arrays)"):
        fit(run, 12, resume=True)


def test_of_a_later_form(run, fit):
    """Nobody is told to remove it."""
    alter(run, lambda record: record.update(format="gatedrnn checkpoint 2"), sealed=True)
    with pytest.raises(ValueError, match="of the form 'gatedrnn checkpoint 1'; got 'gatedrnn checkpoint 2', of a") as c:
        fit(run, 12, resume=True)
    assert "remove" not in str(c.value)


def test_of_the_first_version(run, fit, tree):
    """Its checkpoints are known by their form, and left to it: neither a fresh start nor a damaged one."""
    last = run / "checkpoints" / "8"
    shutil.rmtree(last)
    for name in ("state/d/x", "about/metadata"):
        (last / name).parent.mkdir(parents=True)
        (last / name).write_text("{}")
    before = tree(run)
    with pytest.raises(
        ValueError, match="checkpoints of this version; got those of version 0.1.0 in '.*', which that v"
    ):
        fit(run, 12, resume=True)
    with pytest.raises(ValueError, match="holds a run at step 8"):
        fit(run, 12)
    assert tree(run) == before


@pytest.mark.parametrize(
    ("name", "value", "now", "then"),
    [
        ("jax_enable_x64", True, "JAX_ENABLE_X64=1", "JAX_ENABLE_X64=0"),
        ("jax_default_prng_impl", "rbg", "JAX_DEFAULT_PRNG_IMPL=rbg", "JAX_DEFAULT_PRNG_IMPL=threefry2x32"),
        ("jax_default_matmul_precision", "highest", "JAX_DEFAULT_MATMUL_PRECISION=highest", "no JAX_DEFAULT_MATMUL_PR"),
    ],
)
def test_set_otherwise(run, name, value, now, then, fit, tree):
    """The setting is named, and what to do; nothing is removed, and set as before it goes on."""
    before = tree(run)
    was = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        with pytest.raises(ValueError, match=f"one of a run with {now}; got one begun with {then}.* is set so") as c:
            fit(run, 12, resume=True)
    finally:
        jax.config.update(name, was)
    assert "remove" not in str(c.value) and tree(run) == before
    assert int(fit(run, 8, resume=True).state.step[0]) == 8


def test_what_is_no_file(run, fit):
    """A pipe is not waited for, a device not read, and a file of holes not filled into memory."""
    last = run / "checkpoints" / "8"
    for name, reason in ((STATE, "not a regular file"), (ABOUT, "not a regular file")):
        shutil.move(last / name, run / name)
        os.mkfifo(last / name)
        with pytest.raises(ValueError, match=reason):
            fit(run, 12, resume=True)
        (last / name).unlink()
        (last / name).symlink_to("/dev/zero")
        with pytest.raises(ValueError, match=reason):
            fit(run, 12, resume=True)
        (last / name).unlink()
        with (last / name).open("wb") as file:
            file.truncate(3 * 2**30)
        with pytest.raises(ValueError, match="3.22 GB, where at most"):
            fit(run, 12, resume=True)
        shutil.move(run / name, last / name)
    assert int(fit(run, 8, resume=True).state.step[0]) == 8


@pytest.mark.parametrize("name", ["²", "٣", "99999", "08", "8.tmp"])
def test_names_that_are_no_checkpoints(run, name, fit, tree):
    """Of others; they are not read, not counted and not removed."""
    (run / "checkpoints" / name).mkdir()
    (run / "checkpoints" / name / "data").write_text("mine")
    assert int(fit(run, 12, resume=True).state.step[0]) == 12
    assert (run / "checkpoints" / name / "data").read_text() == "mine"


def test_a_place_that_is_taken(run, fit):
    """A foreign folder of a checkpoint's name is named."""
    (run / "checkpoints" / "12").mkdir()
    with pytest.raises(ValueError, match="checkpoints can be written to; got '.*checkpoints/12': File exists"):
        fit(run, 12, resume=True)
    (run / "checkpoints" / "12").rmdir()
    assert int(fit(run, 12, resume=True).state.step[0]) == 12
