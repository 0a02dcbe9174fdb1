"""gr.flow.adjoint against explicit Jacobian products, JAX's own gradients, and the closed forms of gradient flow."""

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

T, B, D, H = 12, 3, 4, 5  # one set of shapes wherever the test allows: most of the time here is compilation
LONG = 10_000
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm}
each_cell = pytest.mark.parametrize("name", list(CELLS))
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def put(tree, dtype="float32"):
    """The tree's floating arrays as JAX arrays of a dtype; flags and None stay what they are."""
    return jax.tree.map(lambda a: jnp.asarray(a, dtype if np.asarray(a).dtype.kind == "f" else None), tree)


def weights(name, seed=0, hidden_size=H):
    """Random float64 weights of a cell."""
    return gr.Params(*reference.weights(name, D, hidden_size, np.random.default_rng(seed)))


def state(name, parts):
    """The cell's own carry type, filled with the given parts."""
    return {"rnn": gr.RNNState, "gru": gr.GRUState, "lstm": gr.LSTMState}[name](*parts)


def problem(name, T=T, seed=0):
    """Random float64 weights, xs [T, B, D], carry, dys [T, B, H], dcarry, and bool mask and reset [T, B]."""
    rng = np.random.default_rng(seed)
    flags = {"mask": rng.random((T, B)) < 0.7, "reset": rng.random((T, B)) < 0.2}
    carry, dcarry = (state(name, rng.normal(size=(len(flow_reference.PARTS[name]), B, H))) for _ in range(2))
    return weights(name, seed), rng.normal(size=(T, B, D)), carry, rng.normal(size=(T, B, H)), dcarry, flags


def explicit(name, params, xs, carry=None, *, dys=None, dcarry=None, mask=None, reset=None):
    """The log10 norms `[T + 1, B]` by part, and each row's `flow_reference.Adjoint`, from explicit Jacobians."""
    parts = flow_reference.PARTS[name]
    rows = []
    for b in range(xs.shape[1]):
        start = None if carry is None else [part[b] for part in carry]
        flags = [None if flag is None else flag[:, b] for flag in (mask, reset)]
        path = flow_reference.path(name, params, xs[:, b], start, *flags)
        width = path.states.shape[1] // len(parts)
        final, direct = np.zeros(path.states.shape[1]), np.zeros(path.states[1:].shape)
        if dcarry is not None:
            final = np.concatenate([part[b] for part in dcarry])
        elif dys is None:
            final[:width] = width**-0.5
        if dys is not None:
            direct[:, :width] = dys[:, b] if mask is None else dys[:, b] * mask[:, b, None]
        rows.append(flow_reference.adjoint(path.jacobians, final, direct))
    norms = [flow_reference.log10_norms(row, parts) for row in rows]
    return {part: np.stack([norm[part] for norm in norms], 1) for part in norms[0]}, rows


def unscaled(found):
    """The number mantissa * 2^exponent: the gradient in the initial carry, where it is a number of its dtype."""
    exponent = np.asarray(found.exponent)
    return jax.tree.map(
        lambda a: np.ldexp(a, exponent.reshape(exponent.shape + (1,) * (a.ndim - exponent.ndim))), found.mantissa
    )


def assert_profiles(got, want, atol):
    """Both dicts hold the same parts, and each log10 norm agrees within `atol`; -inf only where -inf is due."""
    assert set(got) == set(want)
    for part in want:
        np.testing.assert_allclose(np.asarray(got[part], np.float64), want[part], rtol=0, atol=atol, err_msg=part)


@each_cell
def test_reference_jacobian(name):
    """The hand-derived Jacobians are the central differences of the step, and the step is the one of the paper."""
    params, xs, carry, *_ = problem(name, 1)
    before = np.concatenate([part[0] for part in carry])
    step = flow_reference.STEPS[name](params, xs[0, 0], before)
    np.testing.assert_allclose(
        step.state, np.concatenate([p[0] for p in getattr(reference, name)(params, xs, carry).carry])
    )
    for j, unit in enumerate(np.eye(len(before)) * 1e-5):
        ahead, behind = (flow_reference.STEPS[name](params, xs[0, 0], before + s * unit).state for s in (1, -1))
        np.testing.assert_allclose(step.jacobian[:, j], (ahead - behind) / 2e-5, rtol=0, atol=1e-8)


