"""gr.flow.coverage against a float64 loop and NumPy's own moments and quantiles."""

import flow_reference
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

B, LENGTH = 3, 5


def states(params, xs, carry, flags, steps):
    """[T, B, S] of the float64 loop, which stands still at masked steps."""
    return np.stack(
        [
            flow_reference.path(
                "lstm", params, xs[:steps, b], [part[b] for part in carry], *(flag[:steps, b] for flag in flags)
            ).states[1:]
            for b in range(B)
        ],
        axis=1,
    )


def test_against_a_loop(problem, put, state):
    """With masked steps and episodes, held against the trained steps, and against those from noised first carries."""
    params, xs, carry, _, _, flags = problem("lstm")
    noised = state("lstm", np.random.default_rng(9).normal(size=(2, B, 5)) * 3)
    found = gr.flow.coverage(
        gr.lstm, put(params), put(xs), LENGTH, put(carry), noised=put(noised), level=0.8, **put(flags)
    )
    both = flags["mask"], flags["reset"]
    run, ran = states(params, xs, carry, both, len(xs)), flags["mask"]
    for got, first in ((found, carry), (found.noised, noised)):
        trained = states(params, xs, first, both, LENGTH)[ran[:LENGTH]]  # [N, S]
        distance = np.sqrt((((run - trained.mean(0)) / trained.std(0)) ** 2).mean(-1))
        low, high = np.quantile(trained, [0.1, 0.9], axis=0)
        outside = ((run < low) | (run > high)).mean(-1)
        np.testing.assert_allclose(got.distance, np.where(ran, distance, np.nan), rtol=1e-3)
        np.testing.assert_allclose(got.outside, np.where(ran, outside, np.nan), atol=1e-6)
        for name, rows in {"distance": distance, "outside": outside}.items():
            for part, steps in {"trained": slice(LENGTH), "beyond": slice(LENGTH, None)}.items():
                want = rows[steps][ran[steps]].mean()
                np.testing.assert_allclose(getattr(got, f"{name}_{part}"), want, rtol=1e-3)
    assert found.noised.noised is None


def test_what_never_moved_and_refusals(put, weights):
    """A number that stood still in training is left at once by any other value; what has no trained step is refused."""
    params = put(weights("gru"))
    params.input["w"], params.input["b"] = 0 * params.input["w"], 0 * params.input["b"]
    params.recurrent["b"] = 0 * params.recurrent["b"]
    still = jnp.zeros((6, 4))
    found = gr.flow.coverage(gr.gru, params, still, 3)
    assert found.distance.tolist() == [0] * 6 and float(found.outside_beyond) == 0
    mask = jnp.arange(6) > 2
    with pytest.raises(ValueError, match="`mask` must be True at one of the first 3 steps"):
        gr.flow.coverage(gr.gru, params, still, 3, mask=mask)
    for given in ({"length": 7}, {"length": 0}, {"length": 2, "level": 0}, {"length": 2, "noised": jnp.zeros(5)}):
        with pytest.raises(ValueError, match="must be"):
            gr.flow.coverage(gr.gru, params, still, **given)
    assert np.isnan(gr.flow.coverage(gr.gru, params, still, 6).outside_beyond)
