"""Methods made of another one: truncated windows, equality, traces, and orders of differentiation."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_problems import LENGTH, ORDERS, H, T, error, late
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def cut_into_windows(cell, window, params, xs, carry, flags, reverse):
    """The loop that Truncated stands for: windows by Autodiff, the carry stopped from each to the next."""
    ys, starts = {}, range(0, xs.shape[0], window)
    for start in reversed(starts) if reverse else starts:
        part = slice(start, start + window)
        cut = {name: flag[part] for name, flag in flags.items()}
        end, ys[start] = gr.unroll(cell, params, xs[part], carry, **cut, reverse=reverse, method=gr.Autodiff())
        carry = jax.lax.stop_gradient(end)
    return end, jnp.concatenate([ys[start] for start in starts])


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@both_ways
@pytest.mark.parametrize("flagged", [False, True], ids=["plain", "flagged"])
@pytest.mark.parametrize("window", [1, 4, T])
def test_truncated_is_the_loop_over_windows(cell, reverse, flagged, window, problem, pulled_back):
    """Values and gradients, with cotangents of the outputs and of the last carry; the values are Segmented's."""
    params, xs, carry, flags, _ = problem(cell)
    flags = flags if flagged else {}
    run = lambda method: lambda *given: gr.unroll(cell, *given, **flags, reverse=reverse, method=method)
    got = pulled_back(run(gr.Truncated(window)), params, xs, carry)
    loop = lambda *given: cut_into_windows(cell, window, *given, flags, reverse)
    assert_close(got, pulled_back(loop, params, xs, carry), "float32", LENGTH)
    assert_close(got[0], run(gr.Segmented())(params, xs, carry), "float32", LENGTH)


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@both_ways
@pytest.mark.parametrize("method", [gr.Segmented(3), gr.Autodiff()], ids=["segmented", "autodiff"])
@pytest.mark.parametrize("window", [1, 4, T])
def test_no_gradient_crosses_windows(cell, reverse, method, window, problem):
    """An output depends on its own past (its future, in reverse) within its window, and on exactly nothing else."""
    params, xs, _, _, _ = problem(cell)
    ys = lambda xs: gr.unroll(cell, params, xs, reverse=reverse, method=gr.Truncated(window, method))[1].sum((1, 2))
    reached = jax.jit(jax.jacrev(ys))(xs).any((2, 3))  # [T of the output, T of the input]
    place = np.arange(T)
    order = np.triu if reverse else np.tril
    np.testing.assert_array_equal(reached, order(place[:, None] // window == place // window))


@pytest.fixture
def methods(meshes):
    """What they are made of -> every kind of composed method, made anew."""
    return lambda method=gr.Segmented(): {
        "checkpointed": gr.Checkpointed(4, method),
        "nested": gr.Checkpointed(6, gr.Checkpointed(2, method)),
        "truncated": gr.Truncated(4, method),
        "sharded": gr.Sharded(meshes()["plain"][0], method=method),
    }


each_method = pytest.mark.parametrize("name", ["checkpointed", "nested", "truncated", "sharded"])


def test_methods_are_equal_by_value(methods, meshes):
    """Methods made alike are equal and hash alike; no two others are."""
    first, second = list(methods().values()), list(methods().values())
    others = [gr.Checkpointed(), gr.Checkpointed(5), gr.Checkpointed(4, gr.Autodiff()), gr.Truncated(5)]
    others += [gr.Truncated(4, gr.Autodiff()), gr.Sharded(meshes()["plain"][0], ("batch",)), gr.Segmented(4)]
    others += [gr.Sharded(meshes()["named axis"][0])]
    assert first == second and list(map(hash, first)) == list(map(hash, second))
    assert all(a != b for a, b in itertools.combinations(first + others, 2))


@each_method
def test_nothing_is_traced_twice(name, methods, spied, problem):
    """Equal methods and equal functions of a readout share one trace, under an outer jit and without it."""
    chex.clear_trace_counter()
    spy, shapes = spied(gr.gru)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def limited(method, readout, params, xs):
        return gr.unroll(gr.gru, params, xs, method=method, outputs=readout)

    counts = []
    for seed in range(3):
        params, xs, _, _, _ = problem(gr.gru, B=4, seed=seed)
        readout = gr.Readout(error, jnp.full((H, 1), float(seed)), jnp.ones((T, 4)))
        limited(methods()[name], readout, params, xs)
        run = functools.partial(gr.unroll, spy, params, method=methods()[name], outputs=readout)
        jax.grad(lambda xs, run=run: run(xs)[1].sum())(xs)
        counts.append(len(shapes))
    assert 0 < counts[0] == counts[1] == counts[2]
    with pytest.raises(AssertionError, match="traced"):
        limited(methods()[name], gr.Readout(late, jnp.eye(H), jnp.ones((T, 4), bool)), params, xs)
    with pytest.raises(AssertionError, match="traced"):
        limited(gr.Segmented(5), readout, params, xs)


@pytest.mark.slow
@pytest.mark.thinned(3)
@pytest.mark.sampled
@each_method
@pytest.mark.parametrize(
    "made_of",
    [gr.Segmented(3), pytest.param(gr.Autodiff(), marks=pytest.mark.slow)],
    ids=["segmented", "autodiff"],
)
def test_second_derivatives(name, made_of, problem, methods):
    """Derivatives along a line, first and second, and the square of the gradient's norm differentiated."""
    params, xs, _, flags, _ = problem(gr.gru, B=4)

    def along(method):
        loss = lambda xs: jnp.sum(gr.unroll(gr.gru, params, xs, **flags, method=method)[1] ** 2) / LENGTH
        return jax.jit(lambda xs: (jax.jvp(jax.value_and_grad(loss), (xs,), (xs,)), ORDERS["grad of grad"](loss, xs)))(
            xs
        )

    composed = methods(made_of)[name]
    wanted = gr.Truncated(4, gr.Autodiff()) if name == "truncated" else gr.Autodiff()
    assert_close(along(composed), along(wanted), "float32", LENGTH)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_bad_lengths(size):
    """A segment and a window have at least one step."""
    with pytest.raises(ValueError, match=f"`length` must be .*; got {size}"):
        gr.Checkpointed(size)
    with pytest.raises(ValueError, match=f"`window` must be .*; got {size}"):
        gr.Truncated(size)