CASES = [((), ()), (("dys",), ()), (("dcarry",), ("mask", "reset")), (("dys", "dcarry"), ("mask", "reset"))]


@each_cell
@pytest.mark.parametrize(("loss", "kept"), CASES, ids=["default", "dys", "dcarry-flagged", "both-flagged"])
def test_equals_explicit_products(name, loss, kept):
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
def test_every_row_equals_jax_grad(name):
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
def test_first_gradient_equals_the_vjp_of_unroll(name):
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


@each_cell
@each_dtype
@pytest.mark.parametrize("batch", [1, 4])
def test_mantissas_equal_the_plain_vjp_bit_for_bit(name, dtype, batch):
    """While nothing underflows, mantissa * 2^exponent is `jax.vjp` of a plain `lax.scan`, to the last bit."""
    rng = np.random.default_rng(batch)
    with jax.enable_x64(dtype == "float64"):
        params, xs = put((weights(name, hidden_size=16), rng.normal(size=(60, batch, D))), dtype)
        carry = state(name, put([rng.normal(size=(batch, 16)) for _ in flow_reference.PARTS[name]], dtype))
        probe = jax.tree.map(jnp.zeros_like, carry)._replace(h=jnp.full((batch, 16), 0.25, dtype))

        @jax.jit
        def plain(params, xs, carry, probe):
            # Recomputed as the adjoint recomputes it: how XLA contracts a * b + c may depend on what was saved.
            step = jax.checkpoint(lambda carry, x: CELLS[name].step(params, carry, x))
            return jax.vjp(lambda carry: jax.lax.scan(step, carry, xs)[0], carry)[1](probe)[0]

        want = plain(params, xs, carry, probe)
        got = gr.flow.adjoint(CELLS[name], params, xs, carry)
        assert got.exponent.shape == (batch,)
        assert got.exponent.dtype == jnp.int32
        assert (got.exponent < 0).all()
        assert all((np.abs(part) > np.finfo(dtype).tiny).all() for part in want)
        chex.assert_trees_all_equal(unscaled(got), jax.tree.map(np.asarray, want))


@each_cell
@each_dtype
def test_powers_of_two_are_exact(name, dtype):
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


def zero_input(params, T=LONG):
    """A silent batch of one, [T, 1, D], in the dtype of the weights."""
    return jnp.zeros((T, 1, D), params.input["w"].dtype)


@each_dtype
def test_orthogonal_tanh_rnn_at_the_origin_is_an_isometry(dtype):
    """Norm 1 at every one of 10,000 lags, for any orthogonal recurrent matrix."""
    params = weights("rnn")._replace(recurrent={"w": flow_reference.orthogonal(np.random.default_rng(1), H)})
    params.input["b"][:] = 0
    with jax.enable_x64(dtype == "float64"):
        params = put(params, dtype)
        rows = gr.flow.adjoint(gr.rnn, params, zero_input(params)).log10_norm["state"]
        np.testing.assert_allclose(10 ** np.float64(rows), 1, rtol={"float32": 2e-3, "float64": 1e-10}[dtype])


def sized_carry(params, batch_size=None):
    """A zero carry as wide as `params [N]`, which serves for nothing else."""
    return gr.RNNState(jnp.zeros(params.shape if batch_size is None else (batch_size, *params.shape), params.dtype))


def matrix_step(params, carry, x):
    """One step h' = J h with the Jacobian itself as input: x [..., N * N]."""
    N = carry.h.shape[-1]
    h = jnp.einsum("...ij,...j->...i", x.reshape(*x.shape[:-1], N, N), carry.h)
    return gr.RNNState(h), h


MATRIX = gr.Cell.from_step("matrix", matrix_step, init=lambda key, D, N: jnp.zeros(N), initial_carry=sized_carry)


