"""unroll under JAX's transformations: what a backward pass computes, saves and traces, and higher orders."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from core_problems import LENGTH, ORDERS, B, H, T
from jax.flatten_util import ravel_pytree
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@each_cell
def test_segments_are_single_products(cell, problem, spied):
    """Backward, `recur` meets segments, the rest of T and a row, whence U is read; Autodiff sees one step at a time."""
    params, xs, carry, _, _ = problem(cell)
    spy, shapes = spied(cell)
    loss = lambda method: jax.make_jaxpr(jax.grad(lambda xs: gr.unroll(spy, params, xs, carry, method=method)[1].sum()))
    loss(gr.Autodiff())(xs)
    assert set(shapes) == {(B, H)}
    loss(gr.Segmented(length=4))(xs)
    assert set(shapes) == {(B, H), (4 * B, H), (T % 4 * B, H), (H,)}


@each_cell
def test_one_sequence_has_no_batch_axis_in_its_loops(cell, problem, spied):
    """A product with a vector is one operation less per step than one with a matrix of one row."""
    params, xs, carry, _, _ = problem(cell)
    spy, shapes = spied(cell)
    one = jax.tree.map(lambda a: a[:1], carry)
    jax.make_jaxpr(jax.grad(lambda xs: gr.unroll(spy, params, xs, one, method=gr.Segmented(4))[1].sum()))(xs[:, :1])
    assert set(shapes) == {(H,), (4, H), (T % 4, H), (H, H)}


@each_cell
def test_saved_for_the_backward_pass(cell, problem):
    """Beside its arguments Segmented keeps the outputs, and the carry at each segment's start: nothing with gates."""
    params, xs, carry, _, _ = problem(cell, T=64)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    saved = lambda method: count(
        jax.vjp(lambda *arguments: gr.unroll(cell, *arguments, method=method), params, xs, carry)[1]
    )
    arguments = count((params, xs)) + 2 * count(carry)  # the carry, and the zeros to reset to
    starts = 64 // 8 * count(carry)
    assert saved(gr.Segmented(length=8)) <= arguments + 64 * B * H + starts < saved(gr.Autodiff())


