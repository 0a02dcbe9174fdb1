"""gr.flow.compare: every run is there, every number is recomputed, and what is written is whole and strict."""

import dataclasses
import importlib
import itertools
import json
import math
import re
import statistics

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn import plots

T, B, D, H, SEEDS = 50, 2, 3, 4, 3
SCALARS = (
    "rate_log10_per_step",
    "half_life",
    "lag_below_1e3",
    "lag_below_float32",
    "lag_below_float64",
    "lyapunov_max",
)
KEYS = {"cell", "input", "init", "horizon", "hidden_size", "seed", "lags", "log10_norm", "verdict", *SCALARS}
compare_module = importlib.import_module("gatedrnn.flow.compare")


def residual_init(key, input_size, hidden_size, dtype=jnp.float32):
    """Weights [D + H, H] of the foreign cell."""
    return jax.random.normal(key, (input_size + hidden_size, hidden_size), dtype) / 3


def residual_step(w, carry, x):
    """A foreign recurrence that keeps half of its state: h' = h / 2 + sin([x, h] W) / 2."""
    h = 0.5 * carry.h + 0.5 * jnp.sin(jnp.concatenate([x, carry.h], -1) @ w)
    return gr.RNNState(h), h


def zero_carry(w, batch_size=None):
    """A zero carry as wide as the weights' last axis."""
    shape = w.shape[-1:] if batch_size is None else (batch_size, w.shape[-1])
    return gr.RNNState(jnp.zeros(shape, w.dtype))


RESIDUAL = gr.Cell.from_step("residual", residual_step, init=residual_init, initial_carry=zero_carry)
HALF = gr.Cell.from_step(  # forgets by a constant factor; its weights are that factor
    "half",
    lambda a, carry, x: (gr.RNNState(a * carry.h), a * carry.h),
    init=lambda key, input_size, hidden_size, dtype: jnp.full(hidden_size, 0.5, dtype),
    initial_carry=zero_carry,
)
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm, "residual": RESIDUAL}


def driven():
    """Noise [T, B, D], the same at each call."""
    return jax.random.normal(jax.random.key(7), (T, B, D))


@pytest.fixture(scope="module")
def result():
    """Four cells, two inputs, two initialisations, three seeds."""
    return gr.flow.compare(list(CELLS.values()), driven(), hidden_size=H, seeds=SEEDS)


def weights(run):
    """The weights of a run, drawn again as its labels say."""
    options = {"chrono": float(run.horizon)} if run.init == "chrono" else {}
    return CELLS[run.cell].init(jax.random.key(run.seed), D, run.hidden_size, **options)


def inputs(run):
    """The input of a run."""
    return driven() if run.input == "driven" else jnp.zeros((T, B, D))


def explicit(run):
    """The explicit float64 path of each row of a run's batch."""
    return [flow_reference.path(run.cell, weights(run), np.asarray(inputs(run)[:, row])) for row in range(B)]


def test_every_run_is_there_once_and_in_order(result):
    """Cells x initialisations x inputs x seeds; no chrono for cells without a gate, and a note says so."""
    labels = [(run.cell, run.init, run.input, run.seed) for run in result.runs]
    gated = [*itertools.product(("gru", "lstm"), ("default", "chrono"), ("silent", "driven"), range(SEEDS))]
    plain = [*itertools.product(("rnn", "residual"), ("default",), ("silent", "driven"), range(SEEDS))]
    assert labels == plain[: 2 * SEEDS] + gated + plain[2 * SEEDS :]
    assert {(run.horizon, run.batch, run.hidden_size) for run in result.runs} == {(T, B, H)}
    text = "{} has no gate whose bias could be set to the horizon: no chrono initialisation."
    assert result.notes == (text.format("rnn"), text.format("residual"))


def test_profiles_against_explicit_jacobians(result):
    """log10 of the norm at every lag, averaged over the batch, from hand-derived Jacobians in float64."""
    for run in result.runs:
        if run.cell == "residual":
            rows = np.asarray(gr.flow.adjoint(RESIDUAL, weights(run), inputs(run)).log10_norm["state"]).T
        else:
            rows = []
            for path in explicit(run):
                probe = np.r_[np.full(H, H**-0.5), np.zeros(path.states.shape[1] - H)]
                found = flow_reference.adjoint(path.jacobians, probe)
                rows.append(flow_reference.log10_norms(found, flow_reference.PARTS[run.cell])["state"])
        want = np.mean(rows, axis=0)[::-1]
        assert run.lags == list(range(T + 1))  # so short a horizon keeps them all
        np.testing.assert_allclose(run.log10_norm, want, rtol=1e-4, atol=1e-4)


