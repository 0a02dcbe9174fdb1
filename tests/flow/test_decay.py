"""gr.flow.decay against profiles whose rate, half-life and lags are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

import gatedrnn as gr

T = 1000
LAGS = np.arange(T + 1.0)
LN2 = np.log10(2)
FLOORS = {"lag_below_1e3": -3, "lag_below_float32": -38, "lag_below_float64": -308}
finite_profiles = st.lists(st.floats(-1e4, 1e3), min_size=2, max_size=60)


def by_time(profile):
    """A profile by lag, in the order that `decay` takes: row T - k belongs to lag k."""
    return np.asarray(profile, float)[::-1]


def first_below(profile, level):
    """The first lag whose norm is below its start by a level, by walking there."""
    return next((lag for lag, value in enumerate(profile) if value - profile[0] < level), np.inf)


@pytest.mark.parametrize("half_life", [0.5, 1.0, 3.0, 100.0, 900.0])
def test_pure_exponential(half_life):
    """2^(-k / L): the rate is -log10(2) / L, the half-life L, and each level is passed where the power says."""
    got = gr.flow.decay(by_time(-LN2 / half_life * LAGS))
    assert got.rate_log10_per_step == pytest.approx(-LN2 / half_life, rel=1e-10)
    assert got.half_life == pytest.approx(half_life, rel=1e-10)
    for name, level in FLOORS.items():
        lag = int(-level / LN2 * half_life) + 1  # no level is passed exactly at a whole lag
        assert getattr(got, name) == (lag if lag <= T else np.inf)
    assert got.lowest == pytest.approx(-LN2 / half_life * T)
    assert (got.highest, got.horizon) == (0, T)
    assert got.word == ("vanishing" if LN2 / half_life * T > 3 else "isometric")


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
def test_power_law(power):
    """(1 + k)^-p: below 10^-3 from 1 + k > 10^(3 / p), and never a float's floor; the rate is that of the best line."""
    profile = -power * np.log10(1 + LAGS)
    got = gr.flow.decay(by_time(profile))
    assert got.rate_log10_per_step == pytest.approx(np.polyfit(LAGS, profile, 1)[0], rel=1e-9)
    assert got.lag_below_1e3 == {0.5: np.inf, 1.0: 1000, 1.5: 100}[power]
    assert (got.lag_below_float32, got.lag_below_float64) == (np.inf, np.inf)
    assert got.word == ("isometric" if power == 0.5 else "vanishing")


def test_the_level_itself_is_not_below_it():
    """At exactly 10^-3 the gradient is not yet below it; a step later it is."""
    assert gr.flow.decay(by_time([0, -3])).lag_below_1e3 == np.inf
    assert gr.flow.decay(by_time([0, -3, -3.0000001])).lag_below_1e3 == 2


def test_plateau_then_fall():
    """Flat for half of the horizon, then a decade per step: the levels count from where the fall begins."""
    got = gr.flow.decay(by_time(np.minimum(0, 500.0 - LAGS)))
    assert (got.lag_below_1e3, got.lag_below_float32, got.lag_below_float64) == (504, 539, 809)
    assert (got.lowest, got.highest, got.word) == (-500, 0, "vanishing")


def test_recovery_after_a_fall():
    """A gradient that vanishes and comes back has vanished: lags are first passages, the word looks at the lowest."""
    got = gr.flow.decay(by_time(-40 * np.sin(np.pi * LAGS / T)))
    assert got.lag_below_1e3 == first_below(-40 * np.sin(np.pi * LAGS / T), -3)
    assert got.lag_below_float32 == 399
    assert (got.word, got.half_life) == ("vanishing", np.inf)


def test_explosion():
    """1.1^k explodes: a positive rate, no half-life, no lag."""
    got = gr.flow.decay(by_time(np.log10(1.1) * LAGS))
    assert got.rate_log10_per_step == pytest.approx(np.log10(1.1))
    assert (got.half_life, got.lag_below_1e3, got.word) == (np.inf, np.inf, "exploding")


def test_both_ways_the_larger_swing_names_it():
    """A profile that rises and falls is named after its larger excursion."""
    assert gr.flow.decay(by_time([0, 5, -4])).word == "exploding"
    assert gr.flow.decay(by_time([0, 4, -5])).word == "vanishing"


@pytest.mark.parametrize(("bound", "word"), [(3.0, "isometric"), (3.0001, "vanishing"), (-3.0001, "exploding")])
def test_kept_is_within_a_factor_of_a_thousand_of_its_start(bound, word):
    """The word and the lags compare with lag 0, whatever that is."""
    for start in (0, 20, -50):
        got = gr.flow.decay(by_time([start, start - bound]))
        assert got.word == word
        assert got.lag_below_1e3 == (1 if word == "vanishing" else np.inf)


def test_exact_zeros():
    """From lag 3 on the gradient is exactly zero: every level is passed there; the line is that of the finite lags."""
    got = gr.flow.decay(by_time([0, -0.1, -0.2, -np.inf, -np.inf]))
    assert got.rate_log10_per_step == pytest.approx(-0.1)
    assert (got.lag_below_1e3, got.lag_below_float32, got.lag_below_float64) == (3, 3, 3)
    assert (got.lowest, got.highest, got.word) == (-np.inf, 0, "vanishing")


