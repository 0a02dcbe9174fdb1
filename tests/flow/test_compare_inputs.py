"""gr.flow.compare: inputs and cells of every kind, from one step to 20,000."""

import dataclasses
import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn import report

compare_module = importlib.import_module("gatedrnn.flow.compare")
T, D, H = 50, 3, 4
HALF = gr.Cell.from_step(  # forgets by a constant factor; its weights are that factor
    "half",
    lambda a, carry, x: (gr.RNNState(a * carry.h), a * carry.h),
    init=lambda key, input_size, hidden_size: jnp.full(hidden_size, 0.5),
    initial_carry=lambda a, batch_size=None: gr.RNNState(
        jnp.zeros(a.shape if batch_size is None else (batch_size, *a.shape), a.dtype)
    ),
)


def test_inputs_by_name_and_without_a_batch(driven):
    """A mapping keeps its names and order; [T, D] is a batch of one; progress counts every run."""
    xs, calls = np.asarray(driven)[:, 0], []
    result = gr.flow.compare(
        HALF, {"b": xs, "a": 0 * xs}, hidden_size=2, seeds=2, on_run=lambda *call: calls.append(call)
    )
    assert [(run.input, run.seed, run.batch) for run in result.runs] == [
        ("b", 0, 1),
        ("b", 1, 1),
        ("a", 0, 1),
        ("a", 1, 1),
    ]
    assert [run.closed_form_log10_norm is None for run in result.runs] == [True, True, False, False]
    assert sorted(total for _, total, _ in calls) == [4] * 4
    assert len({done for done, _, _ in calls}) == 4
    assert {label for _, _, label in calls} == {f"half, default, {name}, seed {i}" for name in "ab" for i in range(2)}


def test_a_long_horizon_far_below_every_float():
    """Half per step over 20,000 steps: 10^-6020, with about 200 lags on a log scale."""
    result = gr.flow.compare([HALF], jnp.ones((20_000, 1, 1)), hidden_size=2, seeds=1, inits=["default"])
    for run in result.runs:
        assert (run.lags[0], run.lags[-1]) == (0, 20_000)
        assert 150 < len(run.lags) <= 201
        assert sorted(set(run.lags)) == run.lags
        assert run.log10_norm[0] is None  # the last output reads the carry before it
        np.testing.assert_allclose(run.log10_norm[1:], -math.log10(2) * np.array(run.lags[1:]), rtol=1e-5, atol=1e-5)
        assert run.half_life == pytest.approx(1, rel=1e-5)
        assert (run.lag_below_1e3, run.lag_below_float32, run.lag_below_float64) == (10, 127, 1024)
        assert run.lyapunov_max == pytest.approx(-math.log(2), rel=1e-5)


def test_a_gradient_of_exactly_zero(strict_json):
    """A cell that forgets everything: null norms, no rate, no exponent, strict JSON, and a verdict."""
    gone = dataclasses.replace(HALF, name="gone", init=lambda key, d, h: jnp.zeros(h))
    result = gr.flow.compare([gone], jnp.ones((5, 1, 1)), hidden_size=2, seeds=1)
    for run in result.runs:
        assert run.log10_norm == [None] * 6
        assert (run.rate_log10_per_step, run.half_life, run.lyapunov_max) == (None, None, None)
        assert (run.lag_below_1e3, run.lag_below_float64, run.verdict) == (0, 0, "vanishing")
    strict_json(result.to_json())


def test_a_cell_without_weights(driven):
    """A recurrence may have no parameters at all."""
    fixed = gr.Cell.from_step(
        "fixed",
        lambda params, carry, x: (gr.RNNState(0.5 * carry.h + x[..., :1]), carry.h),
        init=lambda key, input_size, hidden_size: (),
        initial_carry=lambda params, batch_size=None: gr.RNNState(jnp.zeros((batch_size or 1, 1))),
    )
    result = gr.flow.compare([fixed], driven, hidden_size=1, seeds=1)
    assert [run.half_life for run in result.runs] == [pytest.approx(1, rel=1e-5)] * 2


def shown_step(params, carry, x):
    """A foreign stack: a dict of a lower layer, which keeps all, and a tuple with an upper one, which keeps half."""
    lower, (upper, gain) = carry["lower"] + x[..., :1], carry["upper"]
    upper = 0.5 * upper + 0.1 * lower
    return {"lower": lower, "upper": (upper, gain)}, params * upper


SHOWN = gr.Cell.from_step(
    "shown",
    shown_step,
    init=lambda key, input_size, hidden_size: jnp.ones((1, hidden_size)),
    initial_carry=lambda params, batch_size=None: {
        "lower": jnp.zeros((batch_size or 1, 1)),
        "upper": (jnp.zeros((batch_size or 1, params.size)), jnp.zeros((batch_size or 1, 3))),
    },
)


