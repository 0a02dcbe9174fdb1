"""gr.flow.compare: what it refuses, before any work."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        ([], {}, r"`cells` must be .*at least one gatedrnn.Cell; got \[\]"),
        (["rnn"], {}, r"`cells` must be .*gatedrnn.Cell; got \['rnn'\]"),
        ("rnn", {}, "`cells` must be .*gatedrnn.Cell; got 'rnn'"),
        (None, {}, "`cells` must be .*gatedrnn.Cell; got None"),
        ([gr.gru, gr.gru], {}, r"`cells` must be .*different names; got \['gru', 'gru'\]"),
        ([gr.rnn], {"hidden_size": 0}, "`hidden_size` must be .*at least 1; got 0"),
        ([gr.rnn], {"hidden_size": 2.5}, "`hidden_size` must be a whole number .*; got 2.5"),
        ([gr.rnn], {"seeds": 0}, "`seeds` must be .*at least 1; got 0"),
        ([gr.rnn], {"seeds": True}, "`seeds` must be a whole number .*; got True"),
        ([gr.rnn], {"seeds": [1, 2]}, r"`seeds` must be a whole number .*; got \[1, 2\]"),
        (
            [gr.rnn],
            {"inits": ["chrono", "glorot"]},
            r"`inits` must be .*'default', 'chrono'.*; got \['chrono', 'glorot'\]",
        ),
        ([gr.rnn], {"inits": []}, r"`inits` must be .*'default', 'chrono'.*; got \[\]"),
        ([gr.rnn], {"inits": "default"}, "`inits` must be a list .*; got 'default'"),
        ([gr.rnn], {"dtype": jnp.int32, "hidden_size": 2}, "`dtype` must be .*floating.*; got int32"),
        ([gr.rnn], {"dtype": "float7"}, "`dtype` must be .*floating.*; got 'float7'"),
        ([gr.rnn], {"dtype": None}, "`dtype` must be .*floating.*; got None"),
        ([gr.rnn], {"inits": ["chrono"]}, r"`inits` must be .*`horizon_option`; got \['chrono'\] for \['rnn'\]"),
    ],
)
def test_errors_of_the_options(cells, options, message, driven):
    """One sentence that names the argument, what was expected and what came."""
    with pytest.raises(ValueError, match=f"^{message}"):
        gr.flow.compare(cells, driven, **options)


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        (np.ones((5, 2), np.int32), "floating dtype; got int32"),
        (np.ones((5, 2), bool), "floating dtype; got bool"),
        (np.ones((5, 2), np.complex64), "floating dtype; got complex64"),
        ({"a": np.ones((5, 2)), "b": np.ones((6, 2))}, r"one shape; got \[\(5, 1, 2\), \(6, 1, 2\)\]"),
        ({}, "one shape; got none"),
    ],
)
def test_errors_of_the_input(xs, message):
    """Integers, and inputs of several shapes or of none."""
    with pytest.raises(ValueError, match=f"^`xs` must be .*{message}"):
        gr.flow.compare([gr.rnn], xs)


def test_errors_of_the_numbers(driven):
    """NaN and infinities, with their place."""
    with pytest.raises(ValueError, match=r"^`xs` must be finite.*; got nan at \(3, 1, 2\) of the input 'driven'"):
        gr.flow.compare([gr.rnn], driven.at[3, 1, 2].set(jnp.nan))
    with pytest.raises(ValueError, match=r"^`xs` must be finite.*; got inf at \(3, 1, 2\) of the input 'x'"):
        gr.flow.compare([gr.rnn], {"x": driven.at[3, 1, 2].set(jnp.inf)})
    with pytest.raises(ValueError, match=r"^`xs` must be finite.*; got -inf at \(4, 1\) of the input 'x'"):
        gr.flow.compare([gr.rnn], {"x": driven[:, 0].at[4, 1].set(-jnp.inf)})


@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 3, 4), (0, 2, 3), (5, 0, 3), (5, 2, 0), (0, 3)])
def test_errors_of_the_shape(shape):
    """Another rank, or nothing along an axis."""
    got = re.escape(f"; got {shape}")
    with pytest.raises(ValueError, match=rf"^`xs` must be \[T, B, D\] or \[T, D\] .*at least one .*{got}"):
        gr.flow.compare([gr.rnn], jnp.ones(shape))


def test_too_much_memory_is_refused_before_it_is_taken():
    """The sizes, the need and what the machine has, in one sentence."""
    with pytest.raises(ValueError, match="must fit in memory") as caught:
        gr.flow.compare([gr.lstm], jnp.zeros((10, 2, 3)), hidden_size=1_000_000)
    sizes = "10 steps, batch 2, 3 features and 1000000 hidden units"
    assert re.search(rf"got {sizes}, about \d+(\.\d)? TB, on a device with .*B\.$", str(caught.value))
    with pytest.raises(ValueError, match="must fit in memory"):
        gr.flow.compare([gr.lstm], jnp.zeros((10, 2, 3)), hidden_size=10**400)