@each_dtype
@pytest.mark.parametrize("scale", [0.5, 0.99, 1.03])
def test_scaled_orthogonal_steps(dtype, scale):
    """Step Jacobian s Q: norm s^k at lag k, to 10^-3010 and to 10^128, for a foreign linear cell."""
    Q = flow_reference.orthogonal(np.random.default_rng(0), 4)
    with jax.enable_x64(dtype == "float64"):
        xs = jnp.broadcast_to(jnp.asarray((scale * Q).ravel(), dtype), (LONG, 1, 16))
        rows = gr.flow.adjoint(MATRIX, jnp.zeros(4, dtype), xs).log10_norm["h"]
    relative = {"float32": 2e-3, "float64": 1e-10}[dtype]
    want = np.arange(LONG, -1, -1)[:, None] * np.log10(scale)
    np.testing.assert_allclose(rows, want, rtol=1e-6 if dtype == "float32" else 0, atol=relative / np.log(10))


def ungated(name, seed=0):
    """Weights without a recurrent matrix: the gates follow the input alone, and units do not mix."""
    params = weights(name, seed)
    params.recurrent["w"][:] = 0
    return params


def test_lstm_without_recurrence():
    """dc_T / dc_0 = product of f_t, dh_T / dc_0 = o_T (1 - tanh^2 c_T) times it, and nothing flows through h."""
    params, xs = ungated("lstm"), np.random.default_rng(5).normal(size=(LONG, 1, D))
    path = flow_reference.path("lstm", params, xs[:, 0])
    log_f = np.log(path.keep)
    lags = np.concatenate([np.cumsum(log_f[::-1], axis=0)[::-1], np.zeros((1, H))])  # [T + 1, H]: ln of f_{t+1} .. f_T
    h, c = np.split(path.states[-1], 2)
    reads = h / np.tanh(c) * (1 - np.tanh(c) ** 2) / H**0.5
    xs = put(xs)
    to_c = gr.LSTMState(jnp.zeros((1, H)), jnp.ones((1, H)))
    memory = gr.flow.adjoint(gr.lstm, put(params), xs, dcarry=to_c).log10_norm
    shown = gr.flow.adjoint(gr.lstm, put(params), xs).log10_norm
    atol = 1e-3 / np.log(10) + 2e-7 * np.abs(lags).max()  # and the rounding of float32 log10 norms of order 10^3
    assert lags[0].max() < -2000
    np.testing.assert_allclose(
        memory["c"][:, 0], np.logaddexp.reduce(2 * lags, axis=1) / 2 / np.log(10), atol=atol, rtol=0
    )
    want = np.logaddexp.reduce(2 * (lags + np.log(np.abs(reads))), axis=1) / 2 / np.log(10)
    np.testing.assert_allclose(shown["c"][:-1, 0], want[:-1], atol=atol, rtol=0)
    for rows in (memory["h"][:, 0], shown["h"][:-1, 0]):
        np.testing.assert_array_equal(rows, -np.inf)
    assert shown["c"][-1, 0] == -np.inf
    assert abs(shown["h"][-1, 0]) < 1e-6


def test_gru_without_recurrence():
    """dh_T / dh_0 = product of z_t."""
    params, xs = ungated("gru", seed=1), np.random.default_rng(5).normal(size=(LONG, 1, D))
    log_z = np.log(flow_reference.path("gru", params, xs[:, 0]).keep)
    lags = np.concatenate([np.cumsum(log_z[::-1], axis=0)[::-1], np.zeros((1, H))])
    want = (np.logaddexp.reduce(2 * lags, axis=1) - np.log(H)) / 2 / np.log(10)
    got = gr.flow.adjoint(gr.gru, put(params), put(xs)).log10_norm["h"][:, 0]
    assert want[0] < -1000
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 / np.log(10) + 2e-7 * np.abs(want).max())


FORGET_TABLE = {0: -3010.30, 1: -1360.48, 2: -551.24, 3: -211.01, 5: -29.164, 7: -3.9585}


@pytest.mark.parametrize(("name", "gate"), [("lstm", 1), ("gru", 1)])
@pytest.mark.parametrize("bias", list(FORGET_TABLE))
def test_constant_gate_over_10000_steps(name, gate, bias):
    """log10 of sigmoid(b)^10000, from 10^-3010 to 10^-4, in a silent LSTM's c and GRU's h without recurrence."""
    params = ungated(name)
    params.input["b"][:] = 0
    params.input["b"][gate * H : (gate + 1) * H] = bias
    memory = flow_reference.PARTS[name][-1]
    probe = state(name, [jnp.full((1, H), float(part == memory)) for part in flow_reference.PARTS[name]])
    rows = gr.flow.adjoint(CELLS[name], put(params), zero_input(put(params)), dcarry=probe).log10_norm[memory]
    decay = rows[0, 0] - rows[LONG, 0]
    np.testing.assert_allclose(decay, FORGET_TABLE[bias], rtol=1e-4)
    np.testing.assert_allclose(decay, -LONG * np.log10(1 + np.exp(-bias)), rtol=1e-4)


