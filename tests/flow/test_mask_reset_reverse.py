"""Masks, resets and reversal in every analysis: deleted steps and cut episodes in float64 NumPy; jit and vmap."""

from typing import NamedTuple

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

CELLS = gr.cells.CLASSICS
T, B, H = 12, 3, 5
each_cell = pytest.mark.parametrize("name", CELLS)

MEASURES = ("adjoint", "lyapunov", "timescales")
FLAGS = (("mask",), ("reset",), ("mask", "reset"))
each_flags = pytest.mark.parametrize("names", FLAGS, ids="-".join)


@pytest.fixture
def case(problem):
    """(name, names) -> float64 weights, inputs, carry and the flags asked for; every row has steps that count."""

    def make(name, names):
        params, xs, carry, dys, dcarry, flags = problem(name, seed=8)
        return params, xs, carry, dys, dcarry, {name: flags[name] for name in names}

    return make


def steps_of(name, params, xs, carry, flags):
    """For each row: the Jacobians and keeping gates of its steps that count, by a walk through the sequence."""
    mask, reset = (flags.get(key, np.full((T, B), key == "mask")) for key in ("mask", "reset"))
    rows = []
    for b in range(B):
        path = flow_reference.path(name, params, xs[:, b], [part[b] for part in carry], mask[:, b], reset[:, b])
        counted = mask[:, b] & ~reset[:, b]
        run = np.cumsum(mask[:, b]) - 1  # the place of a step among those that are run
        rows.append((path.jacobians[counted], path.keep[counted], run[counted]))
    return rows


@each_flags
@each_cell
def test_lyapunov_within_episodes(name, names, put, case):
    """QR over the steps that are run and start from no reset; burn-in counts steps that are run."""
    params, xs, carry, *_, flags = case(name, names)
    for burn_in in (0, 2):
        want = []
        for jacobians, _, run in steps_of(name, params, xs, carry, flags):
            frame, growth = np.eye(jacobians.shape[1]), 0
            for jacobian, place in zip(jacobians, run, strict=True):
                frame, R = np.linalg.qr(jacobian @ frame)
                growth = growth + np.log(np.abs(np.diag(R))) * (place >= burn_in)
            want.append(np.sort(growth)[::-1] / (run >= burn_in).sum())
        with jax.enable_x64(True):
            got = gr.flow.lyapunov(CELLS[name], *put((params, xs, carry), "float64"), burn_in=burn_in, **put(flags))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


@each_flags
@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.keeps])
def test_timescales_of_the_steps_that_count(name, names, put, case):
    """-1 / mean ln f over the steps of all rows that are run and start from no reset."""
    params, xs, carry, *_, flags = case(name, names)
    keep = np.concatenate([keep for _, keep, _ in steps_of(name, params, xs, carry, flags)])
    with jax.enable_x64(True):
        got = gr.flow.timescales(CELLS[name], *put((params, xs, carry), "float64"), **put(flags))
    np.testing.assert_allclose(got, -1 / np.log(keep).mean(0), rtol=1e-12)


def test_nothing_that_counts(put, problem):
    """A row that is masked throughout has no exponent, a batch of such rows no time scale; no number is made up."""
    params, xs, *_ = put(problem("lstm"))
    mask = jnp.ones((T, B), bool).at[:, 1].set(False)
    got = np.asarray(gr.flow.lyapunov(gr.lstm, params, xs, k=1, mask=mask))
    np.testing.assert_array_equal(np.isnan(got[:, 0]), [False, True, False])
    assert np.isnan(gr.flow.timescales(gr.lstm, params, xs, mask=jnp.zeros((T, B), bool))).all()


@pytest.mark.parametrize("measure", ["lyapunov", "timescales"])
def test_nan_in_padding_changes_nothing(measure, put, case):
    """What a masked step holds is never read."""
    params, xs, carry, *_, flags = put(case("gru", ("mask", "reset")))
    spoilt = jnp.where(flags["mask"][:, :, None], xs, jnp.nan)
    got, want = (getattr(gr.flow, measure)(gr.gru, params, x, carry, **flags) for x in (spoilt, xs))
    np.testing.assert_array_equal(got, want)
    assert np.isfinite(want).all()


@pytest.mark.parametrize("measure", ["lyapunov", "timescales"])
def test_nan_in_an_episode_that_counts_is_seen(measure, put, problem):
    """A broken input makes the number of its row NaN, not a silent mean over the rest."""
    params, xs, *_ = put(problem("gru"))
    reset = jnp.zeros((T, B), bool).at[6].set(True)
    got = getattr(gr.flow, measure)(gr.gru, params, xs.at[3, 0].set(jnp.nan), reset=reset)
    assert np.isnan(got[0]).all() if measure == "lyapunov" else np.isnan(got).all()


@each_cell
@pytest.mark.parametrize("measure", MEASURES)
def test_reverse_is_the_sequence_turned_round(name, measure, put, assert_profiles, unscaled, case):
    """Inputs, flags and cotangents of the last step first; row 0 of a profile is then after the last step run."""
    params, xs, carry, dys, dcarry, flags = put(case(name, ("mask", "reset")))
    loss = {"dys": dys, "dcarry": dcarry} if measure == "adjoint" else {}
    turned = {key: value if key == "dcarry" else value[::-1] for key, value in (flags | loss).items()}
    call = getattr(gr.flow, measure)
    got = call(CELLS[name], params, xs, carry, reverse=True, **flags, **loss)
    want = call(CELLS[name], params, xs[::-1], carry, **turned)
    if measure == "adjoint":
        assert_profiles(got.log10_norm, {part: np.asarray(rows)[::-1] for part, rows in want.log10_norm.items()}, 0)
        got, want = unscaled(got), unscaled(want)
        pull = jax.vjp(
            lambda carry: gr.unroll(CELLS[name], params, xs, carry, reverse=True, method=gr.Autodiff(), **flags), carry
        )[1]
        assert_close(got, pull((dcarry, dys))[0], "float32", T * H)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_reversed_profile_decays_back_from_its_own_end(put, problem):
    """adjoint and decay with the same arguments: the gradient of what is shown at step 0."""
    params, xs, *_ = put(problem("gru"))
    rows = gr.flow.adjoint(gr.gru, params, xs, reverse=True).log10_norm["state"]
    np.testing.assert_allclose(rows[0], 0, atol=1e-6)
    want = gr.flow.decay(gr.flow.adjoint(gr.gru, params, xs[::-1]).log10_norm["state"])
    np.testing.assert_array_equal(gr.flow.decay(rows, reverse=True), want)


