"""Verdicts in words: the word opens the sentence, and the numbers that justify it follow."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gatedrnn as gr
from gatedrnn import report


def told(profile, **options):
    """The sentence on a profile by lag."""
    decay = gr.flow.decay(np.asarray(profile, float)[::-1])
    return report.verdict({**decay._asdict(), "verdict": decay.word, **options})


def test_explosion():
    """1.1^k over 1,000 steps."""
    want = "exploding: 10^41.4 times its start within 1,000 steps (+0.041 decades per step, largest exponent +0.095"
    assert told(np.log10(1.1) * np.arange(1001), lyapunov_max=0.0953).startswith(want)


def test_a_single_row():
    """A horizon of no steps has no rate and nothing lost."""
    assert told([0.0]) == "isometric: between 10^0.00 and 10^0.00 of its start over 0 steps"


def test_nothing_lost_has_no_sign():
    """A rounding below 1 is no "10^-0.00"."""
    assert told([0.0, -1e-4]).startswith("isometric: between 10^0.00 and 10^0.00 of its start")


@pytest.mark.parametrize("lost", [[0, -0.1, -0.2, -np.inf], [-np.inf] * 3])
def test_exact_zeros(lost):
    """A gradient that is exactly zero passes every level there, and is no number in the sentence."""
    lag = 3 if len(lost) == 4 else 0
    want = f"vanishing: {lag} steps to a thousandth, {lag} to zero in float32, {lag} to zero in float64"
    assert told(lost, lyapunov_max=-np.inf).startswith(want)
    assert "inf" not in told(lost, lyapunov_max=-np.inf)
    assert "nan" not in told(lost, lyapunov_max=None)


def test_a_record_with_none(run):
    """JSON has no infinity: None stands for what never happened."""
    assert report.verdict(run(rate=0.5)) == (
        "vanishing: 7 steps to a thousandth, 77 to zero in float32 (-0.5 decades per step, "
        "largest exponent -1.2 nats per step)"
    )


@given(st.lists(st.floats(-1e4, 1e3), min_size=2, max_size=60), st.floats(-10, 10))
def test_the_sentence_comes_from_the_numbers(profile, exponent):
    """The word, then its reasons; no name enters anywhere."""
    decay = gr.flow.decay(np.array(profile)[::-1])
    sentence = told(profile, lyapunov_max=exponent)
    assert sentence.startswith(f"{decay.word}: ")
    assert f"({decay.rate_log10_per_step:+.2g} decades per step" in sentence
    assert f"largest exponent {exponent:+.2g} nats per step" in sentence
    assert not any(name in sentence.lower() for name in ("rnn", "gru", "lstm", "nan"))


def test_verdicts_are_those_of_the_median_seed(result):
    """One sentence per configuration; a seed without a rate counts as the fastest fall."""
    base = result.runs[0]
    rates = (-0.3, None, -0.1)
    runs = [dataclasses.replace(base, seed=i, rate_log10_per_step=r, lowest=-i) for i, r in enumerate(rates)]
    (only,) = report.verdicts(gr.flow.Comparison(tuple(runs)))
    assert only.startswith("rnn, default initialisation, silent input: isometric: between 10^0.00 and")
    assert "(-0.3 decades per step" in only
    assert len(report.verdicts(result)) == len(result.summary())
