"""Gradient flow by explicit matrices, in float64 NumPy; shares nothing with the package.

    J_t = d state_t / d state_{t-1}                         [S, S], derived by hand below
    g_{t-1} = J_t^T g_t + [dys_{t-1}, 0]                    the adjoint, carried as vector * 2^exponent
    J_T ... J_2 J_1                                         the product whose spectrum Lyapunov exponents describe

One row of a batch is a matrix `xs [T, D]` and a state vector: h, then c for the LSTM. Weights are `reference.weights`.
A masked step has J = I, a reset step J = 0, for its state no longer depends on the one before.
"""

from typing import NamedTuple

import numpy as np
from reference import PerCell


class Step(NamedTuple):
    """One step from a state: the state after it `[S]`, its Jacobian `[S, S]`, the gate that carries the state `[H]`."""

    state: np.ndarray
    jacobian: np.ndarray
    keep: np.ndarray


class Path(NamedTuple):
    """One row's sequence: states `[T + 1, S]`, Jacobians `[T, S, S]`, carrying gates `[T, H]`."""

    states: np.ndarray
    jacobians: np.ndarray
    keep: np.ndarray


def rnn(params, x, state):
    """Elman: h' = tanh(a), a = x W + b + h U, so that dh'_i / dh_j = (1 - h'_i^2) U_ji."""
    U = _wide(params.recurrent["w"])
    h = np.tanh(x @ _wide(params.input["w"]) + _wide(params.input["b"]) + state @ U)
    return Step(h, (1 - h**2)[:, None] * U.T, np.zeros(len(h)))


def gru(params, x, state):
    """GRU: h' = (1 - z) n + z h, n = tanh(x_n + r m), m = h U_n + b.

    dh' / dh = diag(z) + diag((h - n) z (1 - z)) U_z^T + diag(1 - z) dn / dh,
    dn / dh = diag(1 - n^2) (diag(r) U_n^T + diag(m r (1 - r)) U_r^T).
    """
    H = len(state)
    x_r, x_z, x_n = _blocks(x @ _wide(params.input["w"]) + _wide(params.input["b"]), H)
    U_r, U_z, U_n = _blocks(_wide(params.recurrent["w"]), H)
    r, z = _sigmoid(x_r + state @ U_r), _sigmoid(x_z + state @ U_z)
    m = state @ U_n + _wide(params.recurrent["b"])
    n = np.tanh(x_n + r * m)
    dn = (1 - n**2)[:, None] * (r[:, None] * U_n.T + (m * r * (1 - r))[:, None] * U_r.T)
    jacobian = np.diag(z) + ((state - n) * z * (1 - z))[:, None] * U_z.T + (1 - z)[:, None] * dn
    return Step((1 - z) * n + z * state, jacobian, z)


def lstm(params, x, state):
    """LSTM: c' = f c + i g, h' = o tanh(c'); every gate reads h alone.

    dc' / dc = diag(f)
    dc' / dh = diag(c f (1 - f)) U_f^T + diag(g i (1 - i)) U_i^T + diag(i (1 - g^2)) U_g^T
    dh' / d. = diag(o (1 - tanh^2 c')) dc' / d. and, for h, diag(tanh(c') o (1 - o)) U_o^T more
    """
    h, c = np.split(state, 2)
    H = len(h)
    U_i, U_f, U_g, U_o = _blocks(_wide(params.recurrent["w"]), H)
    x_i, x_f, x_g, x_o = _blocks(x @ _wide(params.input["w"]) + _wide(params.input["b"]), H)
    i, f, o = _sigmoid(x_i + h @ U_i), _sigmoid(x_f + h @ U_f), _sigmoid(x_o + h @ U_o)
    g = np.tanh(x_g + h @ U_g)
    c_new = f * c + i * g
    shown = np.tanh(c_new)
    c_by_h = (c * f * (1 - f))[:, None] * U_f.T + (g * i * (1 - i))[:, None] * U_i.T + (i * (1 - g**2))[:, None] * U_g.T
    reads = (o * (1 - shown**2))[:, None]
    h_by_h = (shown * o * (1 - o))[:, None] * U_o.T + reads * c_by_h
    jacobian = np.block([[h_by_h, reads * np.diag(f)], [c_by_h, np.diag(f)]])
    return Step(np.concatenate([o * shown, c_new]), jacobian, f)


