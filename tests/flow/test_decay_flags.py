"""gr.flow.decay of profiles with masked steps and resets, against a walk back from the loss; and traced."""

import jax
import numpy as np
import pytest

import gatedrnn as gr


def flagged(seed, batch):
    """A profile [T + 1, B], mask and reset [T, B], 12 steps, without any structure."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(13, batch)), rng.random((12, batch)) < 0.7, rng.random((12, batch)) < 0.15


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_masked_steps_are_deleted_and_the_last_reset_ends_it(seed, reverse):
    """By a walk back from the loss, row by row; the mean at a lag is over those that reach it."""
    profile, mask, reset = flagged(seed, 3)
    columns = []
    for b in range(3):
        column = []
        for t in range(12, -1, -1):
            if t == 0 or mask[t - 1, b]:
                column.append(profile[t, b])
            if t and mask[t - 1, b] and reset[t - 1, b]:
                break
        columns.append(column)
    longest = max(map(len, columns))
    want = [np.mean([column[k] for column in columns if k < len(column)]) for k in range(longest)]
    turn = slice(None, None, -1 if reverse else 1)
    got = gr.flow.decay(profile[turn], mask=mask[turn], reset=reset[turn], reverse=reverse)
    np.testing.assert_allclose(got, gr.flow.decay(want[::-1]))
    alone = gr.flow.decay(profile[:, 0], mask=mask[:, 0], reset=reset[:, 0])
    np.testing.assert_allclose(alone, gr.flow.decay(columns[0][::-1]))


def test_a_reset_is_no_vanishing():
    """Nothing crosses a reset, by construction; within the episode the gradient is kept."""
    reset = np.zeros(6, bool)
    reset[2] = True
    profile = np.array([-np.inf, -np.inf, -np.inf, -0.3, -0.2, -0.1, 0])
    assert gr.flow.decay(profile).word == "vanishing"
    got = gr.flow.decay(profile, reset=reset)
    assert (got.word, got.horizon, got.lag_below_1e3) == ("isometric", 3, np.inf)


@pytest.mark.parametrize("flags", [False, True])
def test_traced(flags):
    """Under jit and vmap the same numbers, in the profile's dtype; the word of each, once they are known."""
    problems = [flagged(seed, 2) for seed in range(4)]
    profiles = np.float32([10.0 * i * (problem[0] - i) for i, problem in enumerate(problems)])
    options = {"mask": [p[1] for p in problems], "reset": [p[2] for p in problems]} if flags else {}
    options = {name: np.stack(flag) for name, flag in options.items()}
    call = lambda profile, options: gr.flow.decay(profile, **options)
    got = jax.jit(jax.vmap(call))(profiles, options)
    want = [call(profile, {name: flag[i] for name, flag in options.items()}) for i, profile in enumerate(profiles)]
    assert got.word == [one.word for one in want]
    for name, values in got._asdict().items():
        np.testing.assert_allclose(values, [getattr(one, name) for one in want], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("flag", [np.ones(3, bool), np.ones((4, 1), bool), np.ones(4)], ids=["T", "rank", "dtype"])
@pytest.mark.parametrize("name", ["mask", "reset"])
def test_errors_of_the_flags(name, flag):
    """A flag of another shape or dtype is named."""
    with pytest.raises(ValueError, match=f"`{name}` must be a bool array"):
        gr.flow.decay(np.zeros(5), **{name: flag})
