"""How long a segment is where nobody says, by T, B, H and backend; and that it is any length."""

import jax
import pytest
from core_problems import D, H
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.methods import _length

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@each_cell
@pytest.mark.parametrize("steps", [450, 401, 839], ids=["divisible", "one_more", "prime"])
def test_default_length(cell, steps, problem, gradient):
    """Several segments of the default length, without a rest, with one of one step, and of many."""
    params, xs, carry, flags, (_, dys) = problem(cell, T=steps)
    got, want = (
        gradient(cell, method, params, xs, carry, flags, dys, False) for method in (gr.Segmented(), gr.Autodiff())
    )
    assert_close(got, want, "float32", steps * (D + H))


LENGTHS = {  # backend, cores, T, B * H, G: K
    ("cpu", 1, 10_000, 64, 4): 80,  # 512 KiB
    ("cpu", 1, 10_007, 64, 4): 85,  # no divisor near, nor of 10,006
    ("cpu", 1, 10_009, 64, 4): 72,  # of 10,008
    ("cpu", 1, 10_000, 32 * 256, 4): 25,  # at least
    ("cpu", 1, 10_000, 1, 1): 200,  # at most
    ("cpu", 2, 10_000, 16 * 64, 4): 80,  # 8 MiB
    ("cpu", 2, 10_000, 16 * 64, 1): 100,  # at most
    ("tpu", 2, 10_000, 64, 4): 250,
    ("gpu", 2, 10_000, 1024 * 1024, 4): 16,  # 1 GiB, and at least
    ("gpu", 2, 100, 64, 4): 100,  # no more than T
}


@pytest.mark.parametrize("case", LENGTHS, ids=str)
def test_default_length_by_backend(case, monkeypatch):
    """As the docstring says; one device, `cores` that the process may use."""
    backend, cores, steps, units, gates = case
    monkeypatch.setattr(_length, "platform", lambda: backend)
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(_length, "schedulable_cores", lambda: cores)
    assert _length.default_length(steps, units, gates) == LENGTHS[case]
