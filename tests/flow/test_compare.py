"""gr.flow.compare: every run is there, every number is recomputed, and its JSON is strict."""

import dataclasses
import itertools
import math
import statistics

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

T, B, D, H, SEEDS = 50, 2, 3, 4, 3
SCALARS = gr.flow.SCALARS
KEYS = {"cell", "input", "init", "horizon", "hidden_size", "seed", "lags", "log10_norm", "verdict", *SCALARS}


def residual_step(w, carry, x):
    """A foreign recurrence that keeps half of its state: h' = h / 2 + sin([x, h] W) / 2."""
    h = 0.5 * carry.h + 0.5 * jnp.sin(jnp.concatenate([x, carry.h], -1) @ w)
    return gr.RNNState(h), h


def residual_init(key, input_size, hidden_size, dtype=jnp.float32):
    """Weights [D + H, H]."""
    return jax.random.normal(key, (input_size + hidden_size, hidden_size), dtype) / 3


def residual_carry(w, batch_size=None):
    """Zeros."""
    return gr.RNNState(jnp.zeros(w.shape[-1:] if batch_size is None else (batch_size, w.shape[-1]), w.dtype))


RESIDUAL = gr.Cell.from_step("residual", residual_step, init=residual_init, initial_carry=residual_carry)
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm, "residual": RESIDUAL}


@pytest.fixture(scope="module")
def result(driven):
    """Four cells, two inputs, two initialisations, three seeds."""
    return gr.flow.compare(list(CELLS.values()), driven, hidden_size=H, seeds=SEEDS)


def weights(run):
    """The weights of a run, drawn again as its labels say."""
    options = {"chrono": float(run.horizon)} if run.init == "chrono" else {}
    return CELLS[run.cell].init(jax.random.key(run.seed), D, run.hidden_size, **options)


@pytest.fixture
def inputs(driven):
    """(run) -> its input."""
    return lambda run: driven if run.input == "driven" else jnp.zeros((T, B, D))


@pytest.fixture
def paths(inputs):
    """(run) -> the explicit float64 path of each row of its batch."""

    def walk(run):
        return [flow_reference.path(run.cell, weights(run), np.asarray(inputs(run)[:, row])) for row in range(B)]

    return walk


def test_every_run_is_there_once_and_in_order(result):
    """Cells x initialisations x inputs x seeds; no chrono for cells without a gate, and a note says so."""
    labels = [(run.cell, run.init, run.input, run.seed) for run in result.runs]
    gated = [*itertools.product(("gru", "lstm"), ("default", "chrono"), ("silent", "driven"), range(SEEDS))]
    plain = [*itertools.product(("rnn", "residual"), ("default",), ("silent", "driven"), range(SEEDS))]
    assert labels == plain[: 2 * SEEDS] + gated + plain[2 * SEEDS :]
    assert {(run.horizon, run.batch, run.hidden_size) for run in result.runs} == {(T, B, H)}
    text = "{} names no option of its `init` that sets a horizon: no chrono initialisation."
    assert result.notes == (text.format("rnn"), text.format("residual"))


def test_profiles_against_explicit_jacobians(result, inputs, paths):
    """log10 of the norm at every lag, averaged over the batch, from hand-derived Jacobians in float64."""
    for run in result.runs:
        if run.cell == "residual":
            rows = np.asarray(gr.flow.adjoint(RESIDUAL, weights(run), inputs(run)).log10_norm["state"]).T
        else:
            rows = []
            for path in paths(run):
                probe = np.r_[np.full(H, H**-0.5), np.zeros(path.states.shape[1] - H)]
                found = flow_reference.adjoint(path.jacobians, probe)
                rows.append(flow_reference.log10_norms(found, flow_reference.PARTS[run.cell])["state"])
        want = np.mean(rows, axis=0)[::-1]
        assert run.lags == list(range(T + 1))  # so short a horizon keeps them all
        got = [-np.inf if value is None else value for value in run.log10_norm]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
        assert (got[0] == -np.inf) == (run.cell == "residual")  # its last output reads the carry before it


def test_scalars_follow_from_the_profile(result):
    """Rate by numpy's least squares, half-life from it, lags by looking."""
    for run in result.runs:
        profile = [value for value in run.log10_norm if value is not None]
        rate = np.polyfit(range(len(profile)), profile, 1)[0]
        assert run.rate_log10_per_step == pytest.approx(rate, rel=1e-6, abs=1e-9)
        assert run.half_life == (pytest.approx(-math.log10(2) / rate, rel=1e-6) if rate * T < -1e-3 else None)
        for name, level in (("lag_below_1e3", -3), ("lag_below_float32", -38), ("lag_below_float64", -308)):
            assert getattr(run, name) == next((k for k, v in enumerate(profile) if v - profile[0] < level), None)
        change = np.array(profile) - profile[0]
        assert (run.lowest, run.highest) == pytest.approx((change.min(), change.max()))
        assert run.verdict == ("vanishing" if change.min() < -3 else "isometric")
    words = {(run.cell, run.verdict) for run in result.runs if run.input == "silent"}
    assert {("rnn", "isometric"), ("gru", "vanishing"), ("lstm", "isometric")} <= words


