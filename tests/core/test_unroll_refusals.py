"""unroll: wrong arguments are named in one sentence."""

import jax.numpy as jnp
import pytest
from core_problems import FOREIGN, B, D, H, T

import gatedrnn as gr

BAD = {
    "xs width": (
        {"xs": (T, B, D + 1)},
        r"`xs` must be \[T, B, D\].* with D = 3 to match `params.input`; got \(11, 3, 4\)",
    ),
    "xs rank 1": ({"xs": (D,)}, r"`xs` must be \[T, B, D\].*; got \(3,\)"),
    "xs rank 4": ({"xs": (1, T, B, D)}, r"`xs` must be \[T, B, D\].*; got \(1, 11, 3, 3\)"),
    "xs integers": ({"xs": jnp.zeros((T, B, D), int)}, r"`xs` must be .*floating.*; got int32"),
    "mask shape": ({"mask": jnp.ones((B, T), bool)}, r"`mask` must be .*\(11, 3\).*; got .*\(3, 11\)"),
    "mask unbatched": ({"mask": jnp.ones(T, bool)}, r"`mask` must be .*\(11, 3\).*; got .*\(11,\)"),
    "mask numbers": ({"mask": (T, B)}, r"`mask` must be .*bool.*; got float32"),
    "reset shape": ({"reset": jnp.ones((T, B, 1), bool)}, r"`reset` must be .*\(11, 3\).*; got .*\(11, 3, 1\)"),
    "reset integers": ({"reset": jnp.ones((T, B), int)}, r"`reset` must be .*bool.*; got int32"),
    "carry rows": ({"carry": gr.GRUState(jnp.zeros((B + 1, H)))}, r"`carry` must be .*\(3, 4\).*; got .*\(4, 4\)"),
    "carry unbatched": ({"carry": gr.GRUState(jnp.zeros(H))}, r"`carry` must be .*\(3, 4\).*; got .*\(4,\)"),
    "carry type": ({"carry": gr.RNNState(jnp.zeros((B, H)))}, r"`carry` must be .*GRUState.*; got RNNState"),
    "carry bare": ({"carry": (B, H)}, r"`carry` must be .*GRUState"),
    "method name": ({"method": "segmented"}, r"`method` must be .*Segmented\(\).*; got 'segmented'"),
    "cell name": ({"cell": "gru"}, r"`cell` must be .*; got 'gru'"),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD)
def test_bad_arguments(wrong, message, problem):
    """A ValueError that names the argument, what was expected and what came."""
    params, xs, _, _, _ = problem(gr.gru)
    wrong = {name: jnp.zeros(value) if type(value) is tuple else value for name, value in wrong.items()}
    with pytest.raises(ValueError, match=message):
        gr.unroll(**{"cell": gr.gru, "params": params, "xs": xs} | wrong)


def test_bad_methods(problem):
    """A segment has at least one step, and a cell with a step alone has no segments."""
    for length in (0, -1, 2.5):
        with pytest.raises(ValueError, match=f"`length` must be .*; got {length}"):
            gr.Segmented(length=length)
    params, xs, _, _, _ = problem(FOREIGN)
    with pytest.raises(ValueError, match="`method` must be .*Autodiff"):
        gr.unroll(FOREIGN, params, xs, method=gr.Segmented())
