"""The programs around Fused: one runs dry, one says what it lacks to compile, floors are right."""

import subprocess
import sys

import pytest

from benchmarks.kernels.__main__ import rows
from benchmarks.kernels.cases import DRY, LONG, STEPS, all_cases
from benchmarks.kernels.compiled import PEAKS, floors, loop_instructions
from benchmarks.shared import ROOT
from gatedrnn.methods.kernels._budget import Load


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
    """The size that fits first, long sequences last."""
    cases = all_cases()
    assert (cases[0].batch, cases[0].units, cases[0].steps) == (16, 128, STEPS)
    assert [case.steps for case in cases[-4:]] == [LONG] * 4


def test_floors():
    """Numbers of four bytes over the rate of memory; two operations per weight and row."""
    load = Load(matrices=4, width=2, rows=0, held=0, streams=6, flags=2)
    found = floors(load, 128, 16, PEAKS["tpu"])
    assert found["bytes"] == 4 * 16 * (6 * 128 + 2) and found["operations"] == 2 * 16 * 4 * 128**2
    assert found["memory_us"] == pytest.approx(49_280 / 819e3) and found["products_us"] == pytest.approx(
        2_097_152 / 197e6
    )


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
