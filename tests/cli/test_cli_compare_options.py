"""`gatedrnn compare`: what its options ask of the measurement, and what is printed of any result."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn import report
from gatedrnn.tasks import text

SAMPLE = gr.flow.Run(
    cell="lstm", input="series", init="default", horizon=1_000_000, hidden_size=128, batch=1, seed=0, lags=[0, 1],
    log10_norm=[0.0, -1.0], closed_form_log10_norm=None, rate_log10_per_step=-1.05e-9, half_life=301_029_995.7,
    lag_below_1e3=1_000_000, lag_below_float32=1_000_000, lag_below_float64=None, lowest=-3.0,
    highest=0.0, lyapunov_max=-1e-10, timescale_quantiles=None, verdict="vanishing",
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Stands in for the measurement: what the command asked of it, as (cells, inputs, options)."""
    calls = []

    def compare(cells, inputs, on_run, **options):
        calls.append(([cell.name for cell in cells], inputs, options))
        return gr.flow.Comparison((SAMPLE,))

    monkeypatch.setattr(gr.flow, "compare", compare)
    monkeypatch.setattr(report, "save", lambda comparison, out: [out / "comparison.json"])
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.fixture
def only(asked, invoke):
    """(arguments) -> the one measurement that a command line asks for."""

    def run(*arguments):
        result = invoke("compare", *arguments)
        assert (result.exit_code, result.stderr.strip()) == (0, "")
        (call,) = asked
        return call

    return run


def test_defaults(only):
    """Every cell, 10,000 steps of the help text, 128 units, three seeds, at rest and driven."""
    cells, inputs, options = only()
    assert cells == [*gr.cells.CLASSICS]
    assert options == {"hidden_size": 128, "seeds": 3, "dtype": "float32"}
    assert list(inputs) == ["silent", "text"]
    assert not inputs["silent"].any()
    want = text.embed(text.windows(text.help_text(), 10_000, 1), 32)
    np.testing.assert_array_equal(inputs["text"], want)
    assert inputs["silent"].shape == want.shape == (10_000, 1, 32)


def test_quick_is_a_bound(only):
    """At most 1,000 steps, 32 units and one seed; less stays less."""
    cells, inputs, options = only("--quick", "--hidden", "5", "--seeds", "4", "--cells", " gru , rnn,gru")
    assert (inputs["text"].shape, options["hidden_size"], options["seeds"]) == ((1000, 1, 32), 5, 1)
    assert cells == ["gru", "rnn"]


def test_text_one_hot(only, tmp_path):
    """The bytes of the file, batch by batch from its beginning to its end."""
    (tmp_path / "t").write_bytes("äbc".encode())
    _, inputs, _ = only("--text", "t", "--encoding", "one-hot", "--horizon", 3, "--batch", 2)
    assert inputs["text"].shape == inputs["silent"].shape == (3, 2, 256)
    np.testing.assert_array_equal(np.asarray(inputs["text"]).argmax(-1).T, [[0xC3, 0xA4, 0x62], [0xA4, 0x62, 0x63]])


@pytest.mark.parametrize("name", ["d.csv:b", "d.csv:1", "d:1.csv:b", "d:1.csv:a:b", "d.npy:1", "e.npy", "d:2.csv"])
def test_series_columns(only, tmp_path, name):
    """FILE or FILE:COLUMN, by name or number; both may contain colons."""
    table = np.array([[5.0, 1.0], [6.0, -1.0]])
    np.save(tmp_path / "d.npy", table)
    np.save(tmp_path / "e.npy", table[:, 1])
    (tmp_path / "d.csv").write_text("a,b\n5,1\n6,-1\n")
    (tmp_path / "d:1.csv").write_text("b,a:b\n1,1\n-1,-1\n")
    (tmp_path / "d:2.csv").write_text("1\n-1\n")
    _, inputs, _ = only("--series", name, "--horizon", 2)
    np.testing.assert_array_equal(inputs["series"], [[[1]], [[-1]]])
    assert inputs["silent"].shape == (2, 1, 1)


def test_noise(only):
    """Gaussian, of the deviation asked for, the same each time."""
    _, inputs, _ = only("--noise", "2.5", "--horizon", 2000)
    noise = np.asarray(inputs["noise"], np.float64)
    assert noise.shape == (2000, 1, 32)
    assert abs(noise.std() / 2.5 - 1) < 4 / noise.size**0.5
    assert abs(noise.mean()) < 4 * 2.5 / noise.size**0.5


def test_silent_alone(only):
    """No other input."""
    _, inputs, options = only("--silent", "--dtype", "bfloat16", "--horizon", 7)
    assert list(inputs) == ["silent"]
    assert (inputs["silent"].dtype, options["dtype"]) == (jnp.bfloat16, "bfloat16")


def test_help_text_is_read_again_for_a_longer_horizon(asked, invoke):
    """A million steps of half a million bytes, with a note."""
    result = invoke("compare", "--horizon", 600_000)
    assert result.exit_code == 0
    assert "bytes; it is read again from its start to fill the horizon." in " ".join(result.stdout.split())
    values = np.asarray(asked[0][1]["text"])
    count = len(text.help_text())
    np.testing.assert_array_equal(values[count : count + 1000], values[:1000])


def test_the_widest_numbers_fit_the_terminal(asked, invoke):
    """A million steps, a half-life of 300 million: 80 columns, and no number is cut."""
    out = invoke("compare", "--silent").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert re.search(r"lstm +default +series +-1.\de-09 ", out)


def test_a_folder_is_printed_as_it_is_called(asked, invoke):
    """A name that looks like markup, or like an emoji, is printed and not obeyed."""
    result = invoke("compare", "--silent", "--out", "a [/b] [red] :smile:")
    assert result.exit_code == 0
    assert "to a [/b] [red] :smile:/" in " ".join(result.stdout.split())


def test_bare_command_and_version(invoke):
    """The first lists the commands."""
    bare = invoke()
    assert (bare.exit_code, bare.stderr) == (0, "")
    for name in ("compare", "generate", "race", "train"):
        assert re.search(rf"^ +{name} ", bare.stdout, re.MULTILINE)
    assert invoke("--version").stdout == f"gatedrnn {gr.__version__}\n"
