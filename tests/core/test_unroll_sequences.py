"""unroll obeys the laws of sequences: resets, masks, splits, reversal, no steps, unread padding, and batches."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_problems import LENGTH, B, H, T
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)

each_method = pytest.mark.parametrize("method", [gr.Autodiff(), gr.Segmented(length=4)], ids=["autodiff", "segmented"])
unroll = jax.jit(gr.unroll, static_argnames="reverse")


@each_cell
@each_method
def test_reset_is_a_fresh_start(cell, method, problem):
    """What follows a reset of every row is what a new sequence gives."""
    params, xs, carry, _, _ = problem(cell)
    reset = jnp.zeros((T, B), bool).at[4].set(True)
    got, ys = unroll(cell, params, xs, carry, reset=reset, method=method)
    assert_close((got, ys[4:]), unroll(cell, params, xs[4:], method=method), "float32", LENGTH)


@each_cell
def test_reset_restarts_from_the_initial_carry(cell, problem, gradient):
    """A learned initial carry is what a sequence and every reset begin with, and learns from them by either method."""
    params, xs, _, flags, (_, dys) = problem(cell)
    first = lambda params, batch_size=None: jax.tree.map(
        lambda zero: zero + jnp.broadcast_to(params.input["b"][:H], zero.shape), cell.initial_carry(params, batch_size)
    )
    learned = dataclasses.replace(cell, initial_carry=first)
    reset = jnp.zeros((T, B), bool).at[4].set(True)
    end, ys = unroll(learned, params, xs, reset=reset)
    assert_close((end, ys[4:]), unroll(cell, params, xs[4:], first(params, B)), "float32", LENGTH)
    assert_close(ys[:4], unroll(learned, params, xs[:4])[1], "float32", LENGTH)
    got, want = (
        gradient(learned, method, params, xs, None, flags, dys, False) for method in (gr.Segmented(4), gr.Autodiff())
    )
    assert_close(got, want, "float32", LENGTH)


@each_cell
@each_method
def test_masked_step_is_a_deleted_step(cell, method, problem):
    """Masked steps may as well not be there, their resets included; their outputs are zero."""
    params, xs, carry, flags, _ = problem(cell)
    keep = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1], bool)
    reset = flags["reset"].at[~keep].set(True)
    mask = jnp.broadcast_to(jnp.asarray(keep)[:, None], (T, B))
    got, ys = unroll(cell, params, xs, carry, mask=mask, reset=reset, method=method)
    assert not ys[~keep].any()
    want = unroll(cell, params, xs[keep], carry, reset=reset[keep], method=method)
    assert_close((got, ys[keep]), want, "float32", LENGTH)


@each_cell
@each_method
def test_split_sequence_is_a_whole_one(cell, method, problem):
    """The carry is all that one part hands to the next."""
    params, xs, carry, flags, _ = problem(cell)
    first, second = ({name: flag[part] for name, flag in flags.items()} for part in (slice(None, 5), slice(5, None)))
    middle, ys_first = unroll(cell, params, xs[:5], carry, **first, method=method)
    end, ys_second = unroll(cell, params, xs[5:], middle, **second, method=method)
    want = unroll(cell, params, xs, carry, **flags, method=method)
    assert_close((end, jnp.concatenate([ys_first, ys_second])), want, "float32", LENGTH)


@each_cell
@each_method
def test_reversed_is_flipped(cell, method, problem):
    """reverse=True is the flipped sequence with its outputs flipped back."""
    params, xs, carry, flags, _ = problem(cell)
    got = unroll(cell, params, xs, carry, **flags, reverse=True, method=method)
    end, ys = unroll(cell, params, xs[::-1], carry, **jax.tree.map(lambda a: a[::-1], flags), method=method)
    assert_close(got, (end, ys[::-1]), "float32", LENGTH)


@each_cell
@each_method
def test_empty_sequence(cell, method, problem):
    """T = 0 returns the initial carry and no outputs; the gradient is the identity on the carry, zero elsewhere."""
    given = problem(cell, T=0)
    for flags in ({}, given.flags):
        run = lambda *arguments, flags=flags: gr.unroll(cell, *arguments, **flags, method=method)
        (end, ys), vjp = jax.vjp(run, given.params, given.xs, given.carry)
        chex.assert_trees_all_equal(end, given.carry)
        assert ys.shape == (0, B, H)
        dparams, dxs, dcarry = vjp((given.cotangents[0], ys))
        chex.assert_trees_all_equal(dcarry, given.cotangents[0])
        assert dxs.shape == given.xs.shape
        assert not any(leaf.any() for leaf in jax.tree.leaves(dparams))
    end, ys = gr.unroll(cell, given.params, given.xs[:, 0], method=method)
    chex.assert_trees_all_equal(end, cell.initial_carry(given.params))
    assert ys.shape == (0, H)


@each_cell
@each_method
def test_empty_row_keeps_its_carry(cell, method, problem):
    """A row of padding alone returns the initial carry bit for bit, and zero outputs."""
    params, xs, carry, flags, _ = problem(cell)
    for options in ({"mask": flags["mask"]}, flags, {**flags, "reverse": True}):
        end, ys = unroll(cell, params, xs, carry, **options, method=method)
        chex.assert_trees_all_equal(*(jax.tree.map(lambda part: part[2], tree) for tree in (end, carry)))
        assert not ys[:, 2].any()


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@each_method
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("poison", [np.nan, -np.inf, 1e30], ids=["nan", "inf", "huge"])
def test_padding_and_the_past_are_never_read(cell, method, reverse, poison, gradient, problem):
    """Poison there changes no later output and no gradient of a loss on them; the gradient at the poison is zero.

    In the order of processing: row 0 is padded at 3 to 5, row 1 has poison at 2 and at 4 and a reset at 6, row 2 begins
    with a poisoned carry and has a reset at 1.
    """
    params, xs, carry, _, (_, weights) = problem(cell)
    mask, reset, past, poisoned = np.ones((T, B), bool), *np.zeros((3, T, B), bool)
    mask[3:6, 0] = False
    reset[6, 1] = reset[1, 2] = True
    past[:6, 1] = past[:1, 2] = True
    poisoned[3:6, 0] = poisoned[[2, 4], 1] = True
    if reverse:
        mask, reset, past, poisoned = (a[::-1] for a in (mask, reset, past, poisoned))
    flags = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
    weights = jnp.where(past[..., None], 0, weights)
    results = []
    for value in (0.5, poison):
        bad_xs = jnp.where(poisoned[..., None], jnp.float32(value), xs)
        bad_carry = jax.tree.map(lambda part, value=value: part.at[2].set(value), carry)
        results.append(gradient(cell, method, params, bad_xs, bad_carry, flags, weights, reverse))
    (clean, values), (got, bad_values) = results
    assert_close(bad_values, values, "float32", LENGTH)
    assert_close(got, clean, "float32", LENGTH)
    _, dxs, dcarry = got
    assert not dxs[past | ~mask].any()
    assert not any(part[1:].any() for part in dcarry)
    assert all(part[0].all() for part in dcarry)


@each_cell
@each_method
@pytest.mark.parametrize("with_reset", [False, True])
def test_nan_is_not_hidden(cell, method, with_reset, problem):
    """A NaN in an input that counts reaches every later output of its row, up to a reset, and no other row."""
    params, xs, carry, _, _ = problem(cell)
    reset = jnp.zeros((T, B), bool).at[7, 0].set(True) if with_reset else None
    end, ys = unroll(cell, params, xs.at[3, 0, 1].set(jnp.nan), carry, reset=reset, method=method)
    want = np.zeros((T, B, H), bool)
    want[3 : 7 if with_reset else T, 0] = True
    np.testing.assert_array_equal(jnp.isnan(ys), want)
    np.testing.assert_array_equal(jnp.isnan(end.h), want[-1])


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@each_method
def test_vmap(cell, method, problem, gradient):
    """Over sequences it is the batch; over params, one run after the other. Gradients too."""
    params, xs, carry, flags, cotangents = problem(cell)
    one = lambda xs, carry, flags: gr.unroll(cell, params, xs, carry, **flags, method=method)
    got = jax.jit(jax.vmap(one, (1, 0, 1), (0, 1)))(xs, carry, flags)
    assert_close(got, unroll(cell, params, xs, carry, **flags, method=method), "float32", LENGTH)

    others = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf, leaf / 2]), params)
    one = lambda params: gradient(cell, method, params, xs, carry, flags, cotangents[1], False)
    members = [one(jax.tree.map(lambda leaf, i=i: leaf[i], others)) for i in range(3)]
    assert_close(jax.vmap(one)(others), jax.tree.map(lambda *leaves: jnp.stack(leaves), *members), "float32", LENGTH)