def test_zero_throughout():
    """A loss that does not see the carry: no rate, and below every level from the start."""
    got = gr.flow.decay(np.full(5, -np.inf))
    assert np.isnan(got.rate_log10_per_step)
    assert got.half_life == np.inf
    assert (got.lag_below_1e3, got.lag_below_float64, got.word) == (0, 0, "vanishing")


def test_single_row():
    """A horizon of no steps has no rate and nothing lost."""
    got = gr.flow.decay([0.0])
    np.testing.assert_array_equal(got, [np.nan, *[np.inf] * 4, 0, 0, 0])
    assert got.word == "isometric"


def test_two_rows():
    """Two points make the line."""
    assert gr.flow.decay(by_time([0, -0.25])).rate_log10_per_step == pytest.approx(-0.25)


def test_batch_mean():
    """Columns are averaged as logarithms: the geometric mean of the norms."""
    rows = np.stack([-0.01 * LAGS, -0.03 * LAGS], axis=1)[::-1]
    assert gr.flow.decay(rows) == gr.flow.decay(by_time(-0.02 * LAGS))


def test_one_zero_row_is_a_zero_mean():
    """The geometric mean with a zero is zero."""
    got = gr.flow.decay(np.array([[-np.inf, -2.0], [-1.0, -1.0], [0, 0]]))
    assert (got.lag_below_1e3, got.lowest) == (2, -np.inf)


def test_a_fall_below_rounding_has_no_half_life():
    """Less than a thousandth of a decade over the horizon is not told from rounding."""
    assert gr.flow.decay(by_time(-0.99e-3 * LAGS / T)).half_life == np.inf
    assert gr.flow.decay(by_time(-1.01e-3 * LAGS / T)).half_life == pytest.approx(LN2 / 1.01e-3 * T)


@given(finite_profiles)
def test_against_polyfit_and_a_walk(profile):
    """Rate: numpy's least squares. Lags: the first ones below. Half-life: log10(2) / -rate."""
    got = gr.flow.decay(by_time(profile))
    slope = np.polyfit(np.arange(len(profile)), profile, 1)[0]
    assert got.rate_log10_per_step == pytest.approx(slope, rel=1e-6, abs=1e-8 * max(1, np.abs(profile).max()))
    for name, level in FLOORS.items():
        assert getattr(got, name) == first_below(profile, level)
    if got.half_life < np.inf:
        assert got.half_life == pytest.approx(LN2 / -got.rate_log10_per_step)
    assert (got.half_life == np.inf) == (got.rate_log10_per_step * (len(profile) - 1) > -1e-3)
    change = np.array(profile) - profile[0]
    assert (got.lowest, got.highest) == (change.min(), change.max())


@pytest.mark.parametrize("scale", [1e-2, 1e-4, 1e30])
def test_a_loss_times_a_constant_decays_alike(scale):
    """Verdict, lags, rate and half-life of the measured gradient of one network, whatever the loss is multiplied by."""
    params = gr.gru.init(jax.random.key(0), 3, 8)
    xs = jax.random.normal(jax.random.key(1), (300, 2, 3))
    dys = jnp.zeros((300, 2, 8)).at[-1].set(8**-0.5)
    one, other = (
        gr.flow.decay(gr.flow.adjoint(gr.gru, params, xs, dys=dys * s).log10_norm["state"]) for s in (1.0, scale)
    )
    assert (other.word, other.horizon) == (one.word, one.horizon) == ("vanishing", 300)
    assert [getattr(other, name) for name in FLOORS] == [getattr(one, name) for name in FLOORS]
    assert one.lag_below_1e3 < one.lag_below_float32 < np.inf
    np.testing.assert_allclose(other[:2], one[:2], rtol=1e-5)


def test_it_starts_where_the_norm_is_finite():
    """What has not reached the carry yet is no lag: a foreign cell's output, a loss that reads an early step."""
    late = gr.flow.decay(by_time([-np.inf, -np.inf, -1, -2, -5]))
    np.testing.assert_array_equal(late, gr.flow.decay(by_time([0, -1, -4])))
    assert (late.lag_below_1e3, late.horizon) == (2, 2)


@pytest.mark.parametrize(
    "profile",
    [
        [],
        [np.nan],
        [0, np.nan, -1],
        np.zeros((0, 3)),
        np.zeros((5, 0)),
        0.0,
        np.zeros((2, 2, 2)),
        [[0, 0], [0, np.nan]],
        [[0, 0], [0]],
        gr.flow.Adjoint({"state": np.zeros(3)}, gr.RNNState(np.zeros(2)), np.zeros(1)),
        {"state": np.zeros(3)},
        None,
    ],
    ids=["empty", "nan", "inside", "rows", "columns", "scalar", "rank", "column", "ragged", "adjoint", "dict", "none"],
)
def test_errors(profile):
    """A profile without numbers, of another rank or kind, or with NaN is refused by name."""
    with pytest.raises(ValueError, match=r"`log10_norm` must be \[T \+ 1\] or \[T \+ 1, B\] without NaN"):
        gr.flow.decay(profile)
