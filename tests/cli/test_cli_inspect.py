"""`gatedrnn inspect`: its numbers against literal float64 loops and differences, and its files."""

import math
from pathlib import Path

import jax
import numpy as np
import pytest
import reference
from flow_reference import differences
from inspect_problems import COUNT, LETTERS, NAME, ROWS, SIZES, TRAINED, B, H, T, save_models

import gatedrnn as gr
from gatedrnn import plots
from gatedrnn.cli import _asked
from gatedrnn.tasks._units import Units


@pytest.fixture(scope="module")
def made(there):
    """In the folder of this file's tests."""
    save_models()
    return there


@pytest.fixture
def quick(monkeypatch):
    """Pictures are drawn, and not written out."""
    monkeypatch.setattr(plots, "svg", lambda figure, dpi=160: "<svg/>")
    monkeypatch.setattr(plots, "save", lambda figure, stem: Path(f"{stem}.png").write_bytes(b""))


def carries(params, xs):
    """What the loop of the paper's equations holds after every step, [T, B, H], its outputs and its gates."""
    carry, cells, ys, gates = None, [], [], []
    for x in xs:
        carry, y, values = reference.lstm(params, x[None], carry)
        cells.append(carry[1])
        ys.append(y[0])
        gates.append({name: value[0] for name, value in values.items()})
    return np.array(cells), np.array(ys), {name: np.array([each[name] for each in gates]) for name in gates[0]}


def log_softmax(logits):
    return (
        logits
        - logits.max(-1, keepdims=True)
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
    )


def truncated(loss, xs, params, window):
    """The gradient in all weights where what enters a window is held, by central differences of every number."""
    leaves, structure = jax.tree.flatten(params)
    held, carry = [], None
    for start in range(0, T, window):
        held.append(carry)
        carry = reference.lstm(params, xs[start : start + window], carry)[0]

    def value(leaves):
        weights = jax.tree.unflatten(structure, leaves)
        pieces = [reference.lstm(weights, xs[i * window : (i + 1) * window], held[i])[1] for i in range(len(held))]
        return loss(np.concatenate(pieces))

    return np.concatenate([reference.central_difference(lambda: value(leaves), leaf).ravel() for leaf in leaves])


def wide(folder):
    """The weights in float64: what is embedded, the cell's, the readout's."""
    loaded = gr.load(folder)
    params = jax.tree.map(lambda a: np.array(a, np.float64), loaded.params)
    return params.embedding, reference.Weights(params.cell.input, params.cell.recurrent), params.readout


def logs(found):
    return np.array([[math.nan if log is None else log for log in step] for step in found], np.float64)


