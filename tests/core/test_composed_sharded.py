"""Sharded over any mesh equals the whole batch."""

import jax
import pytest
from core_problems import FOREIGN, LENGTH, B, H, T
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
each_outputs = pytest.mark.parametrize("outputs", ["all", "last", "readout"])


@pytest.fixture
def check(problem_with_readout, asked, pulled_back, meshes):
    """(cell, outputs, reverse, kept, rows) -> values and gradients are Autodiff's on the whole batch.

    With the flags that are kept, and so many `rows` on each device.
    """

    def equal(cell, outputs, reverse, kept, rows):
        (params, xs, carry, flags, _), weights, targets = problem_with_readout(cell, B=2 * rows)
        flags = {name: flags[name] for name in kept}
        inner = gr.Segmented() if cell.factored else gr.Autodiff()
        run = lambda method: asked(cell, method, outputs, flags, reverse, targets)
        got = pulled_back(run(gr.Sharded(meshes()["plain"][0], method=inner)), params, xs, carry, weights)
        assert_close(got, pulled_back(run(gr.Autodiff()), params, xs, carry, weights), "float32", LENGTH)

    return equal


@pytest.mark.thinned(5)
@pytest.mark.sampled
@pytest.mark.parametrize("cell", [*gr.cells.CLASSICS.values(), FOREIGN], ids=[*gr.cells.CLASSICS, "foreign"])
@each_outputs
@both_ways
def test_sharded_equals_the_whole_batch(cell, outputs, reverse, check):
    """With both flags; each weight's gradient is summed over the shards."""
    check(cell, outputs, reverse, ("mask", "reset"), 2)


@each_cell
@pytest.mark.parametrize("kept", [(), ("mask",), ("reset",)], ids=["plain", "mask", "reset"])
def test_sharded_one_row_each(cell, kept, check):
    """With one flag or none, a single sequence on each device."""
    check(cell, "all", False, kept, 1)


@pytest.mark.parametrize("kind", ["plain", "explicit", "named axis", "both axes"])
def test_sharded_over_any_mesh(kind, meshes, spied, problem, pulled_back):
    """Two rows on each of two devices: every product has two rows, and values and gradients are Segmented's."""
    mesh, axes = meshes()[kind]
    spy, shapes = spied(gr.gru)
    params, xs, carry, flags, _ = problem(gr.gru, B=4)
    run = lambda cell, method: pulled_back(
        lambda *given: gr.unroll(cell, *given, **flags, method=method), params, xs, carry
    )
    got = run(spy, gr.Sharded(mesh, axes, gr.Segmented(4)))
    assert set(shapes) == {(2, H), (H,), (8, H), (T % 4 * 2, H)}
    assert_close(got, run(gr.gru, gr.Segmented()), "float32", LENGTH)
    _, ys = gr.unroll(gr.gru, params, xs, carry, method=gr.Sharded(mesh, axes))
    assert ys.devices() == set(jax.devices()) and len(jax.devices()) == 2
    assert {shard.data.shape for shard in ys.addressable_shards} == {(T, 2, H)}


def test_sharded_over_one_shard(meshes, spied, problem):
    """An axis of one device leaves the batch whole, an odd one as well."""
    mesh, _ = meshes()["named axis"]
    spy, shapes = spied(gr.gru)
    params, xs, carry, flags, _ = problem(gr.gru)
    got = gr.unroll(spy, params, xs, carry, **flags, method=gr.Sharded(mesh, ("model",), gr.Autodiff()))
    assert set(shapes) == {(B, H)}
    assert_close(got, gr.unroll(gr.gru, params, xs, carry, **flags), "float32", LENGTH)


def test_devices_are_found(spied, problem):
    """Without a mesh as many as divide the batch evenly; where one is set, that one."""
    for batch, devices in ((4, 2), (3, 1), (2, 2)):
        spy, shapes = spied(gr.gru)
        params, xs, carry, flags, _ = problem(gr.gru, B=batch)
        got = gr.unroll(spy, params, xs, carry, **flags, method=gr.Sharded(method=gr.Autodiff()))
        assert set(shapes) == {(batch // devices, H)}
        assert len(got[1].devices()) == devices
        assert_close(got, gr.unroll(gr.gru, params, xs, carry, **flags), "float32", LENGTH)
    spy, shapes = spied(gr.gru)
    params, xs, carry, flags, _ = problem(gr.gru, B=4)
    with jax.set_mesh(jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))):
        jax.jit(lambda xs: gr.unroll(spy, params, xs, method=gr.Sharded(method=gr.Autodiff())))(xs)
        gr.unroll(spy, params, xs, method=gr.Sharded(method=gr.Autodiff()))
    assert set(shapes) == {(4, H)}
    with pytest.raises(ValueError, match=r"`axes` must be None where no `mesh` is given; got \('batch',\)"):
        gr.Sharded(axes=("batch",))


def test_bad_meshes(meshes, problem):
    """No mesh, an axis that it does not have, and a batch that it does not divide."""
    with pytest.raises(ValueError, match="`mesh` must be None or a jax.sharding.Mesh; got .*CpuDevice"):
        gr.Sharded(jax.devices())
    mesh, _ = meshes()["named axis"]
    with pytest.raises(ValueError, match=r"`axes` must be .*\('model', 'batch'\); got \('rows',\)"):
        gr.Sharded(mesh, ("rows",))
    params, xs, _, _, _ = problem(gr.gru)
    for method in (gr.Sharded(mesh), gr.Sharded(mesh, ("batch",))):
        with pytest.raises(ValueError, match="`xs` must be .* 2 shards divide evenly; got B = 3"):
            gr.unroll(gr.gru, params, xs, method=method)