@pytest.mark.slow
def test_a_foreign_carry_is_judged_by_what_it_shows(tmp_path, driven):
    """Any pytree, an `init` without `dtype`: closed form, memory check and all files; parts agree with the matrices."""
    result = gr.flow.compare([SHOWN], driven, hidden_size=2, seeds=1)
    silent = next(run for run in result.runs if run.input == "silent")
    np.testing.assert_allclose(silent.log10_norm[1:], silent.closed_form_log10_norm[1:], atol=1e-5)
    jacobian = np.diag([1.0, 0.5, 0.5])
    jacobian[1:, 0] = 0.1
    probe = np.array([0, 0.5**0.5, 0.5**0.5])
    want = [math.log10(np.linalg.norm(np.linalg.matrix_power(jacobian, k).T @ probe)) for k in range(1, T + 1)]
    np.testing.assert_allclose(silent.log10_norm[1:], want, atol=1e-5)
    assert silent.verdict == "isometric"  # through the lower layer, which the upper one shows
    report.save(result, tmp_path)
    assert (tmp_path / "report.html").exists()
    run = gr.flow.adjoint(SHOWN, jnp.ones((1, 2)), jnp.zeros((T, 1)))
    assert (np.asarray(run.log10_norm["lower"])[:-1] > -2).all()


def test_the_docstring_cell_of_from_step():
    """Its `init` knows no `dtype`."""
    decay = gr.Cell.from_step(
        "decay",
        lambda a, carry, x: (gr.RNNState(a * carry.h + x), a * carry.h + x),
        init=lambda key, input_size, hidden_size: jnp.full(hidden_size, 0.5),
        initial_carry=lambda a, batch_size=None: gr.RNNState(jnp.zeros((batch_size or 1, a.size))),
    )
    result = gr.flow.compare([decay], jnp.ones((30, 1, 1)), hidden_size=1, seeds=1)
    assert [run.half_life for run in result.runs] == [pytest.approx(1, rel=1e-5)] * 2


def test_the_state_counts_in_memory(monkeypatch):
    """A foreign carry that is wider than its hidden size says is found once it is known."""
    wide = dataclasses.replace(
        HALF, name="wide", initial_carry=lambda a, batch_size=None: gr.RNNState(jnp.zeros((batch_size or 1, 5000)))
    )
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: 200_000_000)
    gr.flow.compare([HALF], jnp.ones((5, 1, 1)), hidden_size=2, seeds=1)
    with pytest.raises(ValueError, match="must fit in memory"):
        gr.flow.compare([wide], jnp.ones((5000, 1, 1)), hidden_size=2, seeds=1)


def test_the_option_that_sets_a_horizon_is_the_cell_s_own(driven):
    """Under whatever name; what the picture shows is named by the cell too, or by what it is."""
    longer = lambda *sizes, memory=None, **options: gr.gru.init(*sizes, chrono=memory, **options)
    named = dataclasses.replace(gr.gru, name="named", init=longer, horizon_option="memory", keeps="")
    result = gr.flow.compare([gr.gru, named], driven, hidden_size=H, seeds=1)
    ours, theirs = ([run for run in result.runs if run.cell == name] for name in ("gru", "named"))
    assert [dataclasses.replace(run, cell="gru") for run in theirs] == ours
    assert {(one.cell, one.gate) for one in result.gate_maps} == {("gru", "update"), ("named", "")}
    assert result.notes == ()


def test_one_step_one_unit(strict_json):
    """The smallest comparison there is."""
    cells = list(gr.cells.CLASSICS.values())
    result = gr.flow.compare(cells, jnp.ones((1, 1, 1)), hidden_size=1, seeds=1)
    assert len(result.runs) == 2 * sum(2 if cell.horizon_option else 1 for cell in cells)
    assert all(run.lags == [0, 1] for run in result.runs)
    strict_json(result.to_json())


@pytest.mark.slow
def test_float64_inside_a_context():
    """With x64 on for this thread only, all of it is float64: the closed form agrees to ten digits."""
    with jax.enable_x64(True):
        xs = jnp.zeros((T, 1, D))
        result = gr.flow.compare([gr.lstm], {"silent": xs}, hidden_size=H, seeds=1, dtype=jnp.float64)
    for run in result.runs:
        np.testing.assert_allclose(run.log10_norm, run.closed_form_log10_norm, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(20_000, 1, 32, 64), (20_000, 1, 32, 512), (1000, 16, 256, 128), (200, 1, 1, 1000)])
@pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
def test_the_need_is_estimated_from_above(cell, sizes, monkeypatch):
    """A machine that has only what the compiled adjoint takes, by the compiler's own account, is refused."""
    steps, batch, width, hidden = sizes
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), width, hidden))
    xs = jax.ShapeDtypeStruct((steps, batch, width), jnp.float32)
    norms = jax.jit(lambda params, xs: gr.flow.adjoint(cell, params, xs).log10_norm)
    used = norms.lower(params, xs).compile().memory_analysis()
    taken = used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: taken)
    with pytest.raises(ValueError, match="must fit in memory"):
        compare_module.check_memory(steps, batch, width, hidden, jnp.float32)
