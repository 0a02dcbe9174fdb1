"""The programs around Fused: one runs dry, one says what it lacks to compile, floors are right."""

import subprocess
import sys

import jax
import pytest

import gatedrnn as gr
from benchmarks.kernels.__main__ import rows
from benchmarks.kernels.cases import DRY, LONG, STEPS, all_cases
from benchmarks.kernels.compiled import KERNELS, LENGTH, PEAKS, floor, loop_instructions, moved_bytes
from benchmarks.kernels.topology import in_sight
from benchmarks.shared import ROOT


@pytest.mark.slow
def test_the_program_for_a_device_runs_dry(peers):
    """The record names the card, then equality, then one line per system and case."""
    made, check, *timed = rows(dry=True, limit=1000)
    assert made["card"] == "cpu" and check["why"] == "the kernels fit" and check["worst"] < 1e-5
    assert len(timed) == 6 * len(DRY)
    assert not [row for row in timed if "error" in row]
    ran = {"Fused", "torch", "Segmented", "Segmented, command buffers", "Autodiff"}
    assert {row["system"] for row in timed if "us" in row} == ran
    assert all(row["from_segmented"] < 1e-2 for row in timed if "from_segmented" in row)


@pytest.mark.slow
def test_it_stops_at_its_limit():
    """Cases that are not begun are said."""
    *_, last = rows(dry=True, limit=0)
    assert last["absent"] == "out of time"


def test_cases_are_in_order_of_importance():
    """The size that fits first, with its long sequences."""
    cases = all_cases()
    assert {(case.batch, case.units) for case in cases[:12]} == {(16, 128)}
    assert [case.steps for case in cases[:13]] == [STEPS] * 8 + [LONG] * 4 + [STEPS]


def test_floor():
    """Bytes over the rate of memory; two operations per weight and row."""
    found = floor(49_280, 4, 128, 16, PEAKS["tpu"])
    assert found["bytes"] == 49_280 and found["operations"] == 2 * 16 * 4 * 128**2
    assert found["memory_us"] == pytest.approx(49_280 / 819e3)
    assert found["products_us"] == pytest.approx(2_097_152 / 197e6)


@pytest.mark.parametrize("platform", KERNELS)
def test_bytes_of_a_step(platform):
    """Those of the lowered program: gates and h, c of whole tiles, and a number per flag and row."""
    shapes = jax.eval_shape(lambda: gr.lstm.init(jax.random.key(0), 8, 128, dtype="bfloat16"))
    xs, method = jax.ShapeDtypeStruct((2 * LENGTH, 16, 8), "bfloat16"), gr.Fused(LENGTH, platform=platform)

    def loss(params, xs):
        return gr.unroll(gr.lstm, params, xs, method=method)[1].sum()

    with in_sight(platform):
        text = jax.jit(jax.grad(loss)).trace(shapes, xs).lower(lowering_platforms=(platform,)).as_text()
    forward, backward = moved_bytes(text, KERNELS[platform])
    assert forward == 4 * 16 * 128 * (4 + 2)
    assert backward == 4 * 16 * 128 * (1 + 6 + 2)  # dh; h by o and c', c' by i, f, g and c; both cotangents


def test_instructions_of_a_step():
    """Between the label and the jump back, without labels and declarations; a jump forward is no loop."""
    text = """
    .entry _run(
    mov.u32 a, 1;
    @p bra $L__BB0_2;
    $L__BB0_1:
    .loc 1 2;
    add.f32 a, b;
    // comment
    mul.f32 a, b;
    @p1 bra $L__BB0_1;
    $L__BB0_2:
    ret;"""
    assert loop_instructions(text) == 3


def test_what_compiling_lacks():
    """One sentence with the packages, no traceback."""
    command = [sys.executable, "-m", "benchmarks.kernels.compiled", "cuda"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.startswith("Nothing here compiles for cuda: it takes jax-cuda12-plugin, ")
    assert result.stdout.count("\n") == 1
