"""Laws of methods: a stranger's loop keeps them, as those of the house do; a broken one is said by its name."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stranger_cells import HEADS, PEEPHOLE

import gatedrnn as gr


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Loop:
    """A plain loop over the steps, unrolled by Python."""

    def __call__(self, cell, params, sequence, outputs):
        """Step by step, in the sequence's direction."""
        step = gr.guarded_step(cell, params, sequence.initial)
        times = range(sequence.xs.shape[0])
        carry, ys = sequence.carry, {}
        for t in reversed(times) if sequence.reverse else times:
            flags = (None if flag is None else flag[t] for flag in (sequence.mask, sequence.reset))
            carry, ys[t] = step(carry, (sequence.xs[t], *flags))
        if not ys:
            return carry, outputs.of(sequence, jnp.zeros((0, *carry.h.shape)))
        return carry, outputs.of(sequence, jnp.stack([ys[t] for t in times]))


METHOD_LAWS = ("values", "gradients", "last", "readout", "mask", "reset", "direction", "empty")
METHODS = {
    "loop": Loop(),
    "loop in checkpoints": gr.Checkpointed(3, Loop()),
    "segmented": gr.Segmented(),
    "segments of 2": gr.Segmented(2),
    "checkpointed": gr.Checkpointed(2),
    "nested": gr.Checkpointed(4, gr.Checkpointed(2, gr.Autodiff())),
    "sharded": gr.Sharded(jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",)), method=Loop()),
    "a window over all": gr.Truncated(100),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_keeps_the_laws(method):
    """Also on strangers' cells."""
    assert gr.check_method(method, cells=[gr.lstm, PEEPHOLE, HEADS]) == METHOD_LAWS


@dataclasses.dataclass(frozen=True)
class Lazy(Loop):
    """Breaks laws: ignores the direction, and reads masked steps."""

    def __call__(self, cell, params, sequence, outputs):
        """The loop over a sequence without flags."""
        plain = dataclasses.replace(sequence, mask=None, reverse=False)
        return super().__call__(cell, params, plain, outputs)


jax.tree_util.register_static(Lazy)


@pytest.mark.slow
def test_check_method_says_which_law_fails():
    """A method that forgets flags and direction; one whose gradients are others; one that is none."""
    with pytest.raises(ValueError, match="values: .*; mask: .*; direction: "):
        gr.check_method(Lazy())
    with pytest.raises(ValueError, match=r"Truncated\(window=2.* breaks 1 of them: gradients: "):
        gr.check_method(gr.Truncated(2))
    for wrong in ("segmented", gr.Segmented, {}):
        with pytest.raises(ValueError, match="`method` must be "):
            gr.check_method(wrong)
