"""Weights that are not the cell's are refused in one sentence, whatever runs them."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from stranger_cells import PEEPHOLE

import gatedrnn as gr

D, H, T, B = 3, 4, 6, 2


def weights(cell, **sizes):
    """Of a cell of the house, D = 3 and H = 4 unless said otherwise."""
    return cell.init(jax.random.key(0), sizes.get("D", D), sizes.get("H", H))


def with_bias(params, bias):
    """Other biases."""
    return params._replace(input={**params.input, "b": bias})


def with_unit(params, unit):
    """Other weights per unit."""
    return params._replace(unit=unit)


NOTHING = gr.Params({"w": jnp.ones((D, 0)), "b": jnp.ones(0)}, {"w": jnp.ones((0, 0))})
SHORT = with_unit(PEEPHOLE.init(jax.random.key(0), D, H), {name: jnp.ones(2) for name in "ifo"})
FEWER = dataclasses.replace(gr.gru, recur=lambda w, h: gr.gru.recur(w, h)[:2])
MORE = dataclasses.replace(gr.rnn, recur=lambda w, h: 2 * gr.rnn.recur(w, h))
MISFITS = {
    "a gate too few": (FEWER, weights(gr.gru), "`project` gives 3 gates and `recur` 2"),
    "a gate too many": (MORE, weights(gr.rnn), "`project` gives 1 gates and `recur` 2"),
    "gru in lstm": (gr.lstm, weights(gr.gru), r"recurrent.w float32\[4, 16\]; got .*recurrent.w float32\[4, 12\]"),
    "lstm in gru": (gr.gru, weights(gr.lstm), r"input.b float32\[12\].*; got input.b float32\[16\]"),
    "lstm in rnn": (gr.rnn, weights(gr.lstm), r"recurrent.w float32\[4, 4\]; got .*recurrent.w float32\[4, 16\]"),
    "rnn in lstm": (gr.lstm, weights(gr.rnn), r"recurrent.w float32\[4, 16\]; got .*recurrent.w float32\[4, 4\]"),
    "a bias of size 1": (gr.lstm, with_bias(weights(gr.lstm), jnp.ones(1)), r"input.b float32\[16\].*float32\[1\]"),
    "a bias of a matrix": (gr.rnn, with_bias(weights(gr.rnn), jnp.ones((1, 4))), r"float32\[4\].*float32\[1, 4\]"),
    "a dict": (gr.lstm, weights(gr.lstm)._asdict(), "gatedrnn.Params, the weights of the cell 'lstm'; got a dict"),
    "a pair": (gr.lstm, tuple(weights(gr.lstm))[:2], "gatedrnn.Params, .*; got a tuple"),
    "a number": (gr.rnn, with_bias(weights(gr.rnn), 1.0), r"`params.input\['b'\]` must be an array; got a float"),
    "no units": (gr.rnn, NOTHING, "at least one hidden unit"),
    "no weights": (gr.gru, weights(gr.gru)._replace(recurrent={}), "recurrent.b .*recurrent.w .*; got input.b"),
    "peepholes of another size": (PEEPHOLE, SHORT, r"unit.f float32\[4\].*unit.f float32\[2\]"),
    "peepholes of a cell without": (gr.lstm, with_unit(weights(gr.lstm), jnp.ones(H)), "`step` stops at TypeError"),
}  # fmt: skip


@pytest.mark.parametrize(("cell", "params", "message"), MISFITS.values(), ids=MISFITS)
@pytest.mark.parametrize("method", [gr.Segmented(), gr.Autodiff()], ids=["segmented", "autodiff"])
def test_weights_that_are_not_the_cells(cell, params, message, method):
    """One sentence that names `params`, what was expected and what came; so do the analyses."""
    for use in (lambda *given: gr.unroll(*given, method=method), gr.flow.adjoint, gr.gate_activations):
        with pytest.raises(ValueError, match=message) as caught:
            use(cell, params, jnp.ones((T, B, D)))
        assert str(caught.value).startswith("`params")
        assert "\n" not in str(caught.value)
