"""gr.flow.adjoint against explicit Jacobian products and JAX's own gradients, for our cells and foreign ones."""

from typing import NamedTuple

import chex
import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from tolerances import assert_close

import gatedrnn as gr

CELLS = gr.cells.CLASSICS
T, B, D, H = 12, 3, 4, 5
each_cell = pytest.mark.parametrize("name", CELLS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@each_cell
def test_reference_jacobian(name, problem):
    """The hand-derived Jacobians are the central differences of the step, and the step is the one of the paper."""
    params, xs, carry, *_ = problem(name, 1)
    before = np.concatenate([part[0] for part in carry])
    step = flow_reference.STEPS[name](params, xs[0, 0], before)
    np.testing.assert_allclose(
        step.state, np.concatenate([p[0] for p in reference.LOOPS[name](params, xs, carry).carry])
    )
    for j, unit in enumerate(np.eye(len(before)) * 1e-5):
        ahead, behind = (flow_reference.STEPS[name](params, xs[0, 0], before + s * unit).state for s in (1, -1))
        np.testing.assert_allclose(step.jacobian[:, j], (ahead - behind) / 2e-5, rtol=0, atol=1e-8)


CASES = [((), ()), (("dys",), ()), (("dcarry",), ("mask", "reset")), (("dys", "dcarry"), ("mask", "reset"))]


@each_cell
@pytest.mark.parametrize(("loss", "kept"), CASES, ids=["default", "dys", "dcarry-flagged", "both-flagged"])
def test_equals_explicit_products(name, loss, kept, problem, put, explicit, assert_profiles, unscaled):
    """Every part at every step, and the gradient in the initial carry, for the default probe and for any loss."""
    params, xs, carry, dys, dcarry, flags = problem(name, seed=8)
    options = {"dys": dys, "dcarry": dcarry, **flags}
    options = {key: options[key] for key in loss + kept}
    with jax.enable_x64(True):
        got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry), "float64"), **put(options, "float64"))
    want, rows = explicit(name, params, xs, carry, **options)
    assert_profiles(got.log10_norm, want, 1e-11)
    at_start = np.stack([np.ldexp(row.vectors[0], row.exponents[0]) for row in rows])
    assert_close(np.concatenate(unscaled(got), axis=1), at_start, "float64", T * H)


def logs_of(gradient):
    """log10 of the norm of every part `[..., B, H]` of a carry-shaped gradient by name, and of its `state`."""
    parts = gradient._asdict() | {"state": np.concatenate(gradient, axis=-1)}
    with np.errstate(divide="ignore"):
        return {part: np.log10(np.linalg.norm(value, axis=-1)) for part, value in parts.items()}


def nudged_run(cell, params, xs, nudges, mask, reset):
    """The last carry and the outputs, by a plain scan with `nudges [T + 1, B, H]` added to the carry at every step.

    The gradient of a loss in nudge t is its total derivative in carry t.
    """
    step = jax.vmap(cell.step, in_axes=(None, 0, 0))  # the batch is mapped, one more way to be independent

    def body(carry, inputs):
        x, nudge, keep, fresh = inputs
        keep, fresh = keep[:, None], fresh[:, None]
        before = jax.tree.map(lambda a: jnp.where(fresh, 0.0, a), carry)
        after = jax.tree.map(lambda a, b: jnp.where(keep, a, b), step(params, before, x)[0], carry)
        after = jax.tree.map(jnp.add, after, nudge)
        return after, jnp.where(keep, after.h, 0.0)

    first, rest = (jax.tree.map(lambda a, part=part: a[part], nudges) for part in (0, slice(1, None)))
    return jax.lax.scan(body, first, (xs, rest, mask, reset))


@each_cell
def test_every_row_equals_jax_grad(name, problem, put, assert_profiles):
    """Row t is the norm of JAX's gradient in carry t, for a loss of outputs and last carry, with mask and reset."""
    params, xs, carry, dys, dcarry, flags = problem(name, seed=8)
    assert (flags["reset"] & flags["mask"]).any()
    assert (flags["reset"] & ~flags["mask"]).any()
    with jax.enable_x64(True):
        params, xs, carry, dys, dcarry, flags = put((params, xs, carry, dys, dcarry, flags), "float64")
        nudges = jax.tree.map(lambda a: jnp.zeros((T + 1, B, H)).at[0].set(a), carry)
        _, pull = jax.vjp(lambda nudges: nudged_run(CELLS[name], params, xs, nudges, **flags), nudges)
        (gradient,) = pull((dcarry, dys))
        got = gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, dcarry=dcarry, **flags).log10_norm
    assert_profiles(got, logs_of(gradient), 1e-11)


