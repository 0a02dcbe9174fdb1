"""`models.question`: the answer, its gradient and the loss against plain arithmetic; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr


@pytest.fixture(scope="module")
def models():
    """One of five symbols, one of two columns of which one value is predicted."""
    text = gr.models.Model(gr.rnn, 5, 3, 5, embedding_size=2)
    series = gr.models.Model(gr.rnn, 2, 3, 1)
    return {name: (model, model.init(jax.random.key(0))) for name, model in (("text", text), ("series", series))}


def outputs(params, read):
    """The last outputs [T, B, H] of an Elman network in float64."""
    w, b, u = (np.float64(a) for a in (params.cell.input["w"], params.cell.input["b"], params.cell.recurrent["w"]))
    h, found = np.zeros((read.shape[1], len(u))), []
    for x in read:
        h = np.tanh(x @ w + b + h @ u)
        found.append(h)
    return np.array(found)


def test_symbols(models):
    model, params = models["text"]
    symbols = np.arange(14).reshape(7, 2) % 5
    found = gr.models.question(model, params, symbols[:-1], symbols[1:])
    table, w, b = np.float64(params.embedding), np.float64(params.readout["w"]), np.float64(params.readout["b"])
    read = table[symbols[:-1]]
    ys = outputs(params, read)
    shares = np.exp(ys @ w + b)
    shares /= shares.sum(-1, keepdims=True)
    losses = -np.log(np.take_along_axis(shares, symbols[1:, :, None], -1))[..., 0]
    np.testing.assert_allclose(found.answers, -losses[-1], rtol=1e-5)
    np.testing.assert_allclose([found.value, found.loss(jnp.asarray(ys, jnp.float32))], losses.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.dys[-1], (np.eye(5)[symbols[-1]] - shares[-1]) @ w.T, atol=1e-6)
    assert not found.dys[:-1].any()
    np.testing.assert_allclose(found.along, read - read.mean((0, 1)), atol=1e-6)


def test_values(models):
    model, params = models["series"]
    xs = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 2, 2)
    found = gr.models.question(model, params, xs, xs[..., :1])
    ys = outputs(params, np.float64(xs))
    values = ys @ np.float64(params.readout["w"]) + np.float64(params.readout["b"])
    np.testing.assert_allclose(found.answers, values[-1, :, 0], atol=1e-6)
    wanted = ((values - xs[..., :1]) ** 2).mean()
    np.testing.assert_allclose([found.value, found.loss(jnp.asarray(ys, jnp.float32))], wanted, rtol=1e-5)
    np.testing.assert_allclose(found.dys[-1], np.broadcast_to(params.readout["w"][:, 0], (2, 3)))
    assert found.along is None


SYMBOLS, VALUES = np.zeros((4, 2), int), np.zeros((4, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("kind", "xs", "targets", "output", "message"),
    [
        ("text", VALUES, SYMBOLS, 0, r"`xs` must be whole numbers \[T, B\], of at least one step and row; got float32"),
        ("text", SYMBOLS[:0], SYMBOLS[:0], 0, r"`xs` must be whole numbers \[T, B\], of at least one step and row"),
        ("series", VALUES[..., :1], VALUES[..., :1], 0, r"`xs` must be real numbers \[T, B, D\] with D = 2"),
        ("series", VALUES, VALUES, 0, r"`targets` must be whole numbers \[T, B\], or values \[T, B, O\] with O = 1"),
        ("text", SYMBOLS, SYMBOLS[1:], 0, "`targets` must be whole numbers"),
        ("series", VALUES, VALUES[..., :1], 1, "`output` must be a whole number from 0 to 0; got 1"),
    ],
)
def test_refusals(models, kind, xs, targets, output, message):
    with pytest.raises(ValueError, match=message):
        gr.models.question(*models[kind], xs, targets, output)