def test_bounded_by_the_largest_singular_value():
    """Pascanu 2013: with tanh and sigma_max(W) = 0.95, the norm at lag k is at most 0.95^k, whatever the input."""
    T = 1000
    params = weights("rnn", hidden_size=16)
    U = params.recurrent["w"]
    U *= 0.95 / np.linalg.norm(U, 2)
    bound = np.arange(T, -1, -1)[:, None] * np.log10(0.95)
    rng = np.random.default_rng(2)
    for drive in (0.0, 0.1, 3.0):
        params.input["b"][:] = 0
        rows = gr.flow.adjoint(gr.rnn, put(params), put(drive * rng.normal(size=(T, B, D)))).log10_norm["state"]
        assert np.isfinite(rows).all()
        assert (np.asarray(rows) <= bound + 1e-4).all()
        assert (np.diff(rows, axis=0) >= -np.log10(0.95) - 1e-5).all()  # step by step too


def ar1_step(decay, carry, x):
    """One step h' = l h + x."""
    h = decay[0] * carry.h + x
    return gr.RNNState(h), h


def test_ar1_sensitivity():
    """For h = l h + x, white x: E (dh_T / dl)^2 = (1 + l^2) / (1 - l^2)^3; dh_T / dl = sum dh_T / dh_t h_{t-1}."""
    T, batch, decay = 200, 4000, 0.9
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(T, batch, 1))
    cell = gr.Cell.from_step("ar1", ar1_step, init=None, initial_carry=sized_carry)
    params = jnp.full(1, decay)
    rows = 10 ** np.float64(gr.flow.adjoint(cell, params, put(xs)).log10_norm["h"])  # [T + 1, B]
    hs = np.asarray(gr.unroll(cell, params, put(xs), method=gr.Autodiff())[1], np.float64)[:, :, 0]
    squares = np.einsum("tb,tb->b", rows[2:], hs[:-1]) ** 2
    expected = (1 + decay**2) / (1 - decay**2) ** 3
    assert abs(expected - 263.887) < 1e-3
    assert abs(squares.mean() - expected) < 3 * squares.std() / batch**0.5
    assert squares.std() / batch**0.5 < 0.05 * expected


@pytest.mark.parametrize(("name", "drive"), [("rnn", 1.0), ("gru", 0.0), ("gru", 1.0), ("lstm", 0.0), ("lstm", 1.0)])
def test_finite_where_jax_grad_is_zero(name, drive):
    """At 10,000 steps jax.grad in the first carry is exactly 0; the profile is a number at every one of them."""
    cell, params = CELLS[name], CELLS[name].init(jax.random.key(0), D, H)
    xs = drive * jax.random.normal(jax.random.key(1), (LONG, 1, D))
    carry = jax.tree.map(
        lambda a: 0.1 * drive * jax.random.normal(jax.random.key(2), a.shape), cell.initial_carry(params, 1)
    )
    gradient = jax.grad(lambda carry: gr.unroll(cell, params, xs, carry, method=gr.Autodiff())[0].h.sum())(carry)
    assert not any(part.any() for part in gradient)
    got = gr.flow.adjoint(cell, params, xs, carry)
    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, xs, carry))
    want, rows = explicit(name, *wide)
    assert want["state"][0, 0] < -60  # the smallest float32 is 10^-45
    finite = {part: np.isfinite(values) for part, values in want.items()}
    for part, values in got.log10_norm.items():
        np.testing.assert_array_equal(np.isfinite(values), finite[part], err_msg=part)
    assert_profiles(got.log10_norm, want, 0.05)  # gate values in float32 for 10,000 steps
    first = np.concatenate(got.mantissa, axis=1)[0]
    assert np.isfinite(first).all()
    assert first.any()
    cosine = first @ rows[0].vectors[0] / np.linalg.norm(first) / np.linalg.norm(rows[0].vectors[0])
    assert cosine > 0.999
    np.testing.assert_allclose(
        np.log10(np.linalg.norm(first)) + int(got.exponent[0]) * np.log10(2), want["state"][0, 0], atol=0.05
    )