@each_cell
def test_nothing_is_traced_twice(cell, gradient, spied, problem):
    """Equal cells, methods and shapes share one trace, under an outer jit and without it; other ones do not."""
    chex.clear_trace_counter()
    limited = jax.jit(chex.assert_max_traces(n=1)(lambda *arguments: gradient.__wrapped__(*arguments, reverse=False)))
    spy, shapes = spied(cell)
    counts = []
    for seed in range(3):
        params, xs, carry, flags, (_, dys) = problem(cell, seed=seed)
        limited(dataclasses.replace(cell), gr.Segmented(length=4), params, xs, carry, flags, dys)
        eager = lambda xs, params=params, carry=carry: gr.unroll(
            dataclasses.replace(spy), params, xs, carry, method=gr.Segmented(length=4)
        )
        jax.vjp(eager, xs)[1](eager(xs))
        counts.append(len(shapes))
    assert 0 < counts[0] == counts[1] == counts[2]
    with pytest.raises(AssertionError, match="traced"):
        limited(cell, gr.Segmented(length=5), params, xs, carry, flags, dys)
    assert gr.Segmented(length=4) == gr.Segmented(length=4) != gr.Segmented()
    assert hash(gr.Segmented(length=4)) == hash(gr.Segmented(length=4))
    assert gr.Autodiff() == gr.Autodiff() != gr.Autodiff(unroll=2)
    assert hash(gr.Autodiff()) == hash(gr.Autodiff())


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@pytest.mark.parametrize("order", ORDERS)
def test_forward_mode_and_higher_orders(cell, order, problem):
    """In weights, inputs and carry at once, with flags: as Autodiff."""
    with jax.enable_x64(True):
        given = problem(cell, "float64", T=6)
        flat, unravel = ravel_pytree(given[:3])
        found = {}
        for method in (gr.Segmented(length=4), gr.Autodiff()):
            loss = lambda x, method=method: sum(
                jnp.sum(leaf**2) for leaf in jax.tree.leaves(gr.unroll(cell, *unravel(x), **given.flags, method=method))
            )
            found[method] = jax.jit(functools.partial(ORDERS[order], loss))(flat)
        assert_close(*found.values(), "float64", LENGTH)


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@pytest.mark.parametrize("order", ["jvp", "jacfwd", "linearize", "jvp of grad"])
def test_forward_mode_without_jit(cell, order, problem):
    """Also where the value is held still, and of a function that is mapped over sequences."""
    params, xs, _, _, _ = problem(cell)
    outputs = lambda xs, method: gr.unroll(cell, params, xs, method=method)[1]
    for of in (
        lambda xs, method: jnp.sum(jax.lax.stop_gradient(outputs(xs, method)) * xs[..., :1]),
        lambda xs, method: jnp.sum(jax.vmap(outputs, (1, None))(xs[:, :, None], method) ** 2),
    ):
        got, want = (
            ORDERS[order](functools.partial(of, method=method), xs) for method in (gr.Segmented(4), gr.Autodiff())
        )
        assert_close(got, want, "float32", LENGTH)


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@pytest.mark.parametrize("method", [gr.Segmented(4), gr.Autodiff()], ids=["segmented", "autodiff"])
def test_first_and_second_derivatives(cell, method, problem):
    """First and second derivative along a line against differences of the loop; both orders of the second agree."""
    with jax.enable_x64(True):
        given = problem(cell, "float64")
        flat, unravel = ravel_pytree(given[:3])
        line = jnp.asarray(np.random.default_rng(1).normal(size=flat.size)) / flat.size**0.5

        def loss(x):
            end, ys = gr.unroll(cell, *unravel(x), **given.flags, method=method)
            return sum(map(jnp.vdot, (*given.cotangents[0], given.cotangents[1]), (*end, ys)))

        slope = jax.jit(lambda x: jax.jvp(loss, (x,), (line,))[1])(flat)
        along = jax.jit(lambda x: jax.jvp(jax.grad(loss), (x,), (line,))[1])(flat)
        twice = jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), line)))(flat)

        def at(step):
            run = reference.LOOPS[cell.name](*unravel(flat + step * line), **given.flags)
            return sum(map(np.vdot, (*given.cotangents[0], given.cotangents[1]), (*run.carry, run.ys)))

        assert_close(slope, (at(1e-5) - at(-1e-5)) / 2e-5, "difference", LENGTH)
        assert_close(along @ line, (at(1e-3) - 2 * at(0.0) + at(-1e-3)) / 1e-6, "second difference", LENGTH)
        assert_close(along, twice, "float64", LENGTH)


@each_cell
def test_segmented_inside_other_transformations(cell, problem):
    """Rematerialised, in another loop, by jacrev, or with an outer derivative that passes it by, it is the same."""
    params, xs, _, _, _ = problem(cell)

    def loss(xs, method=gr.Segmented(length=4)):
        return jnp.sum(gr.unroll(cell, params, xs, method=method)[1] ** 2, (0, -1))  # [B] or one number

    def total(xs):
        return loss(xs).sum()

    want = jax.jit(jax.jacrev(functools.partial(loss, method=gr.Autodiff())))(xs)  # [B, T, B, D]
    rematerialised, looped = jax.checkpoint(loss), lambda xs: jax.lax.map(total, jnp.moveaxis(xs, 1, 0))
    for same in (loss, rematerialised, looped):
        assert_close(jax.jit(jax.jacrev(same))(xs), want, "float32", LENGTH)
    scaled = jax.jit(jax.grad(lambda s: jnp.vdot(jax.grad(lambda xs: s * total(xs))(xs), xs)))
    assert_close(scaled(2.0), jnp.vdot(want.sum(0), xs), "float32", LENGTH)