STEPS = PerCell("step and Jacobian in tests/flow_reference.py", rnn=rnn, gru=gru, lstm=lstm)
PARTS = PerCell("carry parts in tests/flow_reference.py", rnn=("h",), gru=("h",), lstm=("h", "c"))


def path(name, params, xs, carry=None, mask=None, reset=None):
    """The states, Jacobians and carrying gates of one row `xs [T, D]`, from the carry parts `[H]` each or zeros."""
    S = len(_wide(params.recurrent["w"])) * len(PARTS[name])
    states = [np.zeros(S) if carry is None else np.concatenate([_wide(part) for part in carry])]
    jacobians, keep = [], []
    for t, x in enumerate(_wide(xs)):
        masked, fresh = mask is not None and not mask[t], reset is not None and reset[t]
        step = STEPS[name](params, np.zeros_like(x) if masked else x, np.zeros(S) if fresh else states[-1])
        states.append(states[-1] if masked else step.state)
        jacobians.append(np.eye(S) if masked else np.zeros((S, S)) if fresh else step.jacobian)
        keep.append(step.keep)
    return Path(np.array(states), np.array(jacobians), np.array(keep))


class Adjoint(NamedTuple):
    """dL / dstate_t = vectors[t] * 2^exponents[t], for t = 0..T: `[T + 1, S]` and `T + 1` Python integers."""

    vectors: np.ndarray
    exponents: list


def adjoint(jacobians, final, direct=None):
    """Total derivatives of a loss in every state.

    Args:
        jacobians: [T, S, S].
        final: dL / dstate_T without what `direct` adds, [S].
        direct: what the outputs at step t add to dL / dstate_t, [T, S] for t = 1..T.
    """
    T, S, _ = jacobians.shape
    direct = np.zeros((T, S)) if direct is None else direct
    vectors, exponents = [], []
    vector, exponent = _scaled(final, 0)
    for t in range(T, -1, -1):
        if t < T:
            vector, exponent = _scaled(jacobians[t].T @ vector, exponent)
        if t > 0 and direct[t - 1].any():
            common = max(exponent, 0) if vector.any() else 0
            vector = np.ldexp(vector, max(exponent - common, -3000)) + np.ldexp(direct[t - 1], -common)
            vector, exponent = _scaled(vector, common)
        vectors.append(vector)
        exponents.append(exponent)
    return Adjoint(np.array(vectors[::-1]), exponents[::-1])


def log10_norms(found, parts):
    """log10 of the Euclidean norm, `[T + 1]` each, of every carry part by name and of the whole `state`."""
    exponents = np.array(found.exponents, np.float64) * np.log10(2)
    pieces = dict(zip(parts, np.split(found.vectors, len(parts), axis=1), strict=True), state=found.vectors)
    with np.errstate(divide="ignore"):
        return {name: np.log10(np.linalg.norm(piece, axis=1)) + exponents for name, piece in pieces.items()}


def lyapunov(jacobians, frame, burn_in=0):
    """Mean growth in nats per step of the columns of `frame [S, k]` under J_1, J_2, ... J_T, orthonormalised by QR."""
    growth = np.zeros(frame.shape[1])
    for t, jacobian in enumerate(jacobians):
        frame, R = np.linalg.qr(jacobian @ frame)
        growth += np.log(np.abs(np.diag(R))) * (t >= burn_in)
    return growth / (len(jacobians) - burn_in)


def product(jacobians):
    """J_T ... J_2 J_1: the first step stands on the right, for it acts first."""
    total = np.eye(jacobians.shape[1])
    for jacobian in jacobians:
        total = jacobian @ total
    return total


def differences(function, xs, step=1e-5):
    """d function / d xs by central differences, [T, D]."""
    found = np.zeros_like(xs)
    for place in np.ndindex(*xs.shape):
        up, down = xs.copy(), xs.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found


def orthogonal(rng, N):
    """A random orthogonal matrix `[N, N]`."""
    return np.linalg.qr(rng.normal(size=(N, N)))[0]


def _scaled(vector, exponent):
    power = np.frexp(np.abs(vector).max())[1]
    return np.ldexp(vector, -power), exponent + int(power)


def _wide(array):
    return np.asarray(array, np.float64)


def _blocks(array, H):
    return np.split(array, array.shape[-1] // H, axis=-1)


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))