def test_scalars_follow_from_the_profile(result):
    """Rate by numpy's least squares, half-life from it, lags by looking."""
    for run in result.runs:
        rate = np.polyfit(run.lags, run.log10_norm, 1)[0]
        assert run.rate_log10_per_step == pytest.approx(rate, rel=1e-6, abs=1e-9)
        assert run.half_life == (pytest.approx(-math.log10(2) / rate, rel=1e-6) if rate * T < -1e-3 else None)
        for name, level in (("lag_below_1e3", -3), ("lag_below_float32", -38), ("lag_below_float64", -308)):
            assert getattr(run, name) == next((k for k, v in enumerate(run.log10_norm) if v < level), None)
        change = np.array(run.log10_norm) - run.log10_norm[0]
        word = "vanishing" if change.min() < -3 else "isometric"
        assert run.verdict.startswith(f"{word}: ")
    words = {(run.cell, run.verdict.split(":")[0]) for run in result.runs if run.input == "silent"}
    assert {("rnn", "isometric"), ("gru", "vanishing"), ("lstm", "isometric")} <= words


def test_exponents(result):
    """The largest Lyapunov exponent after a tenth of the horizon, mean over the batch; quoted in the verdict."""
    for run in result.runs:
        want = gr.flow.lyapunov(CELLS[run.cell], weights(run), inputs(run), k=1, burn_in=T // 10).mean()
        assert run.lyapunov_max == pytest.approx(float(want), rel=1e-5, abs=1e-6)
        assert f"largest exponent {run.lyapunov_max:+.2g} nats per step" in run.verdict


def test_closed_forms_only_at_rest(result):
    """Where the input is zero throughout, the closed form is there and agrees; elsewhere there is none."""
    for run in result.runs:
        assert (run.closed_form_log10_norm is None) == (run.input != "silent")
        if run.closed_form_log10_norm is not None:
            np.testing.assert_allclose(run.closed_form_log10_norm, run.log10_norm, rtol=1e-4, atol=1e-4)


def test_timescales_and_gate_maps(result):
    """Quantiles of -1 / E[ln f]; the maps show f itself, first row of the batch, longest time scale on top."""
    maps = {(one.cell, one.init, one.input): one for one in result.gate_maps}
    assert list(maps) == [*itertools.product(("gru", "lstm"), ("default", "chrono"), ("silent", "driven"))]
    for run in result.runs:
        if run.cell in ("rnn", "residual"):
            assert run.timescale_quantiles is None
            continue
        keep = np.array([path.keep for path in explicit(run)])  # [B, T, H]
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
        assert row["verdict"] in {run.verdict.split(":")[0] for run in runs}
        for name in SCALARS:
            values = [getattr(run, name) for run in runs if getattr(run, name) is not None]
            assert row[f"{name}_spread"] == ([min(values), max(values)] if values else None)
            assert row[name] == (statistics.median(values) if len(values) > SEEDS / 2 else None)


def test_summary_of_what_some_seeds_lack(result):
    """A lag that half of the seeds never reach has no median; one that most reach has that of those."""
    base = result.runs[0]

    def row(*lags):
        runs = tuple(dataclasses.replace(base, seed=i, lag_below_1e3=lag) for i, lag in enumerate(lags))
        (only,) = gr.flow.Comparison(runs).summary()
        return only["lag_below_1e3"], only["lag_below_1e3_spread"]

    assert row(None, None) == (None, None)
    assert row(5, None) == (None, [5, 5])
    assert row(5, None, 9) == (7, [5, 9])
    assert row(4) == (4, [4, 4])


def test_verdicts_are_those_of_the_median_seed(result):
    """One sentence per configuration; a seed without a rate counts as the fastest fall."""
    base = result.runs[0]
    rates = (-0.3, None, -0.1)
    runs = [dataclasses.replace(base, seed=i, rate_log10_per_step=r, verdict=f"v: {i}") for i, r in enumerate(rates)]
    assert gr.flow.Comparison(tuple(runs)).verdicts() == ["rnn, default initialisation, silent input: v: 0"]
    assert len(result.verdicts()) == len(result.summary())


def reject(constant):
    """NaN and Infinity are no JSON."""
    raise AssertionError(constant)


def test_json_is_strict_and_complete(result):
    """Every key that the format promises; numbers survive; exact zeros are null."""
    dead = dataclasses.replace(result.runs[0], log10_norm=[0.0, None], rate_log10_per_step=None, lyapunov_max=None)
    record = json.loads(dataclasses.replace(result, runs=(*result.runs, dead)).to_json(), parse_constant=reject)
    assert {"runs", "summary", "notes", "versions", "device", "command"} <= set(record)
    assert all(set(run) >= KEYS for run in record["runs"])
    assert record["runs"][:-1] == [dataclasses.asdict(run) for run in result.runs]
    assert record["runs"][-1]["log10_norm"] == [0, None]
    assert {"gatedrnn", "jax", "jaxlib", "numpy", "python"} <= set(record["versions"])
    assert record["versions"]["jax"] == jax.__version__
    assert record["device"]["platform"] == "cpu"


def test_equal_seeds_equal_numbers(result):
    """The same call gives the same runs, bit for bit; fewer seeds give the first of them; seeds differ."""
    again = gr.flow.compare([gr.gru], driven(), hidden_size=H, seeds=2)
    assert list(again.runs) == [run for run in result.runs if run.cell == "gru" and run.seed < 2]
    assert len({tuple(run.log10_norm) for run in result.runs if run.cell == "gru" and run.input == "driven"}) == 6


def test_inputs_by_name_and_without_a_batch():
    """A mapping keeps its names and order; [T, D] is a batch of one; progress counts every run."""
    xs, calls = np.asarray(driven())[:, 0], []
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
        np.testing.assert_allclose(run.log10_norm, -math.log10(2) * np.array(run.lags), rtol=1e-5, atol=1e-5)
        assert run.half_life == pytest.approx(1, rel=1e-5)
        assert (run.lag_below_1e3, run.lag_below_float32, run.lag_below_float64) == (10, 127, 1024)
        assert run.lyapunov_max == pytest.approx(-math.log(2), rel=1e-5)


def test_a_gradient_of_exactly_zero():
    """A cell that forgets everything: null norms, no rate, no exponent, strict JSON, and a verdict."""
    gone = dataclasses.replace(HALF, name="gone", init=lambda key, d, h, dtype: jnp.zeros(h, dtype))
    result = gr.flow.compare([gone], jnp.ones((5, 1, 1)), hidden_size=2, seeds=1)
    for run in result.runs:
        assert run.log10_norm == [pytest.approx(0, abs=1e-6)] + [None] * 5
        assert (run.rate_log10_per_step, run.half_life, run.lyapunov_max) == (None, None, None)
        assert (run.lag_below_1e3, run.lag_below_float64) == (1, 1)
        assert run.verdict.startswith("vanishing: 1 steps to a thousandth")
    json.loads(result.to_json(), parse_constant=reject)


def test_a_cell_without_weights():
    """A recurrence may have no parameters at all."""
    fixed = gr.Cell.from_step(
        "fixed",
        lambda params, carry, x: (gr.RNNState(0.5 * carry.h + x[..., :1]), carry.h),
        init=lambda key, input_size, hidden_size, dtype: (),
        initial_carry=lambda params, batch_size=None: gr.RNNState(jnp.zeros((batch_size or 1, 1))),
    )
    result = gr.flow.compare([fixed], driven(), hidden_size=1, seeds=1)
    assert [run.half_life for run in result.runs] == [pytest.approx(1, rel=1e-5)] * 2


def test_one_step_one_unit():
    """The smallest comparison there is."""
    result = gr.flow.compare([gr.rnn, gr.gru, gr.lstm], jnp.ones((1, 1, 1)), hidden_size=1, seeds=1)
    assert len(result.runs) == 10
    assert all(run.lags == [0, 1] for run in result.runs)
    json.loads(result.to_json(), parse_constant=reject)


def test_float64_inside_a_context():
    """With x64 on for this thread only, all of it is float64: the closed form agrees to ten digits."""
    with jax.enable_x64(True):
        xs = jnp.zeros((T, 1, D))
        result = gr.flow.compare([gr.lstm], {"silent": xs}, hidden_size=H, seeds=1, dtype=jnp.float64)
    for run in result.runs:
        np.testing.assert_allclose(run.log10_norm, run.closed_form_log10_norm, rtol=1e-10, atol=1e-10)


def test_save_writes_exactly_its_files(result, tmp_path):
    """Whole files under their names, none besides; a second save replaces them; strangers stay."""
    some = dataclasses.replace(result, runs=result.runs[:6], gate_maps=result.gate_maps[:1])
    names = ["comparison.json", "gates.png", "gates.svg", "report.html", "waterfall.png", "waterfall.svg"]
    out = tmp_path / "new" / "out put"
    assert some.save(str(out)) == [out / name for name in names]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "comparison.json").read_text() == some.to_json()
    (out / "mine.txt").write_text("kept")
    (out / "report.html").write_text("old")
    (out / "report.html").chmod(0o400)
    dataclasses.replace(some, gate_maps=()).save(out)
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "mine.txt"])
    assert (out / "mine.txt").read_text() == "kept"
    assert (out / "report.html").read_text().startswith("<!doctype html>")


