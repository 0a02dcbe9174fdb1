"""gr.flow.adjoint with masks, padding and resets, of a batch and of a single row; wrong arguments are named."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

CELLS = gr.cells.CLASSICS
T, B, H = 12, 3, 5
each_cell = pytest.mark.parametrize("name", CELLS)


@each_cell
def test_masked_steps_change_nothing(name, problem, open_flags, put, explicit, assert_profiles):
    """The profile holds across masked steps, and equals that of the sequence without them."""
    params, xs, carry, _, dcarry, _ = problem(name)
    mask = np.ones((T, B), bool)
    mask[2:4], mask[-2:] = False, False
    flags = open_flags | {"mask": jnp.array(mask)}
    got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry)), dcarry=put(dcarry), **flags).log10_norm
    for rows in got.values():
        np.testing.assert_array_equal(rows[2:4], rows[3:5])
        np.testing.assert_array_equal(rows[-3:-1], rows[-2:])
    short, _ = explicit(name, params, xs[mask[:, 0]], carry, dcarry=dcarry)
    kept = np.concatenate([[True], mask[:, 0]])
    assert_profiles({part: rows[kept] for part, rows in got.items()}, short, 1e-5)


@each_cell
def test_default_probe_reads_the_last_state_of_a_padded_row(name, problem, open_flags, put, explicit, assert_profiles):
    """Rows padded at their end are probed where they really end: each equals its own unpadded run."""
    params, xs, carry, *_ = problem(name)
    lengths = np.array([T, 4, 1])
    flags = open_flags | {"mask": jnp.array(np.arange(T)[:, None] < lengths)}
    got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry)), **flags).log10_norm
    for b, length in enumerate(lengths):
        row = slice(b, b + 1)
        want, _ = explicit(name, params, xs[:length, row], jax.tree.map(lambda a, row=row: a[row], carry))
        assert_profiles({part: rows[: length + 1, row] for part, rows in got.items()}, want, 1e-5)
        for rows in got.values():
            np.testing.assert_array_equal(rows[length:, b], np.full(T + 1 - length, rows[length, b]))


@each_cell
def test_resets_cut(name, problem, open_flags, put, explicit):
    """No gradient passes a reset: -inf before it, and after it the profile of a fresh start."""
    cut = 6
    params, xs, carry, *_ = problem(name)
    reset = open_flags["reset"].at[cut].set(True)  # step cut + 1 starts from zeros: carry `cut` is read by nothing
    got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry)), **open_flags | {"reset": reset})
    fresh, _ = explicit(name, params, xs[cut:])
    for part, rows in got.log10_norm.items():
        np.testing.assert_array_equal(rows[: cut + 1], np.full((cut + 1, B), -np.inf))
        np.testing.assert_allclose(rows[cut + 1 :], fresh[part][1:], atol=1e-5)
    assert not any(part.any() for part in got.mantissa)


@each_cell
def test_nan_in_padding_and_in_a_past_episode(name, put, problem):
    """NaN inputs and cotangents under the mask, and NaN before a reset, leave every row as it was."""
    params, xs, carry, dys, dcarry, _ = put(problem(name))
    mask, reset = np.ones((T, B), bool), np.zeros((T, B), bool)
    mask[1], mask[-1], reset[4] = False, False, True
    flags = {"mask": jnp.array(mask), "reset": jnp.array(reset)}
    dys = dys.at[:4].set(0.0)
    want = gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, dcarry=dcarry, **flags)
    padded = jnp.where(mask[:, :, None], xs, jnp.nan)
    spoilt = jnp.where(mask[:, :, None], dys, jnp.nan)
    past = padded.at[2].set(jnp.nan)
    for broken, cotangents in ((padded, dys), (padded, spoilt), (past, dys)):
        got = gr.flow.adjoint(CELLS[name], params, broken, carry, dys=cotangents, dcarry=dcarry, **flags)
        chex.assert_trees_all_equal((got.log10_norm, got.mantissa), (want.log10_norm, want.mantissa))
    assert (want.log10_norm["state"][:5] == -np.inf).all()
    assert np.isfinite(want.log10_norm["state"][5:]).all()


@each_cell
def test_unbatched(name, put, problem, assert_profiles, unscaled):
    """Inputs [T, D] give [T + 1], and a row of a batch equals its run alone."""
    params, xs, carry, dys, dcarry, flags = put(problem(name))
    batched = gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, dcarry=dcarry, **flags)
    start, final = jax.tree.map(lambda a: a[1], (carry, dcarry))
    x, dy, flag = jax.tree.map(lambda a: a[:, 1], (xs, dys, flags))
    got = gr.flow.adjoint(CELLS[name], params, x, start, dys=dy, dcarry=final, **flag)
    assert all(rows.shape == (T + 1,) for rows in got.log10_norm.values())
    assert got.exponent.shape == ()
    assert all(part.shape == (H,) for part in got.mantissa)
    assert_profiles(got.log10_norm, {part: rows[:, 1] for part, rows in batched.log10_norm.items()}, 1e-5)
    assert_close(unscaled(got), jax.tree.map(lambda a: a[1], unscaled(batched)), "float32", T * H)


@pytest.mark.parametrize("argument", ["xs", "dys", "dcarry", "mask", "reset", "carry"])
def test_bad_arguments(argument, put, problem):
    """The sentence names the argument that is wrong."""
    params, xs, carry, dys, dcarry, flags = put(problem("lstm"))
    arguments = {"xs": xs, "carry": carry, "dys": dys, "dcarry": dcarry, **flags}
    wrong = {
        "xs": xs[..., :-1],
        "carry": carry._replace(c=carry.c[:, :-1]),
        "dys": dys[:-1],
        "dcarry": dcarry._replace(h=dcarry.h[:-1]),
        "mask": flags["mask"][1:],
        "reset": flags["reset"].astype(jnp.float32),
    }
    with pytest.raises(ValueError, match=f"`{argument}`"):
        gr.flow.adjoint(gr.lstm, params, **(arguments | {argument: wrong[argument]}))
