"""The report's findings are what the numbers say, whatever the cells are called."""

import math
import re

import pytest

from gatedrnn import report


def finding(runs, title):
    """The one finding whose title begins so, as a line of text; None if there is none."""
    found = [each for each in report.findings(runs) if each.title.startswith(title)]
    assert len(found) < 2
    return "\n".join((found[0].title, found[0].text, *found[0].points)) if found else None


def test_ranking(run, sample):
    text = finding(sample, "Most and least")
    assert "Silent: RNN default has the most (1), LSTM default the least (10⁻⁵⁵)." in text
    assert "Driven by text: LSTM chrono has the most (0.00631), RNN default the least (10⁻²²⁰)." in text
    level = [run("rnn", rate=0.001), run("gru", rate=0.0015)]
    assert "Silent: all have about the same, 0.794." in finding(level, "Most and least")
    tied = [run("rnn"), run("gru", rate=0.001), run("lstm", rate=1)]
    assert "RNN default and GRU default have the most (1), LSTM default the least" in finding(tied, "Most and least")
    assert finding([run()], "Most and least") is None


@pytest.mark.parametrize(
    ("rnn", "lstm", "title", "outcome"),
    [
        (0.0, 0.5, "does not hold here", "the other way round: only the RNN keeps its gradient"),
        (0.5, 0.0, "holds here", "as the story says: only the LSTM keeps its gradient"),
        (-0.5, 0.0, "holds here", "as the story says: only the LSTM keeps its gradient"),
        (0.5, 0.4, "does not show here", "neither keeps its gradient"),
        (0.0, 0.01, "does not show here", "both keep their gradient"),
    ],
)
def test_usual_story_is_checked(rnn, lstm, title, outcome, run):
    text = finding([run("rnn", rate=rnn), run("lstm", rate=lstm)], "The usual story")
    assert text.startswith(f"The usual story {title}\n")
    assert text.endswith(f"; {outcome}.")


def test_usual_story_may_hold_in_part(run):
    runs = [run("rnn", "text", rate=0.5), run("gru", "text"), run("rnn"), run("gru", rate=0.5)]
    assert finding(runs, "The usual story holds only in part")
    assert finding([run("rnn"), run("mine", rate=1)], "The usual story") is None
    assert finding([run("rnn"), run("lstm", init="chrono", rate=1)], "The usual story") is None


def test_effect_of_initialisation(run, sample):
    text = finding(sample, "What the initialisation changed")
    assert "at lag 100, all else equal, against that with the default initialisation:" in text
    assert "LSTM chrono, silent: 0.0794, against 10⁻⁵⁵: 53.9 decades more. Half-life 27.4 steps, against 0.547." in text
    assert "RNN" not in text
    assert finding([run("lstm"), run("gru", init="chrono")], "What the init") is None


def test_effect_of_input(run, sample):
    text = finding(sample, "What the input changed")
    assert "RNN default, driven by text: 10⁻²²⁰, against 1: 220 decades less. Half-life 0.137 steps, against ∞." in text
    assert "LSTM chrono, driven by text: 0.00631, against 0.0794: 1.1 decades less." in text
    assert "about the same" in finding([run(), run(kind="text", rate=1e-3)], "What the input changed")
    zero = {"log10_norm": [0.0, -1.0, None, None]}
    assert "nothing instead of something" in finding([run(), run(kind="text", **zero)], "What the input changed")
    assert "about the same" in finding([run(**zero), run(kind="text", **zero)], "What the input changed")


def test_floats(run, sample):
    text = finding(sample, "What plain backpropagation")
    assert "float32: exactly zero in 3 of 6 configurations: LSTM default, silent (from lag 70); RNN default" in text
    assert "float64: exactly zero in 0 of 6 configurations." in text
    assert "infinity" not in text
    text = finding([run(rate=-0.5), run("gru")], "What plain backpropagation")
    assert "float32: infinity in 1: RNN default, silent." in text


def test_closed_form(run, sample):
    runs = sample
    assert "9 runs can be checked" in finding(runs, "Agreement")
    assert "over all lags, is 0 (everywhere the same)" in finding(runs, "Agreement")
    off = run("gru", seed=7, closed_form_log10_norm=[0.0, 0.002, -0.25, 0.1])
    text = finding([*runs, off], "Agreement")
    assert "is 0.25 (GRU default, silent, seed 7, at lag 10)." in text
    assert "exactly zero" not in text
    missed = run("gru", log10_norm=[0.0, None, None, None])
    assert "At 3 lags one of the two is exactly zero and the other is not." in finding([missed], "Agreement")
    assert finding([run(kind="text")], "Agreement") is None


def test_two_measurements_of_the_rate(run):
    exact = -0.1 * math.log(10)
    runs = [run(seed=i, rate=0.1, lyapunov_max=exact + error) for i, error in enumerate((0.0, 0.01, -0.03))]
    text = finding(runs, "Two measurements")
    assert "Over 3 runs they differ by 0.01 in the median and by 0.03 at most" in text
    assert "(RNN default, silent, seed 2: −0.23026 and −0.26026)" in text
    assert finding([run(lyapunov_max=None)], "Two measurements") is None


def test_judgements_do_not_come_from_names(run):
    """With the cells' names exchanged, the same sentences are said of the other name."""
    names = {"cell a": "cell b", "cell b": "cell a"}
    runs = [run("cell a", rate=0.0), run("cell b", rate=0.5), run("cell b", init="chrono", rate=0.1)]
    swapped = [{**one, "cell": names[one["cell"]]} for one in runs]
    pairs = list(zip(report.findings(sorted(runs, key=str)), report.findings(sorted(swapped, key=str)), strict=True))
    for one, other in pairs:
        renamed = [re.sub("cell [ab]", lambda match: names[match[0]], point) for point in other.points]
        assert sorted(one.points) == sorted(renamed)
    assert len(pairs) == 5