def test_exponents(result, inputs):
    """The largest Lyapunov exponent after a tenth of the horizon, mean over the batch."""
    for run in result.runs:
        want = gr.flow.lyapunov(CELLS[run.cell], weights(run), inputs(run), k=1, burn_in=T // 10).mean()
        assert run.lyapunov_max == pytest.approx(float(want), rel=1e-5, abs=1e-6)


def test_closed_forms_only_at_rest(result):
    """Where the input is zero throughout, the closed form is there and agrees; elsewhere there is none."""
    for run in result.runs:
        assert (run.closed_form_log10_norm is None) == (run.input != "silent")
        if run.closed_form_log10_norm is not None:
            exact, got = (np.array(p, float) for p in (run.closed_form_log10_norm, run.log10_norm))  # None is nan
            np.testing.assert_allclose(exact, got, rtol=1e-4, atol=1e-4)


def test_timescales_and_gate_maps(result, paths):
    """Quantiles of -1 / E[ln f]; the maps show f itself, first row of the batch, longest time scale on top."""
    maps = {(one.cell, one.init, one.input): one for one in result.gate_maps}
    assert list(maps) == [*itertools.product(("gru", "lstm"), ("default", "chrono"), ("silent", "driven"))]
    for run in result.runs:
        if run.cell in ("rnn", "residual"):
            assert run.timescale_quantiles is None
            continue
        keep = np.array([path.keep for path in paths(run)])  # [B, T, H]
        scales = -1 / np.log(keep).mean((0, 1))
        want = np.quantile(scales, [0.1, 0.5, 0.9], method="nearest")
        np.testing.assert_allclose(run.timescale_quantiles, want, rtol=1e-3)
        if run.seed == 0:
            one = maps[run.cell, run.init, run.input]
            order = np.argsort(-scales)
            assert one.gate == {"gru": "update", "lstm": "forget"}[run.cell]
            np.testing.assert_array_equal(one.steps, np.arange(T))
            np.testing.assert_allclose(np.sort(one.timescales), np.sort(scales), rtol=1e-3)
            if run.input == "driven":  # at rest, equal units have no order
                np.testing.assert_allclose(one.values, keep[0].T[order], atol=1e-5)
            assert one.varies == (run.input == "driven")


def test_summary(result):
    """Medians, least and greatest over the seeds, in the order of the runs."""
    rows = result.summary()
    groups = dict.fromkeys((run.cell, run.input, run.init) for run in result.runs)
    assert [(row["cell"], row["input"], row["init"]) for row in rows] == list(groups)
    for row in rows:
        runs = [
            run for run in result.runs if (run.cell, run.input, run.init) == (row["cell"], row["input"], row["init"])
        ]
        assert row["seeds"] == len(runs) == SEEDS
        assert row["verdict"] in {run.verdict for run in runs}
        for name, scalar in SCALARS.items():
            values = [scalar.missing if getattr(run, name) is None else getattr(run, name) for run in runs]
            ends = [value if math.isfinite(value) else None for value in (min(values), max(values))]
            assert row[f"{name}_spread"] == (None if ends == [None, None] else ends)
            middle = statistics.median(values)
            assert row[name] == (middle if math.isfinite(middle) else None)


def test_summary_of_what_some_seeds_lack(result):
    """A lag that a seed never reaches is the largest of them: half such seeds, and there is no median."""
    base = result.runs[0]

    def row(*lags):
        runs = tuple(dataclasses.replace(base, seed=i, lag_below_1e3=lag) for i, lag in enumerate(lags))
        (only,) = gr.flow.Comparison(runs).summary()
        return only["lag_below_1e3"], only["lag_below_1e3_spread"]

    assert row(None, None) == (None, None)
    assert row(5, None) == (None, [5, None])
    assert row(5, None, 9) == (9, [5, None])
    assert row(4) == (4, [4, 4])


def test_the_table_of_scalars_is_that_of_the_runs(result):
    """Every row names a field of a run, and every measured scalar of a run has its row."""
    words = {"cell", "input", "init", "verdict"}
    profiles = {"lags", "log10_norm", "closed_form_log10_norm", "timescale_quantiles"}
    sizes = {"horizon", "hidden_size", "batch", "seed"}
    assert {*SCALARS} == {field.name for field in dataclasses.fields(result.runs[0])} - words - profiles - sizes


def test_json_is_strict_and_complete(result, strict_json):
    """Every key that the format promises; numbers survive; exact zeros are null."""
    dead = dataclasses.replace(result.runs[0], log10_norm=[0.0, None], rate_log10_per_step=None, lyapunov_max=None)
    record = strict_json(dataclasses.replace(result, runs=(*result.runs, dead)).to_json())
    assert {"runs", "summary", "notes", "versions", "device", "command"} <= set(record)
    assert all(set(run) >= KEYS for run in record["runs"])
    assert record["runs"][:-1] == [dataclasses.asdict(run) for run in result.runs]
    assert record["runs"][-1]["log10_norm"] == [0, None]
    assert {"gatedrnn", "jax", "jaxlib", "numpy", "python"} <= set(record["versions"])
    assert record["versions"]["jax"] == jax.__version__
    assert record["device"]["platform"] == "cpu"


def test_equal_seeds_equal_numbers(result, driven):
    """The same call gives the same runs, bit for bit; fewer seeds give the first of them; seeds differ."""
    again = gr.flow.compare([gr.gru], driven, hidden_size=H, seeds=2)
    assert list(again.runs) == [run for run in result.runs if run.cell == "gru" and run.seed < 2]
    assert len({tuple(run.log10_norm) for run in result.runs if run.cell == "gru" and run.input == "driven"}) == 6
