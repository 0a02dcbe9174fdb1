"""Pictures as files, without pyplot and whatever the user's settings; numbers in words; wrong data."""

import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from gatedrnn import plots


def fading(k):
    """The log10 of a norm that loses a third of a decade per step."""
    return -0.3 * k


def test_same_data_give_the_same_bytes(tmp_path, profiled_sample, gate_map):
    for name in ("first", "second"):
        png, svg = plots.save(plots.waterfall(profiled_sample(seeds=1)), tmp_path / f"{name}.v1")
        plots.save(plots.gate_heatmap([gate_map()]), tmp_path / f"{name} gates")
        assert (png.name, svg.name) == (f"{name}.v1.png", f"{name}.v1.svg")
    for tail in (".v1.png", ".v1.svg", " gates.png", " gates.svg"):
        assert (tmp_path / f"first{tail}").read_bytes() == (tmp_path / f"second{tail}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 8
    assert "dc:date" not in (tmp_path / "first.v1.svg").read_text()


def test_letters_that_no_font_has():
    """Boxes, and no warning: a name may be of any writing, or of bytes that are none."""
    panels = [("", [plots.Strip("\u98ce", [0.5], 0.0, 1.0)])]
    figure = plots.reading_strip(["a"], panels, first=0, title="tide \u98ce \udcff $x_{ é", subtitle="b")
    plots.svg(figure)
    assert "tide ▯ ▯ $x_{ é" in [text.get_text() for text in figure.texts]
    assert "▯" in [text.get_text() for axis in figure.axes for text in axis.texts]


def test_failed_save_leaves_what_was_there(tmp_path, monkeypatch, profiled):
    figure = plots.waterfall([profiled("gru", "noise", "default", 0, fading)])
    (tmp_path / "picture.png").write_text("old")

    def interrupted(target, **_):
        Path(target).write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plots.save(figure, tmp_path / "picture")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("picture.png", "old")]


def test_a_full_disk_is_named(tmp_path, monkeypatch, profiled):
    """And a file of the user's whose name a draft could have had stays."""
    figure = plots.waterfall([profiled("gru", "noise", "default", 0, fading)])
    (tmp_path / ".picture.png.partial").write_text("mine")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(OSError, match="No space left on device: '.*/picture.png'"):
        plots.save(figure, tmp_path / "picture")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(".picture.png.partial", "mine")]


def test_settings_of_the_user_neither_change_nor_matter(profiled):
    plain = plots.svg(plots.waterfall([profiled("gru", "noise", "default", 0, fading)]))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none", "savefig.dpi": 10}):
        before = dict(matplotlib.rcParams)
        assert plots.svg(plots.waterfall([profiled("gru", "noise", "default", 0, fading)])) == plain
        assert dict(matplotlib.rcParams) == before


def test_no_pyplot():
    program = "import sys, gatedrnn.plots, gatedrnn.report; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("log10_value", "words"),
    [
        (0, "1"),
        (-0.5, "0.316"),
        (-2.9, "0.00126"),
        (2.5, "316"),
        (-3, "1.0×10⁻³"),
        (-4.5, "3.2×10⁻⁵"),
        (-9.4, "4.0×10⁻¹⁰"),
        (-38.2, "10⁻³⁸"),
        (-1249.4, "10⁻¹²⁴⁹"),
        (204.1, "10²⁰⁴"),
        (-math.inf, "0"),
        (math.inf, "∞"),
    ],
)
def test_power(log10_value, words):
    assert plots.power(log10_value) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(3.192, "3.19"), (99.97, "100"), (1360.48, "1,360"), (10_000, "10,000"), (None, "∞"), (math.inf, "∞"), (0.0, "0")],
)
def test_steps(count, words):
    assert plots.steps(count) == words


def test_wrong_data_are_named(profiled, gate_map):
    with pytest.raises(ValueError, match="`runs` must hold at least one run"):
        plots.waterfall([])
    with pytest.raises(ValueError, match="`gate_maps` must hold at least one map"):
        plots.gate_heatmap([])
    two = [profiled("rnn", "text", "default", seed, fading, horizon) for seed, horizon in enumerate((10_000, 50))]
    with pytest.raises(ValueError, match="seeds of rnn, default, text must share their `lags`"):
        plots.waterfall(two)
    with pytest.raises(ValueError, match=r"must be \[H, N\], \[H\] and \[N\]; got \(40, 16\), \(16,\) and \(40,\)"):
        plots.gate_heatmap([{**gate_map(), "values": gate_map()["values"].T}])


def test_a_strip_has_no_negative_zero():
    """What rounds to zero has no sign; what does not has a minus, and no hyphen."""
    panels = [("", [plots.Strip("row", [-0.001, -0.5], -1.0, 1.0)])]
    axis = plots.sentence_strip(["a", "b"], panels, title="t", subtitle="s").axes[0]
    assert {"0.00", "−0.50"} <= {text.get_text() for text in axis.texts}
