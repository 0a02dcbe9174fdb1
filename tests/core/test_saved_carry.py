"""`Segmented` beyond a CPU keeps the whole carry for the gradient: the same function, with a loop less."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import pytest
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn._sequence import check_sequence
from gatedrnn.methods import auto, segmented
from gatedrnn.methods._loops import Scans


@jax.tree_util.register_static
@dataclass(frozen=True)
class By:
    """Segments of five steps, by given loops."""

    loops: Scans

    def __call__(self, cell, params, sequence, outputs):
        end, hs = segmented.in_scans(self.loops, 5, None, cell, params, sequence)
        return end, outputs.of(sequence, hs)


def gradient(cell, params, xs, method, **how):
    def loss(params, xs):
        end, ys = gr.unroll(cell, params, xs, method=method, **how)
        return jnp.sum(jnp.sin(ys)) + sum(jnp.sum(jnp.cos(part)) for part in end)

    return jax.grad(loss, (0, 1)), (params, xs)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "reverse"), [(gr.lstm, False), (gr.slstm, True), (gr.gru, False)])
def test_it_is_one_function(cell, reverse):
    """With flags: gradients of what is saved are those of a plain scan, and of fewer loops where there is a memory."""
    keys = jax.random.split(jax.random.key(0), 4)
    params, xs = cell.init(keys[0], 3, 4), jax.random.normal(keys[1], (13, 2, 3))
    flags = {"mask": jax.random.bernoulli(keys[2], 0.8, (13, 2)), "reset": jax.random.bernoulli(keys[3], 0.2, (13, 2))}
    found, loops = {}, {}
    for name, method in (("plain", gr.Autodiff()), ("saved", By(Scans(saves=True))), ("again", By(Scans()))):
        run, given = gradient(cell, params, xs, method, reverse=reverse, **flags)
        found[name], loops[name] = run(*given), str(jax.make_jaxpr(run)(*given)).count(" scan[")
    assert_close(found["saved"], found["plain"], "float32", 60 * 13)
    assert (loops["saved"] < loops["again"]) == (len(cell.initial_carry(params)) > 1)


def test_where_it_is_saved(monkeypatch):
    """Beyond CPUs, by default too."""
    assert not segmented.scans().saves
    for backend in ("gpu", "tpu"):
        monkeypatch.setattr(segmented, "platform", lambda backend=backend: backend)
        assert segmented.scans().saves and not segmented.scans(fits=False).saves


@pytest.mark.parametrize(("cell", "beside"), [(gr.lstm, 1), (gr.gru, 0)], ids=["lstm", "gru"])
def test_auto_saves_what_the_device_has_room_for(cell, beside, monkeypatch):
    """A quarter of its memory; what the carry has beside h is of float32, T B H = 6,400 numbers."""
    params, xs = cell.init(jax.random.key(0), 3, 32), jnp.ones((100, 2, 3))
    taken = 4 * 6_400
    for name in ("auto", "segmented"):
        monkeypatch.setattr(f"gatedrnn.methods.{name}.platform", lambda: "gpu")
    for memory in (4 * taken, 4 * taken - 1):
        monkeypatch.setattr("gatedrnn.methods.auto.device_bytes", lambda memory=memory: memory)
        told = gr.explain(cell, params, xs)[0]
        assert (told.forward, told.gradient) == ("segments", "segments")
        assert ("to save it takes 25.6 kB of the device's 102 kB" in told.why) == (memory < 4 * taken and beside > 0)
        chosen = auto._chosen(cell, check_sequence(cell, params, xs, None))
        assert chosen.loops.saves == (memory == 4 * taken or beside == 0)