@each_cell
def test_first_gradient_equals_the_vjp_of_unroll(name, problem, put, unscaled, assert_profiles):
    """mantissa * 2^exponent is the vjp of `unroll` by `Autodiff` in the initial carry, row 0 its norm."""
    params, xs, carry, dys, dcarry, flags = problem(name, seed=8)
    flags["reset"][:, 0] = False
    nothing = jax.tree.map(np.zeros_like, (dys, dcarry))
    with jax.enable_x64(True):
        params, xs, carry, flags = put((params, xs, carry, flags), "float64")
        pull = jax.jit(
            lambda cotangents: jax.vjp(
                lambda carry: gr.unroll(CELLS[name], params, xs, carry, method=gr.Autodiff(), **flags), carry
            )[1](cotangents)[0]
        )
        for loss in ((dys, dcarry), (dys, nothing[1]), (nothing[0], dcarry)):
            dys, dcarry = put(loss, "float64")
            want = pull((dcarry, dys))
            got = gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, dcarry=dcarry, **flags)
            assert_close(unscaled(got), want, "float64", T * H)
            assert_profiles({part: rows[0] for part, rows in got.log10_norm.items()}, logs_of(want), 1e-12)
            assert np.isfinite(got.log10_norm["state"][0, 0])


@pytest.mark.slow
@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_cell
@each_dtype
@pytest.mark.parametrize("batch", [1, 4])
def test_mantissas_equal_the_plain_vjp_bit_for_bit(name, dtype, batch, put, weights, state, unscaled):
    """While nothing underflows, mantissa * 2^exponent is `jax.vjp` of a plain `lax.scan`, to the last bit."""
    rng = np.random.default_rng(batch)
    with jax.enable_x64(dtype == "float64"):
        params, xs = put((weights(name, hidden_size=16), rng.normal(size=(20, batch, D))), dtype)
        carry = state(name, put([rng.normal(size=(batch, 16)) for _ in flow_reference.PARTS[name]], dtype))
        probe = jax.tree.map(jnp.zeros_like, carry)._replace(h=jnp.full((batch, 16), 0.25, dtype))

        def plain(params, xs, carry, probe):
            step = lambda carry, x: CELLS[name].step(params, carry, x)
            return jax.vjp(lambda carry: jax.lax.scan(step, carry, xs)[0], carry)[1](probe)[0]

        # Operation by operation: of a * b + c * d a compiled loop rounds one product, or both, before the sum, and
        # which one depends on what else the loop does.
        with jax.disable_jit():
            want = plain(params, xs, carry, probe)
            got = gr.flow.adjoint(CELLS[name], params, xs, carry)
        assert got.exponent.shape == (batch,)
        assert got.exponent.dtype == jnp.int32
        assert (got.exponent < 0).all()
        assert all((np.abs(part) > np.finfo(dtype).tiny).all() for part in want)
        chex.assert_trees_all_equal(unscaled(got), jax.tree.map(np.asarray, want))


@each_cell
@each_dtype
def test_powers_of_two_are_exact(name, dtype, problem, put, assert_profiles):
    """A loss 2^-100 times as large has the same mantissas and exponents lower by 100, at 2,000 steps and at 12."""
    for steps in (T, 2000):
        params, xs, carry, _, dcarry, _ = problem(name, steps)
        small = jax.tree.map(lambda a: a * 2.0**-100, dcarry)
        with jax.enable_x64(dtype == "float64"):
            arrays = put((params, xs, carry), dtype)
            one, other = (gr.flow.adjoint(CELLS[name], *arrays, dcarry=put(probe, dtype)) for probe in (dcarry, small))
        chex.assert_trees_all_equal(other.mantissa, one.mantissa)
        np.testing.assert_array_equal(other.exponent, one.exponent - 100)
        lower = {part: np.float64(rows) - 100 * np.log10(2) for part, rows in one.log10_norm.items()}
        rounding = np.finfo(dtype).eps * max(np.abs(rows[np.isfinite(rows)]).max() for rows in lower.values())
        assert_profiles(other.log10_norm, lower, 2 * rounding)