@pytest.mark.parametrize("measure", [*MEASURES, "decay"])
def test_under_jit_and_vmap(measure, put, problem):
    """Mapped over flags of two sequences, and traced, the numbers stay; k and burn_in are no arrays."""
    params, xs, carry, *_ = put(problem("lstm"))
    masks = np.random.default_rng(5).random((2, T, B)) < 0.8
    resets = np.random.default_rng(6).random((2, T, B)) < 0.2

    def call(mask, reset):
        options = {"mask": mask, "reset": reset, "reverse": True}
        if measure == "decay":
            rows = gr.flow.adjoint(gr.lstm, params, xs, carry, **options).log10_norm["state"]
            return gr.flow.decay(rows, **options)
        return getattr(gr.flow, measure)(gr.lstm, params, xs, carry, **options)

    traced = jax.jit(jax.vmap(call))(masks, resets)
    for i in range(2):
        got, want = jax.tree.map(lambda a, i=i: a[i], traced), call(masks[i], resets[i])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), got, want)


class Stack(NamedTuple):
    """A foreign carry whose first part is the lower layer."""

    lower: gr.GRUState
    upper: gr.GRUState


def stacked(params, carry, x):
    """Two GRUs; the upper one is shown."""
    lower, y = gr.gru.step(params[0], carry.lower, x)
    upper, y = gr.gru.step(params[1], carry.upper, y)
    return Stack(lower, upper), y


def stack_carry(params, batch_size=None):
    """Zeros of both."""
    return Stack(*(gr.gru.initial_carry(one, batch_size) for one in params))


STACK = gr.Cell.from_step("stack", stacked, init=None, initial_carry=stack_carry)


@pytest.mark.parametrize("flagged", [False, True])
def test_a_stack_is_judged_by_what_it_shows(flagged, put, problem, open_flags, unscaled):
    """The default probe is the gradient of the last output that is run, row by row, which reaches both layers."""
    _, xs, _, _, _, flags = put(problem("gru"))
    params = tuple(gr.gru.init(jax.random.key(i), D, H) for i, D in enumerate((xs.shape[2], H)))
    mask = flags["mask"] if flagged else open_flags["mask"]
    got = gr.flow.adjoint(STACK, params, xs, mask=mask if flagged else None)
    last = T - 1 - np.argmax(np.asarray(mask)[::-1], axis=0)  # [B]
    dys = np.zeros((T, B, H), np.float32)
    dys[last, np.arange(B)] = H**-0.5
    unroll = lambda carry: gr.unroll(STACK, params, xs, carry, mask=mask, method=gr.Autodiff())[1]
    _, pull = jax.vjp(unroll, stack_carry(params, B))
    assert_close(unscaled(got), pull(jnp.asarray(dys))[0], "float32", T * H)
    for part in ("lower.h", "upper.h", "state"):
        rows = np.asarray(got.log10_norm[part])
        for b in range(B):
            assert np.isfinite(rows[: last[b] + 1, b]).all()
            assert (rows[last[b] + 1 :, b] == -np.inf).all()  # the output enters at the row before it


@each_cell
def test_the_probe_of_a_foreign_form_is_one_row_late(name, put, problem, unscaled, assert_profiles):
    """The same equations as `step` alone: equal rows but the last, and a decay that starts there."""
    cell = CELLS[name]
    foreign = gr.Cell.from_step(name, lambda *a: cell.step(*a), init=None, initial_carry=cell.initial_carry)
    params, xs, carry, *_ = put(problem(name))
    got, want = (gr.flow.adjoint(each, params, xs, carry) for each in (foreign, cell))
    assert_close(unscaled(got), unscaled(want), "float32", T * H)
    assert_profiles(*({part: rows[:-1] for part, rows in one.log10_norm.items()} for one in (got, want)), 1e-5)
    assert (got.log10_norm["state"][-1] == -np.inf).all()
    late, full = (gr.flow.decay(one.log10_norm["state"]) for one in (got, want))
    assert (late.horizon, full.horizon) == (T - 1, T)
    np.testing.assert_allclose(late, gr.flow.decay(want.log10_norm["state"][:-1]), rtol=1e-4, atol=1e-5)


def test_an_output_narrower_than_the_carry():
    """A bfloat16 output of a float32 carry is probed in its own dtype."""
    cell = gr.Cell.from_step(
        "narrow",
        lambda a, carry, x: (gr.RNNState(0.5 * carry.h + x), (0.5 * carry.h + x).astype(jnp.bfloat16)),
        init=None,
        initial_carry=lambda a, batch_size=None: gr.RNNState(jnp.zeros((batch_size or 1, 4))),
    )
    rows = gr.flow.adjoint(cell, (), jnp.ones((200, 1, 4))).log10_norm["h"][:, 0]
    np.testing.assert_allclose(rows[:-1], -np.log10(2) * np.arange(200, 0, -1), atol=1e-4)
