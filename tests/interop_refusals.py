"""What the conversions to and from torch and ONNX refuse in the same words."""

import pytest

import gatedrnn as gr


def check_inputs_refused(verify, xs):
    """`verify(xs)` runs over a batch [T, B, D] of the weights' width, as `xs [7, 2, 3]` is, and over nothing else."""
    with pytest.raises(ValueError, match=r"^`xs` must be \[T, B, D\]; got \(7, 3\)\.$"):
        verify(xs[:, 0])
    with pytest.raises(ValueError, match=r"^`xs` must be .* with D = 3 .*; got \(7, 2, 2\)\."):
        verify(xs[..., :2])


def check_narrowing_refused(convert, model):
    """The float64 weights of a model are not rounded in silence."""
    with pytest.raises(ValueError, match=r"^`weights` must be float32, or jax_enable_x64 set; got float64\.$"):
        convert(model)


def check_foreign_refused(convert, params):
    """`convert(cell, params)` takes our three cells, each with its own weights; these are an LSTM's, D = 3, H = 5."""
    foreign = gr.Cell.from_step("foreign", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)
    with pytest.raises(ValueError, match=r"^`cell` must be one of gatedrnn.rnn, gatedrnn.gru, .*; got 'foreign'\.$"):
        convert(foreign, params)
    with pytest.raises(ValueError, match=r"^`params` must be the weights of gatedrnn.gru, .*; got "):
        convert(gr.gru, params)
    with pytest.raises(ValueError, match=r"^`weights` must be of the shapes \[\(3, 5\), \(5, 5\), .*; got "):
        convert(gr.rnn, params)