class Two(NamedTuple):
    """A foreign carry of unequal widths: h [B, 3], m [B, 2]."""

    h: jax.Array
    m: jax.Array


def two_step(params, carry, x):
    """A nonlinear recurrence whose output [B, 4] is neither h nor as wide as it."""
    m = 0.9 * carry.m + jnp.sin(carry.h @ params["a"])
    h = jnp.tanh(x + carry.h @ params["b"] + m @ params["c"])
    return Two(h, m), h @ params["d"] + carry.m @ params["e"]


def two_carry(params, batch_size=None):
    """Zeros of the widths 3 and 2."""
    return Two(*(jnp.zeros((n,) if batch_size is None else (batch_size, n), params["a"].dtype) for n in (3, 2)))


def test_foreign_cell(put, unscaled, assert_profiles):
    """Parts of unequal width and an output of its own: profile and gradient as JAX's own differentiation has them."""
    cell = gr.Cell.from_step("two", two_step, init=None, initial_carry=two_carry)
    rng = np.random.default_rng(0)
    shapes = {"a": (3, 2), "b": (3, 3), "c": (2, 3), "d": (3, 4), "e": (2, 4)}

    def run(params, xs, nudges):
        def body(carry, inputs):
            x, nudge = inputs
            carry, y = two_step(params, carry, x)
            return jax.tree.map(jnp.add, carry, nudge), y  # nudge t is in carry t, not in what y_t has read

        return jax.lax.scan(body, jax.tree.map(lambda a: a[0], nudges), (xs, jax.tree.map(lambda a: a[1:], nudges)))

    with jax.enable_x64(True):
        params = put({name: rng.normal(size=shape) for name, shape in shapes.items()}, "float64")
        xs, dys = put((rng.normal(size=(T, B, 3)), rng.normal(size=(T, B, 4))), "float64")
        carry, dcarry = (put(Two(rng.normal(size=(B, 3)), rng.normal(size=(B, 2))), "float64") for _ in range(2))
        nudges = jax.tree.map(lambda a: jnp.zeros((T + 1, *a.shape)).at[0].set(a), carry)
        (want,) = jax.vjp(lambda nudges: run(params, xs, nudges), nudges)[1]((dcarry, dys))
        got = gr.flow.adjoint(cell, params, xs, carry, dys=dys, dcarry=dcarry)
    assert set(got.log10_norm) == {"h", "m", "state"}
    assert_close(unscaled(got), jax.tree.map(lambda a: a[0], want), "float64", T * H)
    assert_profiles(got.log10_norm, logs_of(want), 1e-12)


@each_cell
def test_composed_and_foreign_form_agree(name, put, problem, unscaled, assert_profiles):
    """The same equations given as `step` alone have the same profile and the same gradient."""
    cell = CELLS[name]
    foreign = gr.Cell.from_step(
        name, lambda *arguments: cell.step(*arguments), init=cell.init, initial_carry=cell.initial_carry
    )
    params, xs, carry, dys, dcarry, flags = put(problem(name))
    for outputs in (dys, jnp.zeros_like(dys)):
        got, want = (
            gr.flow.adjoint(c, params, xs, carry, dys=outputs, dcarry=dcarry, **flags) for c in (foreign, cell)
        )
        assert_close(unscaled(got), unscaled(want), "float32", T * H)
    assert_profiles(got.log10_norm, want.log10_norm, 1e-5)  # without outputs, which a foreign row t leaves out


@each_cell
def test_under_jit_and_vmap(name, weights, put, problem, assert_profiles, unscaled):
    """Traced, and mapped over seeds of the weights, the numbers stay."""
    _, xs, carry, dys, dcarry, flags = put(problem(name))
    several = [put(weights(name, seed)) for seed in range(3)]

    def profile(params):
        return gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, dcarry=dcarry, **flags)

    mapped = jax.jit(jax.vmap(profile))(jax.tree.map(lambda *a: jnp.stack(a), *several))
    for seed, params in enumerate(several):
        got, want = jax.tree.map(lambda a, seed=seed: a[seed], mapped), profile(params)
        assert_profiles(got.log10_norm, want.log10_norm, 1e-5)
        assert_close(unscaled(got), unscaled(want), "float32", T * H)