@pytest.mark.slow
def test_a_text(made, succeeds, read_json, names):
    """Signs and sizes, look back, gates, memory, loss and windows, each by loops and differences; and the files."""
    result = succeeds("inspect", "prose", "--text", NAME, *SIZES, "--out", "read")
    record, (embedding, params, readout) = read_json(Path("read/inspection.json")), wide("prose")
    assert record["reading"]["starts"] == [COUNT - 1 - T, 0, (COUNT - 1 - T) // 2]
    symbols = np.frombuffer(LETTERS, np.uint8)
    cut = np.stack([symbols[start : start + T + 1] for start in record["reading"]["starts"]], 1)
    xs, targets = embedding[cut[:-1]], cut[1:]  # [T, B, D], [T, B]

    def answer(row):
        return log_softmax(reference.lstm(params, row[:, None])[1][-1, 0] @ readout["w"] + readout["b"])

    def loss(ys):
        return -np.take_along_axis(log_softmax(ys @ readout["w"] + readout["b"]), targets[..., None], -1).mean()

    rows = [differences(lambda row, b=b: answer(row)[targets[-1, b]], xs[:, b]) for b in range(B)]
    value = answer(xs[:, 0])[targets[-1, 0]]
    assert f"{value:.3g}".replace("-", "−") in record["reading"]["answer"]
    signed = (rows[0] * (xs[:, 0] - xs.mean((0, 1)))).sum(-1)[-12:]
    np.testing.assert_array_equal(record["strip"]["sign"], np.sign(signed)[:, None])
    np.testing.assert_allclose(logs(record["strip"]["log10"])[:, 0], np.log10(abs(signed)), atol=1e-3)
    norms = np.linalg.norm(np.stack(rows, 1), axis=-1)  # [T, B]
    back = [next(k for k in range(1, T + 1) if each[-k:].sum() >= 0.99 * each.sum()) for each in norms.T]
    assert record["looks_back"] == back
    np.testing.assert_allclose(record["sensitivity"], np.log10(np.median(norms, 1))[::-1], atol=2e-2)

    held, ys, gates = carries(params, xs)
    for unit in record["strip"]["units"]:
        np.testing.assert_allclose(unit["memory"], held[-12:, 0, unit["unit"]], atol=1e-5)
        assert list(unit["gates"]) == ["input", "forget", "candidate", "output"]
        for name, values in unit["gates"].items():
            np.testing.assert_allclose(values, gates[name][-12:, 0, unit["unit"]], atol=1e-5)
    scales = -1 / np.log(gates["forget"]).mean((0, 1))
    np.testing.assert_allclose(record["timescales"][""], scales, rtol=1e-3)

    keeper, lag = record["keeper"], int(np.median(back))

    def answered(state, b):
        """The answer of a row that goes on from a state."""
        last = reference.lstm(params, xs[T - lag :, b, None], (state[None, :H], state[None, H:]))[1][-1, 0]
        return log_softmax(last @ readout["w"] + readout["b"])[targets[-1, b]]

    states = np.concatenate([ys, held], -1)[T - lag - 1]  # [B, h and c]
    pulls = np.stack([differences(lambda state, b=b: answered(state, b), states[b]) for b in range(B)])
    share = (pulls[:, H:] ** 2 / (pulls**2).sum(1, keepdims=True)).mean(0)
    assert (keeper["lag"], keeper["unit"]) == (lag, share.argmax())
    assert keeper["share"] == pytest.approx(share.max(), rel=1e-3)
    chances = np.exp(log_softmax(ys[-1] @ readout["w"] + readout["b"]))
    end = (readout["w"].T[targets[-1]] - chances @ readout["w"].T) * gates["output"][-1] * (1 - np.tanh(held[-1]) ** 2)
    direct = np.log10(abs(end * gates["forget"][T - lag :].prod(0)))[:, keeper["unit"]]
    assert keeper["direct"] == pytest.approx(np.median(direct), abs=1e-3)
    assert record["reading"]["loss"] == pytest.approx(loss(ys), rel=1e-5)

    whole = truncated(loss, xs, params, T)
    assert record["windows"]["windows"] == [1, 2, 4, 8, 16]
    for window in (1, 8):
        part, at = truncated(loss, xs, params, window), record["windows"]["windows"].index(window)
        found = record["windows"]["weights"]["all"]
        assert found["cosine"][at] == pytest.approx(
            part @ whole / np.linalg.norm(part) / np.linalg.norm(whole), abs=1e-4
        )
        assert found["norm_ratio"][at] == pytest.approx(np.linalg.norm(part) / np.linalg.norm(whole), abs=1e-4)

    assert record["coverage"]["trained"] == TRAINED and record["coverage"]["steps"] == 10 * TRAINED
    pictures = [
        f"{name}.{kind}" for name in ("audits", "gates", "gradient", "spectrum", "strip") for kind in ("png", "svg")
    ]
    assert names(Path("read")) == sorted(["inspection.json", "report.html", *pictures])
    page = Path("read/report.html").read_text("utf-8")
    assert "odd &lt;b&gt; &amp;" in page and "<b>" not in page and "http" not in page.replace("http://www.w3.org", "")
    said = " ".join(result.stdout.split())
    assert f"The answer looks back {np.median(back):.0f} step" in said and f"reading {NAME}" in said
    assert record["reading"]["read"] == plots.letters_of(LETTERS[-13:-1])


def test_a_dash_is_no_minus():
    """Numbers have a minus sign; letters and names stay as they are."""
    told = _asked._text(np.frombuffer(b"ab", np.uint8), 45, 3, -1.5, 1.0)["answer"]
    assert told == "the log probability of '-' at byte 3, −1.5 nats"
    units = Units(("sea-level",), (0.0,), (1.0,), (0,))
    told = _asked._series(np.zeros((2, 1)), units, 0, 3, (-1.5, 2.0))["answer"]
    assert told == "what is predicted of sea-level at row 3, −1.5 where 2 is"


def test_a_series(made, succeeds, read_json, quick, invoke):
    """By column and in its own units; another column, another place, and a part further back; narrow lines."""
    line = ("inspect", "tide", "--series", "tide.csv", *SIZES, "--at", 250, "--predict", "wind", "--back", 5)
    result = invoke(*line, "--out", "sea", COLUMNS="50")
    assert (result.exit_code, result.exception) == (0, None), result.stderr
    record, (_, params, readout) = read_json(Path("sea/inspection.json")), wide("tide")
    mean, deviation = ROWS[:320].mean(0), ROWS[:320].std(0)
    assert record["reading"]["starts"][0] == 250 - T and record["reading"]["first"] == 250 - 5 - 12
    xs = (np.float64([[float(f"{x:.9g}") for x in row] for row in ROWS[250 - T : 250]]) - mean) / deviation

    def answer(row):
        return float(reference.lstm(params, row[:, None])[1][-1, 0] @ readout["w"][:, 1] + readout["b"][1])

    slopes = differences(answer, xs)[-17:-5]
    np.testing.assert_array_equal(record["strip"]["sign"], np.sign(slopes))
    np.testing.assert_allclose(logs(record["strip"]["log10"]), np.log10(abs(slopes)), atol=1e-3)
    np.testing.assert_allclose(record["reading"]["read"], xs[-17:-5], atol=1e-6)
    said = f"what is predicted of wind at row 250, {answer(xs) * deviation[1] + mean[1]:.6g}"
    assert record["reading"]["answer"].startswith(said[:-2])
    assert record["reading"]["answer"].endswith(f" where {ROWS[250, 1]:.6g} is")
    assert max(map(len, result.stdout.splitlines())) <= 50


def test_a_short_file(made, succeeds, read_json, quick):
    """As many steps as there are; what was asked for is said, and what could not be measured."""
    line = ("inspect", "untold", "--text", NAME, "--at", T, "--batch", B, "--out", "short")
    said = " ".join(succeeds(*line).stdout.split())
    record = read_json(Path("short/inspection.json"))
    assert (record["horizon"], record["batch"], record["coverage"]) == (T, B, None)
    assert f"note: Before byte {T} there is room for a stretch of {T} bytes, not 1,000." in said
    assert "left out: states, since there is no run longer than those of the training" in said
