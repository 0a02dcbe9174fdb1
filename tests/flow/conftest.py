"""Random problems, what explicit Jacobians say of them, and a cell that is linear in its state."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

T, B, D, H = 12, 3, 4, 5  # as in the tests of the adjoint beside this file: most of the time here is compilation


@pytest.fixture(scope="session")
def put():
    """(tree, dtype) -> its floating arrays as JAX arrays of a dtype; flags and None stay what they are."""

    def arrays(tree, dtype="float32"):
        return jax.tree.map(lambda a: jnp.asarray(a, dtype if np.asarray(a).dtype.kind == "f" else None), tree)

    return arrays


@pytest.fixture(scope="session")
def weights():
    """(name, seed, hidden_size) -> random float64 weights of a cell."""

    def draw(name, seed=0, hidden_size=H):
        return gr.Params(*reference.weights(name, D, hidden_size, np.random.default_rng(seed)))

    return draw


@pytest.fixture(scope="session")
def state(put, weights):
    """(name, parts) -> the cell's own carry type, filled with the given parts."""

    def fill(name, parts):
        return type(gr.cells.CLASSICS[name].initial_carry(put(weights(name))))(*parts)

    return fill


@pytest.fixture(scope="session")
def problem(weights, state):
    """(name, T, seed) -> random float64 weights, xs [T, B, D], carry, dys [T, B, H], dcarry, and flags.

    The flags are bool mask and reset [T, B].
    """

    def draw(name, T=T, seed=0):
        rng = np.random.default_rng(seed)
        flags = {"mask": rng.random((T, B)) < 0.7, "reset": rng.random((T, B)) < 0.2}
        carry, dcarry = (state(name, rng.normal(size=(len(flow_reference.PARTS[name]), B, H))) for _ in range(2))
        return weights(name, seed), rng.normal(size=(T, B, D)), carry, rng.normal(size=(T, B, H)), dcarry, flags

    return draw


@pytest.fixture
def open_flags():
    """A mask and resets that do nothing."""
    return {"mask": jnp.ones((T, B), bool), "reset": jnp.zeros((T, B), bool)}


@pytest.fixture(scope="session")
def explicit():
    """(name, params, xs, ...) -> the log10 norms `[T + 1, B]` by part, from explicit Jacobians.

    With them each row's `flow_reference.Adjoint`.
    """

    def profiles(name, params, xs, carry=None, *, dys=None, dcarry=None, mask=None, reset=None):
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

    return profiles


@pytest.fixture(scope="session")
def unscaled():
    """(adjoint) -> mantissa * 2^exponent: the gradient in the initial carry, where it is a number of its dtype."""

    def gradient(found):
        exponent = np.asarray(found.exponent)
        widened = lambda a: exponent.reshape(exponent.shape + (1,) * (a.ndim - exponent.ndim))
        return jax.tree.map(lambda a: np.ldexp(a, widened(a)), found.mantissa)

    return gradient


@pytest.fixture(scope="session")
def assert_profiles():
    """(got, want, atol) -> both dicts hold the same parts, whose log10 norms agree; -inf only where -inf is due."""

    def check(got, want, atol):
        assert set(got) == set(want)
        for part in want:
            np.testing.assert_allclose(np.asarray(got[part], np.float64), want[part], rtol=0, atol=atol, err_msg=part)

    return check


@pytest.fixture(scope="session")
def sized_cell():
    """(name, step) -> a foreign cell with a zero carry as wide as its `params [N]`."""

    def zeros(params, batch_size=None):
        return gr.RNNState(jnp.zeros(params.shape if batch_size is None else (batch_size, *params.shape), params.dtype))

    return lambda name, step: gr.Cell.from_step(name, step, init=None, initial_carry=zeros)


@pytest.fixture(scope="session")
def matrix_cell(sized_cell):
    """One step h' = J h with the Jacobian itself as input, x [..., N * N]; `params [N]` say how wide it is."""

    def step(params, carry, x):
        size = carry.h.shape[-1]
        h = jnp.einsum("...ij,...j->...i", x.reshape(*x.shape[:-1], size, size), carry.h)
        return gr.RNNState(h), h

    return sized_cell("matrix", step)


@pytest.fixture(scope="session")
def driven():
    """Noise [50, 2, 3] for comparisons."""
    return jax.random.normal(jax.random.key(7), (50, 2, 3))