@each_cell
def test_float64_profile_over_thousands_of_steps(name):
    """Far below the smallest float64, the float64 profile still equals the explicit product."""
    params, xs, carry, *_ = problem(name, 5000, seed=2)
    want, _ = explicit(name, params, xs, carry)
    assert want["state"][0].min() < -330
    with jax.enable_x64(True):
        assert_profiles(gr.flow.adjoint(CELLS[name], *put((params, xs, carry), "float64")).log10_norm, want, 1e-8)


def open_flags():
    """A mask and resets that do nothing."""
    return {"mask": jnp.ones((T, B), bool), "reset": jnp.zeros((T, B), bool)}


@each_cell
def test_zero_cotangent(name):
    """A loss that reads nothing: -inf at every step, no NaN, a zero mantissa."""
    params, xs, carry, dys, dcarry, _ = put(problem(name))
    zero = jax.tree.map(jnp.zeros_like, dcarry)
    for loss in ({"dcarry": zero}, {"dys": 0 * dys, "dcarry": zero, **open_flags()}):
        got = gr.flow.adjoint(CELLS[name], params, xs, carry, **loss)
        for rows in got.log10_norm.values():
            np.testing.assert_array_equal(rows, np.full((T + 1, B), -np.inf))
        assert not any(part.any() for part in got.mantissa)


@each_cell
def test_loss_at_one_step(name):
    """A loss that reads y_7 alone: nothing at later steps, its own norm at row 7, gradient at all earlier ones."""
    params, xs, carry, dys, _, _ = put(problem(name))
    dys = jnp.zeros_like(dys).at[6].set(dys[6])
    rows = gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, **open_flags()).log10_norm["state"]
    np.testing.assert_array_equal(rows[8:], np.full((T - 7, B), -np.inf))
    np.testing.assert_allclose(rows[7], np.log10(np.linalg.norm(dys[6], axis=1)), atol=1e-6)
    assert np.isfinite(rows[:7]).all()


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_losses_of_any_scale_meet(scale):
    """10^-300 from the far end plus order 1 nearby, and 10^+300 plus order 1: each sum is right, at every row."""
    params = weights("rnn")._replace(recurrent={"w": scale * flow_reference.orthogonal(np.random.default_rng(1), H)})
    params.input["b"][:] = 0
    dys = np.zeros((2000, 1, H))
    dys[[-1, 999]] = np.random.default_rng(1).normal(size=(2, 1, H))
    want, _ = explicit("rnn", params, np.zeros((2000, 1, D)), dys=dys)
    assert abs(want["h"][1001, 0] - 999 * np.log10(scale)) < 1  # 10^-300, 1 or 10^300 meets 1 at the row below
    got = gr.flow.adjoint(gr.rnn, put(params), jnp.zeros((2000, 1, D)), dys=put(dys)).log10_norm
    assert_profiles(got, want, 1e-3)


def test_losses_of_any_scale_meet_in_a_foreign_cell():
    """All scales in one batch; a foreign output is no part of the carry, so row t leaves out what reads y_t."""
    T, scales = 2000, np.array([0.5, 1.0, 2.0])
    Q = flow_reference.orthogonal(np.random.default_rng(0), 4)
    xs = np.broadcast_to(scales[:, None] * Q.ravel(), (T, 3, 16))
    dys = np.zeros((T, 3, 4))
    dys[[-1, 999]] = np.random.default_rng(1).normal(size=(2, 3, 4))
    rows = [flow_reference.adjoint(xs[:, b].reshape(T, 4, 4), np.zeros(4), dys[:, b]) for b in range(3)]
    total = np.stack([flow_reference.log10_norms(row, ("h",))["h"] for row in rows], axis=1)
    want = np.concatenate([total[1:] + np.log10(scales), np.full((1, 3), -np.inf)])  # |J^T g| = s |g|
    got = gr.flow.adjoint(MATRIX, jnp.zeros(4), put(xs), dys=put(dys)).log10_norm["h"]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3)


