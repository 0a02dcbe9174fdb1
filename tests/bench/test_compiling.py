"""Seconds to compile: what is counted of a program, a row for each, and the table that is made of them."""

import json

import jax
import pytest

from benchmarks.speed import compiling

PROGRAM = """HloModule made_by_hand

%one (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  ROOT %b = f32[4]{0} negate(%a), metadata={op_name="here"}
}

%same (c: f32[4]) -> f32[4] {
  %c = f32[4]{0} parameter(0)
  ROOT %d = f32[4]{0} negate(%c), metadata={op_name="there"}
}

%other (e: f32[4]) -> f32[4] {
  %e = f32[4]{0} parameter(0)
  ROOT %f = f32[4]{0} tanh(%e)
}

%product (g: f32[4], h: f32[4]) -> f32[] {
  %g = f32[4]{0} parameter(0)
  %h = f32[4]{0} parameter(1)
  ROOT %i = f32[] dot(%g, %h), lhs_contracting_dims={0}, rhs_contracting_dims={0}
}

ENTRY %main (x: f32[4]) -> f32[8] {
  %x = f32[4]{0} parameter(0)
  %copy = f32[4]{0} copy(%x)
  %y = f32[4]{0} fusion(%copy), kind=kLoop, calls=%one, metadata={op_name="here"}
  %z = f32[4]{0} fusion(%y), kind=kLoop, calls=%same
  %u = f32[4]{0} fusion(%z), kind=kLoop, calls=%other
  %v = f32[] fusion(%u, %z), kind=kCustom, calls=%product
  ROOT %w = f32[8]{0} concatenate(%u, %z), dimensions={0}
}
"""


def test_equal_kernels_are_counted_once():
    """A negation, a tanh, a concatenation: the second negation is the first, copies and products are no kernels."""
    assert compiling.kernels(PROGRAM) == 3


@pytest.mark.parametrize("name", ["gatedrnn", "lax.scan + jax.grad"])
def test_a_row_for_each_program(name):
    with jax.numpy_rank_promotion("allow"):
        forward, gradient = compiling.measured(name, "rnn", compiling.QUICK[0], 1)
    assert (forward["program"], gradient["program"]) == ("forward", "gradient")
    assert 0 < forward["kernels"] < gradient["kernels"] and 0 < forward["loops"] < gradient["loops"]
    assert all(row[key] > 0 for row in (forward, gradient) for key in ("trace_s", "xla_s", "xla_clock_s"))


def test_the_table(monkeypatch, tmp_path):
    """Ratios are of whole seconds, tracing included, gatedrnn's to flax nnx's."""
    where = dict(zip("BDHT", (1, 2, 3, 4_000), strict=True))
    seconds = {"gatedrnn": (1.0, 2.0, 30), "flax nnx": (0.5, 1.5, 20), "lax.scan + jax.grad": (0.25, 1.0, 10)}
    rows = [
        {"system": name, "cell": "rnn", "program": program, "trace_s": trace, "xla_s": xla, "kernels": count} | where
        for name, (trace, xla, count) in seconds.items()
        for program in ("forward", "gradient")
    ]
    monkeypatch.setattr(compiling, "RECORD", tmp_path / "compile.json")
    compiling.RECORD.write_text(json.dumps({"rows": rows}))
    lines = compiling.compile_cpu_table().splitlines()
    assert len(lines) == 4
    assert lines[2] == "| rnn | 1 2 3 4,000 | forward | 3.00 | 1.00 | 30 | 2.00 | 20 | 1.50 | 1.25 |"
