"""What would not fit in memory is refused before it starts, with how much it would be."""

import jax
import jax.numpy as jnp
import pytest

import gatedrnn as gr
from gatedrnn._memory import beyond_memory, device_bytes, machine_bytes

T, B, H = 100, 2, 8
MEASURES = {
    "adjoint": (gr.flow.adjoint, {}, "xs", 12_800),  # T B 2 H floats of the trajectory
    "sensitivity": (gr.flow.sensitivity, {}, "xs", 16_000),  # and 2 T B D with D = 2
    "paths": (gr.flow.paths, {"units": [0, 1]}, "xs", 13_600),  # and 3 N B 2 H
    "coverage": (gr.flow.coverage, {"length": 50}, "length", 6_400),
    "lyapunov": (gr.flow.lyapunov, {"k": 4}, "k", 1_540),  # three frames B 2 H k
    "flossing": (gr.flow.flossing, {"k": 4}, "k", 1_540),
}


@pytest.mark.parametrize("name", MEASURES)
def test_too_much(name, monkeypatch):
    """One byte less than it needs; nothing has been computed by then."""
    measure, options, argument, need = MEASURES[name]
    params = gr.lstm.init(jax.random.key(0), 2, H)
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: 1_000)
    amount = f"{need / 1000:.3g} kB"
    with pytest.raises(ValueError, match=f"`{argument}` must be such that .* about {amount}, on a device with 1 kB"):
        measure(gr.lstm, params, jnp.zeros((T, B, 2)), **options)


def test_replay_and_the_gradient_of_flossing(monkeypatch):
    """Carries given, and a function that is being differentiated, which keeps frames of all steps of a block."""
    params = gr.lstm.init(jax.random.key(0), 2, H)
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: 60_000)
    xs = jnp.zeros((T, B, 2))
    gradient = jax.grad(lambda params: gr.flow.flossing(gr.lstm, params, xs, k=4))
    with pytest.raises(ValueError, match="about 70.7 kB"):  # 8 + 10 * 13 frames
        gradient(params)
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: 50_000)
    with pytest.raises(ValueError, match="about 51.2 kB"):
        gr.flow.replay(gr.lstm, params, xs, gr.LSTMState(*jnp.zeros((2, T, B, H))))


def test_the_memory_is_that_of_the_device(monkeypatch):
    """What it says that JAX may take of it; the machine's, where it says nothing."""

    class Card:
        def memory_stats(self):
            return {"bytes_limit": 2_000}

    assert device_bytes() == machine_bytes()
    with jax.default_device("cpu"):
        assert device_bytes() == machine_bytes()
    monkeypatch.setattr(jax, "local_devices", lambda **_: [Card()])
    assert device_bytes() == 2_000
    assert beyond_memory(2_000) == ""
    assert beyond_memory(2_001) == "about 2 kB, on a device with 2 kB"
