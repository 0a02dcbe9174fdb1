"""Streams served step by step equal the whole sequence, whoever begins anew, pauses or moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H = 7, 3, 2, 5
CELLS = (gr.lstm, gr.gru_before, gr.stack(gr.gru, gr.lstm, skip=True), gr.learned_carry(gr.rnn))


@pytest.fixture(params=CELLS, ids=lambda cell: cell.name.replace(" ", ""))
def served(request):
    """A cell, weights and a stream of it."""
    cell = request.param
    params = cell.init(jax.random.key(0), D, H)
    return cell, params, gr.Stream(cell, params, B)


XS = jax.random.normal(jax.random.key(1), (T, B, D))
RESET, ACTIVE = (np.random.default_rng(i).random((T, B)) < share for i, share in ((2, 0.3), (3, 0.7)))


def test_equals_the_whole(served):
    """With streams that begin anew and streams that pause; NumPy's arrays as well."""
    cell, params, stream = served
    ys = [stream(np.asarray(x), reset=r, active=a) for x, r, a in zip(XS, RESET, ACTIVE, strict=True)]
    flags = {"reset": jnp.asarray(RESET), "mask": jnp.asarray(ACTIVE)}
    carry, want = gr.unroll(cell, params, XS, method=gr.Autodiff(), **flags)
    assert_close(jnp.stack(ys), want, "float32", 40)
    assert_close(stream.carry, carry, "float32", 40)


def test_a_carry_is_kept_and_put_back(served):
    """What was taken out is not overwritten by later steps."""
    _, _, stream = served
    for x in XS[:3]:
        stream(x)
    kept = stream.carry
    first = [stream(x) for x in XS[3:]]
    stream.carry = kept
    assert_close([stream(x) for x in XS[3:]], first, "float32", 1)


def test_nothing_is_compiled_by_a_call(served, caplog):
    """It was, when the stream was made."""
    xs = np.asarray(XS)
    with jax.log_compiles():
        served[2](xs[0])
        served[2](xs[1], reset=RESET[1], active=ACTIVE[1])
        served[2](xs[2].astype(np.float64))
        assert not [record for record in caplog.records if "Compiling" in record.getMessage()]
        gr.Stream(*served[:2], B + 1)
        assert [record for record in caplog.records if "Compiling" in record.getMessage()]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s(XS[0, :2]), "`x` must be a floating array [B, D] = (3, 2)"),
        (lambda s: s(jnp.ones((B, D), int)), "`x` must be a floating array"),
        (lambda s: s(XS[0], reset=jnp.ones(B)), "`reset` must be a bool array [B] = (3,)"),
        (lambda s: s(XS[0], active=True), "`active` must be a bool array [B] = (3,)"),
        (lambda s: setattr(s, "carry", gr.GRUState(jnp.zeros((B, H)))), "`carry` must be a LSTMState"),
        (lambda s: gr.Stream(gr.bidirectional(gr.rnn), None), "run step by step"),
        (lambda s: gr.Stream(gr.lstm, gr.gru.init(jax.random.key(0), D, H)), "`params` must be weights of the cell"),
        (lambda s: gr.Stream(gr.lstm, gr.lstm.init(jax.random.key(0), D, H), 0), "`batch_size` must be"),
        (lambda s: gr.Stream(gr.lstm, gr.lstm.init(jax.random.key(0), D, H), input_size=3), "`input_size` must be 2"),
        (lambda s: gr.Stream("lstm", None), "`cell` must be a gatedrnn.Cell"),
    ],
)
def test_refusals(call, words):
    """In one sentence, after which the stream is as it was."""
    stream = gr.Stream(gr.lstm, gr.lstm.init(jax.random.key(0), D, H), B)
    stream(XS[0])
    before = stream.carry
    with pytest.raises(ValueError, match="must be") as caught:
        call(stream)
    assert words in str(caught.value)
    assert_close(stream.carry, before, "float32", 1)