def test_save_where_a_folder_has_a_file_s_name(result, tmp_path):
    """A folder called report.html: refused before any other file is replaced."""
    (tmp_path / "report.html" / "inside").mkdir(parents=True)
    (tmp_path / "comparison.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"`out` must be a folder where files can be written; got a folder in place of"
    ):
        dataclasses.replace(result, runs=result.runs[:1], gate_maps=()).save(tmp_path)
    assert (tmp_path / "comparison.json").read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.json", "report.html"]


def test_save_with_a_command_line_that_is_no_unicode(result, tmp_path):
    """A file name of any bytes reaches the report as a surrogate; that is no reason to lose the results."""
    odd = dataclasses.replace(result, runs=result.runs[:1], gate_maps=(), command="gatedrnn --out '\udcff'")
    odd.save(tmp_path)
    assert "gatedrnn --out" in (tmp_path / "report.html").read_text("utf-8")
    json.loads((tmp_path / "comparison.json").read_text("utf-8"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
def test_a_failed_save_changes_nothing(result, tmp_path, monkeypatch, error):
    """Stopped between two files: no new folder, no leftover, and the earlier results stay as they were."""

    def fail_late(figure, stem):
        stem.with_suffix(".png").write_bytes(b"half")
        raise error

    monkeypatch.setattr(plots, "save", fail_late)
    old = tmp_path / "old"
    old.mkdir()
    (old / "comparison.json").write_text("{}")
    for out in (old, tmp_path / "new" / "er"):
        with pytest.raises(type(error) if isinstance(error, OSError) else error):
            result.save(out)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "old",
        "old/comparison.json",
    ]
    assert (old / "comparison.json").read_text() == "{}"


def test_save_where_nothing_can_be_written(result, tmp_path):
    """A file in the way, above it or as it, a name too long, a dangling link: one sentence each, before any drawing."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere/at/all")
    reasons = {
        "file": "File exists",
        "file/below": "Not a directory",
        "link": "File exists",
        "n" * 300: "File name too long",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match="`out` must be a folder that can be written to; got") as caught:
            result.save(tmp_path / name)
        assert str(caught.value).endswith(f": {reason}.")
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


CELL_LIST = "`cells` must be a list of at least one gatedrnn.Cell"
INIT_LIST = "`inits` must be a list of 'default', 'chrono' or both"
SIZE = "must be a whole number of at least 1"
FLOATING = "`dtype` must be a floating type, such as float32"


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        ([], {}, f"{CELL_LIST}; got []."),
        (["rnn"], {}, f"{CELL_LIST}; got ['rnn']."),
        ("rnn", {}, f"{CELL_LIST}; got 'rnn'."),
        (None, {}, f"{CELL_LIST}; got None."),
        ([gr.gru, gr.gru], {}, "`cells` must be cells of different names; got ['gru', 'gru']."),
        ([gr.rnn], {"hidden_size": 0}, f"`hidden_size` {SIZE}; got 0."),
        ([gr.rnn], {"hidden_size": 2.5}, f"`hidden_size` {SIZE}; got 2.5."),
        ([gr.rnn], {"seeds": 0}, f"`seeds` {SIZE}; got 0."),
        ([gr.rnn], {"seeds": True}, f"`seeds` {SIZE}; got True."),
        ([gr.rnn], {"seeds": [1, 2]}, f"`seeds` {SIZE}; got [1, 2]."),
        ([gr.rnn], {"inits": ["chrono", "glorot"]}, f"{INIT_LIST}; got ['chrono', 'glorot']."),
        ([gr.rnn], {"inits": []}, f"{INIT_LIST}; got []."),
        ([gr.rnn], {"inits": "default"}, f"{INIT_LIST}; got default."),
        ([gr.rnn], {"dtype": jnp.int32, "hidden_size": 2}, f"{FLOATING}; got int32."),
        ([gr.rnn], {"dtype": "float7"}, f"{FLOATING}; got 'float7'."),
        ([gr.rnn], {"dtype": None}, f"{FLOATING}; got None."),
        (
            [gr.rnn],
            {"inits": ["chrono"]},
            "`inits` must be ['default', ...] for cells without a gate; got ['chrono'] for ['rnn'].",
        ),
    ],
)
def test_errors_of_the_options(cells, options, message):
    """One sentence that names the argument, what was expected and what came."""
    with pytest.raises(ValueError, match="must be") as caught:
        gr.flow.compare(cells, driven(), **options)
    assert str(caught.value) == message


def with_hole(value):
    """Noise with one bad entry."""
    return driven().at[3, 1, 2].set(value)


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        (lambda: with_hole(jnp.nan), "finite everywhere; got nan at (3, 1, 2) of the input 'driven'"),
        (lambda: {"x": with_hole(jnp.inf)}, "finite everywhere; got inf at (3, 1, 2) of the input 'x'"),
        (
            lambda: {"x": driven()[:, 0].at[4, 1].set(-jnp.inf)},
            "finite everywhere; got -inf at (4, 1) of the input 'x'",
        ),
        (lambda: np.ones((5, 2), np.int32), "of a floating dtype; got int32"),
        (lambda: np.ones((5, 2), bool), "of a floating dtype; got bool"),
        (lambda: np.ones((5, 2), np.complex64), "of a floating dtype; got complex64"),
        (lambda: {"a": jnp.ones((5, 2)), "b": jnp.ones((6, 2))}, "inputs of one shape; got [(5, 1, 2), (6, 1, 2)]"),
        (dict, "inputs of one shape; got none"),
    ],
)
def test_errors_of_the_input(xs, message):
    """NaN and infinities with their place, integers, and inputs of several shapes."""
    with pytest.raises(ValueError, match="must be") as caught:
        gr.flow.compare([gr.rnn], xs())
    assert str(caught.value) == f"`xs` must be {message}."


@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 3, 4), (0, 2, 3), (5, 0, 3), (5, 2, 0), (0, 3)])
def test_errors_of_the_shape(shape):
    """Another rank, or nothing along an axis."""
    with pytest.raises(ValueError, match=r"`xs` must be \[T, B, D\] or \[T, D\]") as caught:
        gr.flow.compare([gr.rnn], jnp.ones(shape))
    assert str(caught.value).endswith(f"with at least one step, row and feature; got {shape}.")


def test_too_much_memory_is_refused_before_it_is_taken():
    """The sizes, the need and what the machine has, in one sentence."""
    with pytest.raises(ValueError, match="must fit in memory") as caught:
        gr.flow.compare([gr.lstm], jnp.zeros((10, 2, 3)), hidden_size=1_000_000)
    sizes = "10 steps, batch 2, 3 features and 1000000 hidden units"
    assert re.search(rf"got {sizes}, about \d+(\.\d)? TB, on a machine with .*B\.$", str(caught.value))
    with pytest.raises(ValueError, match="must fit in memory"):
        gr.flow.compare([gr.lstm], jnp.zeros((10, 2, 3)), hidden_size=10**400)


@pytest.mark.parametrize("sizes", [(20_000, 1, 32, 64), (20_000, 1, 32, 512), (1000, 16, 256, 128), (200, 1, 1, 1000)])
@pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)
def test_the_need_is_estimated_from_above(cell, sizes, monkeypatch):
    """A machine that has only what the compiled adjoint takes, by the compiler's own account, is refused."""
    steps, batch, width, hidden = sizes
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), width, hidden))
    xs = jax.ShapeDtypeStruct((steps, batch, width), jnp.float32)
    norms = jax.jit(lambda params, xs: gr.flow.adjoint(cell, params, xs).log10_norm)
    used = norms.lower(params, xs).compile().memory_analysis()
    taken = used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes
    monkeypatch.setattr(compare_module, "machine_bytes", lambda: taken)
    with pytest.raises(ValueError, match="must fit in memory"):
        compare_module.check_memory(steps, batch, width, hidden, jnp.float32)
