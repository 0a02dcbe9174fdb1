"""U of a cell: read off `recur` where h meets one matrix alone, else made of products; and where segments start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn._segments import first_of_segments
from gatedrnn.linear import product, split

H = 5

RECURS = {  # of cells that are the LSTM otherwise, and U for its weights w [H, 4 H]
    "as it is": (lambda p, h: split(product(h, p["w"]), 4), lambda w: w),
    "a bias": (lambda p, h: split(product(h, p["w"]) + jnp.ones(4 * H), 4), lambda w: w),
    "gates in another order": (
        lambda p, h: split(product(h, p["w"]), 4)[::-1],
        lambda w: np.hstack(np.split(w, 4, 1)[::-1]),
    ),
    "twice h": (lambda p, h: split(product(2 * h, p["w"]), 4), lambda w: 2 * w),
    "twice the product": (lambda p, h: split(2 * product(h, p["w"]), 4), lambda w: 2 * w),
    "a matrix on the left": (lambda p, h: split(p["w"].T @ h, 4), lambda w: w),
    "two matrices": (lambda p, h: split(product(product(h, p["w"]), p["w"].T @ p["w"]), 4), lambda w: w @ w.T @ w),
    "h twice": (lambda p, h: split(product(h, p["w"]) + jnp.tile(h, 4), 4), lambda w: w + np.tile(np.eye(H), 4)),
}


@pytest.mark.parametrize("name", RECURS)
def test_the_matrix_is_that_of_recur(name):
    """One block per gate, and all transposed in one array, whatever `recur` is written with."""
    recur, matrix = RECURS[name]
    cell = gr.Cell(
        "other", gr.lstm.gates, gr.lstm.init, gr.lstm.initial_carry, gr.lstm.project, recur, gr.lstm.pointwise
    )
    params = cell.init(jax.random.key(0), 3, H)
    w = np.asarray(params.recurrent["w"], np.float64)
    want = np.split(matrix(w), 4, axis=1)
    found = gr.recurrence(cell, params, jnp.zeros(H))
    np.testing.assert_allclose(np.stack(found.u), np.stack(want), atol=1e-5)
    np.testing.assert_allclose(found.laid_out, np.concatenate(want, axis=1).T, atol=1e-5)


@pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)
def test_no_product_is_taken_to_find_it(cell):
    params = cell.init(jax.random.key(0), 3, H)
    program = jax.make_jaxpr(lambda params: gr.recurrence(cell, params, jnp.zeros(H)).laid_out)(params)
    assert "dot_general" not in str(program)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("steps", "length"), [(6, 2), (7, 3), (2, 3), (3, 3), (1, 1), (0, 1)])
def test_what_stood_before_each_segment(steps, length, reverse):
    """Against a walk over the steps: whole segments from the first step on, then what is left."""
    after, start = np.arange(1.0, steps + 1), np.float32(-1)
    whole = steps - steps % length
    before = (lambda at: start if at + length >= steps else after[at + length]) if reverse else None
    before = before or (lambda at: after[at - 1] if at else start)
    got = first_of_segments(jnp.asarray(start), jnp.asarray(after, "float32"), length, reverse)
    np.testing.assert_array_equal(got[0], [before(at) for at in range(0, whole, length)])
    if whole < steps:
        np.testing.assert_array_equal(got[1], before(whole))
