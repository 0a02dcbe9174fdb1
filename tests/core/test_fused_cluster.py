"""Fused on Hopper, U shared out over a cluster of blocks: the kernel in a simulation equals scans, and has no race."""

import inspect
from dataclasses import dataclass

import jax
import pytest
from kernel_problems import problem
from simulated_hopper import Hopper
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.methods.kernels import _block, _cluster, _mosaic
from gatedrnn.methods.kernels._budget import Tiles
from gatedrnn.methods.kernels._loops import Kernels, _backward, _forward, _plain_backward, _plain_forward
from gatedrnn.methods.kernels._mosaic import Mosaic


@dataclass(frozen=True)
class Cut(Mosaic):
    """Cut as it is said, whatever fits."""

    cut: Tiles = Tiles(8, 64, 1)

    def tiles(self, load, steps, batch, units):
        return self.cut._replace(chunk=steps)


@pytest.fixture
def simulated(monkeypatch):
    """(seed, kernels, function, *given) -> what the function of `_loops` gives with the kernels simulated."""

    def run(seed, cut, function, *given):
        hopper = Hopper(seed)
        with monkeypatch.context() as patch, jax.disable_jit():
            for module in (_mosaic, _block, _cluster):
                patch.setattr(module, "pallas", lambda _="": (hopper.pl, hopper))
            patch.setattr(jax.lax, "axis_index", hopper.axis_index)
            return function(Kernels(Cut("9.0", cut), False), *given)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "sizes", "dtype", "reverse", "cut"),
    [
        (gr.gru, (4, 2, 200), "float32", False, Tiles(8, 256, 0, 2, False)),
        (gr.gru, (3, 9, 200), "float32", True, Tiles(8, 256, 0, 2, True)),
        (gr.lstm, (1, 2, 250), "bfloat16", False, Tiles(8, 256, 0, 4, False)),
    ],
    ids=["one by one", "gates together", "one step"],
)
def test_simulated(cell, sizes, dtype, reverse, cut, simulated):
    """Both loops are those by scans: several groups per block or one, two tiles, an odd number of steps or one."""
    forward, backward = problem(cell, sizes, dtype, reverse)
    expected = ((_forward, forward, _plain_forward(*forward)), (_backward, backward, _plain_backward(*backward)))
    for seed in range(2):
        for function, given, want in expected:
            assert_close(simulated(seed, cut, function, *given), want, dtype, sizes[2])


BROKEN = {
    "no wait": ("self.gpu.barrier_wait(barrier)", "pass"),
    "no fence": ("self.gpu.commit_smem()", "pass"),
    "one place": ("lax.rem(number, np.int32(2))", "lax.rem(number, np.int32(1))"),
    "one barrier": ("self.shared.barriers[turn]", "self.shared.barriers[0]"),
    "the other place": ("self.mine(np.int32(turn), place)", "self.mine(np.int32(1 - turn), place)"),
    "one number for all gates": ("first + np.int32(gate)", "first"),
    "a block left out": ("range(1, blocks)", "range(1, blocks - 1)"),
    "no arrival of its own": ("self.gpu.barrier_arrive(barrier)", "pass"),
    "one arrival too few": ("groups * (1 +", "-1 + groups * (1 +"),
}


@pytest.fixture
def rewritten(simulated, monkeypatch):
    """(a piece of the module, what replaces it) -> runs in ten orders of events: a scan's values, or it fails."""

    def run(right, wrong):
        source, space = inspect.getsource(_cluster), dict(vars(_cluster))
        assert source.count(right) == 1
        exec(compile(source.replace(right, wrong), "rewritten", "exec"), space)
        for each in ("ClusterProducts", "cluster_barriers"):
            monkeypatch.setattr(_mosaic, each, space[each])
        _, given = problem(gr.gru, (4, 2, 200), "float32", False)
        want = _plain_backward(*given)
        for seed in range(10):
            assert_close(simulated(seed, Tiles(8, 256, 0, 2, False), _backward, *given), want, "float32", 200)

    return run


def test_what_is_right_passes(rewritten):
    """As it is, in other orders of events."""
    rewritten("class ClusterProducts", "class ClusterProducts")


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name, rewritten):
    """Each barrier, fence and place is needed: without it some order of events fails or changes the values."""
    with pytest.raises(AssertionError):
        rewritten(*BROKEN[name])