@each_cell
def test_masked_steps_change_nothing(name):
    """The profile holds across masked steps, and equals that of the sequence without them."""
    params, xs, carry, _, dcarry, _ = problem(name)
    mask = np.ones((T, B), bool)
    mask[2:4], mask[-2:] = False, False
    flags = open_flags() | {"mask": jnp.array(mask)}
    got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry)), dcarry=put(dcarry), **flags).log10_norm
    for rows in got.values():
        np.testing.assert_array_equal(rows[2:4], rows[3:5])
        np.testing.assert_array_equal(rows[-3:-1], rows[-2:])
    short, _ = explicit(name, params, xs[mask[:, 0]], carry, dcarry=dcarry)
    kept = np.concatenate([[True], mask[:, 0]])
    assert_profiles({part: rows[kept] for part, rows in got.items()}, short, 1e-5)


@each_cell
def test_default_probe_reads_the_last_state_of_a_padded_row(name):
    """Rows padded at their end are probed where they really end: each equals its own unpadded run."""
    params, xs, carry, *_ = problem(name)
    lengths = np.array([T, 4, 1])
    flags = open_flags() | {"mask": jnp.array(np.arange(T)[:, None] < lengths)}
    got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry)), **flags).log10_norm
    for b, length in enumerate(lengths):
        row = slice(b, b + 1)
        want, _ = explicit(name, params, xs[:length, row], jax.tree.map(lambda a, row=row: a[row], carry))
        assert_profiles({part: rows[: length + 1, row] for part, rows in got.items()}, want, 1e-5)
        for rows in got.values():
            np.testing.assert_array_equal(rows[length:, b], np.full(T + 1 - length, rows[length, b]))


@each_cell
def test_resets_cut(name):
    """No gradient passes a reset: -inf before it, and after it the profile of a fresh start."""
    cut = 6
    params, xs, carry, *_ = problem(name)
    reset = open_flags()["reset"].at[cut].set(True)  # step cut + 1 starts from zeros: carry `cut` is read by nothing
    got = gr.flow.adjoint(CELLS[name], *put((params, xs, carry)), **open_flags() | {"reset": reset})
    fresh, _ = explicit(name, params, xs[cut:])
    for part, rows in got.log10_norm.items():
        np.testing.assert_array_equal(rows[: cut + 1], np.full((cut + 1, B), -np.inf))
        np.testing.assert_allclose(rows[cut + 1 :], fresh[part][1:], atol=1e-5)
    assert not any(part.any() for part in got.mantissa)


@each_cell
def test_nan_in_padding_and_in_a_past_episode(name):
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
def test_unbatched(name):
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


@each_cell
def test_no_steps(name):
    """T = 0: one row, the probe's own norm: 1 for the default, nothing in c."""
    params, xs, carry, _, dcarry, _ = put(problem(name, 0))
    got = gr.flow.adjoint(CELLS[name], params, xs, carry).log10_norm
    np.testing.assert_allclose(got["h"], np.zeros((1, B)), atol=1e-6)
    np.testing.assert_allclose(got["state"], np.zeros((1, B)), atol=1e-6)
    given = gr.flow.adjoint(CELLS[name], params, xs, carry, dcarry=dcarry)
    for part, values in dcarry._asdict().items():
        np.testing.assert_allclose(given.log10_norm[part][0], np.log10(np.linalg.norm(values, axis=1)), atol=1e-6)


def test_parts_of_unlike_scale():
    """A part 10^-30 of the other, whose squares no float32 holds, still has its own norm."""
    params, xs, carry, _, dcarry, _ = problem("lstm")
    for tiny in ("h", "c"):
        probe = dcarry._replace(**{tiny: getattr(dcarry, tiny) * 1e-30})
        got = gr.flow.adjoint(gr.lstm, *put((params, xs, carry)), dcarry=put(probe)).log10_norm
        want, _ = explicit("lstm", params, xs, carry, dcarry=probe)
        assert_profiles(got, want, 1e-5)
        assert (want[tiny][T] < -29).all()


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


def test_foreign_cell():
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
def test_composed_and_foreign_form_agree(name):
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
def test_under_jit_and_vmap(name):
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


@pytest.mark.parametrize("argument", ["xs", "dys", "dcarry", "mask", "reset", "carry"])
def test_bad_arguments(argument):
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
