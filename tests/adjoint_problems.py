"""What the tests of gr.flow.adjoint share: problems, and their explicit products."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

T, B, D, H = 12, 3, 4, 5  # one set of shapes wherever the test allows: most of the time here is compilation
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


def open_flags():
    """A mask and resets that do nothing."""
    return {"mask": jnp.ones((T, B), bool), "reset": jnp.zeros((T, B), bool)}
