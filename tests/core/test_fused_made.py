"""What is made of Fused for devices that are not here: one kernel per segment, within memory; or a reason for none."""

import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

import gatedrnn as gr
from gatedrnn.methods.kernels._budget import (
    SHARED,
    VMEM,
    VMEM_SMALL,
    Load,
    Tiles,
    shared,
    shared_tiles,
    vmem,
    vmem_limit,
    vmem_tiles,
)
from gatedrnn.methods.kernels._choice import _backends
from gatedrnn.methods.kernels._mosaic import without_clusters

CALLS = {"tpu": ("@tpu_custom_call(",), "cuda": ("xla.gpu.triton(", "@mosaic_gpu_v2(")}
FITS = ("the kernels fit", "Triton's kernels fit; ")
each_platform = pytest.mark.parametrize("platform", CALLS)
pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated")  # from jax 0.12 on
LSTM = {"rows": 4, "held": 6, "streams": 6, "flags": 2}  # of the forward kernel with both flags


def why(method, cell, params, xs):
    """What is said of a cell."""
    return gr.explain(cell, params, xs, method=method)[0].why


def like(cell, T, B, H, dtype="float32", D=7):
    """Shapes of weights, inputs and flags."""
    options = {} if dtype == "float32" else {"dtype": dtype}
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), D, H, **options))
    flag = jax.ShapeDtypeStruct((T, B), bool)
    return params, jax.ShapeDtypeStruct((T, B, D), dtype), {"mask": flag, "reset": flag}


@pytest.fixture
def kernels(monkeypatch):
    """(cell, platform, length, T, B, H, dtype) -> how many kernels the lowered gradient, or the forward pass, calls."""
    if jax.__version_info__ >= (0, 11):  # lowering for Triton asks for a device
        device = jax.sharding.AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", num_cores=None, platform="gpu")
        around = lambda: jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device))
    else:
        around = lambda: jax.disable_jit(False)

    def count(cell, platform, length, T, B=3, H=5, dtype="float32", gradient=True):
        method = gr.Fused(length, platform=platform)

        def loss(params, xs, flags):
            end, ys = gr.unroll(cell, params, xs, **flags, method=method)
            return jnp.sin(ys).sum() + sum(map(jnp.sum, end))

        given = like(cell, T, B, H, dtype)
        with around():
            assert why(method, cell, *given[:2]).startswith(FITS)
            function = jax.grad(loss, argnums=(0, 1)) if gradient else loss
            text = jax.jit(function).trace(*given).lower(lowering_platforms=(platform,)).as_text()
        return sum(map(text.count, CALLS[platform]))

    return count


@each_platform
@pytest.mark.parametrize("cell", [gr.lstm, gr.indrnn], ids=["lstm", "indrnn"])
def test_one_kernel_per_segment_and_direction(cell, platform, kernels):
    """In the loop over segments, and once more for the steps that are left over; no scan of steps beside them."""
    assert kernels(cell, platform, 8, 16) == 2
    assert kernels(cell, platform, 8, 22, dtype="bfloat16", B=20, H=128) == 4
    assert kernels(cell, platform, 8, 16, gradient=False) == 1


@pytest.mark.slow
@each_platform
@pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.slstm, gr.relu_rnn], ids=["rnn", "gru", "slstm", "relu_rnn"])
def test_every_cell_is_lowered(cell, platform, kernels):
    """At a size that is no register's, and for a million steps as for a few."""
    assert kernels(cell, platform, 8, 22, B=1, H=17) == 4
    assert kernels(cell, platform, 250, 1_000_000, B=2, H=60) == 2


def test_bytes_on_a_tpu():
    """A product of U and numbers of four bytes, all but U there twice; a flag takes a row of registers."""
    load = Load(matrices=4, width=2, **LSTM)
    step = 16 * (6 * 128 + 2 * 128)
    assert vmem(load, Tiles(16, 128, 3)) == 4 * 128**2 * 2 + 2 * 4 * (4 * 8 * 128 + 6 * 16 * 128 + 3 * step)
    for batch, units, steps in ((1, 5, 1), (16, 128, 256), (64, 512, 256), (130, 768, 7), (5000, 1000, 256)):
        tiles = vmem_tiles(load, steps, batch, units)
        assert vmem(load, tiles) <= VMEM < vmem_limit(VMEM) and 1 <= tiles.chunk <= steps
        assert tiles.rows % 8 == 0 and tiles.lanes % 128 == 0 and tiles.lanes >= units
        assert -(-batch // tiles.rows) * tiles.rows - batch < 8 * -(-batch // tiles.rows)  # rows that fill up
    assert vmem_tiles(load._replace(width=4), 256, 16, 1300) is None
    assert vmem_tiles(load, 256, 16, 1300) is not None
    assert vmem_tiles(load, 256, 16, 1300, VMEM_SMALL) is None
    small = vmem_tiles(load, 256, 16, 900, VMEM_SMALL)
    assert vmem(load, small) <= VMEM_SMALL < vmem_limit(VMEM_SMALL) == 2**24


def test_the_tpu_at_hand(monkeypatch):
    """Up to v4 a TPU has 16 MiB of VMEM."""
    for kind, taken in (("TPU v2", VMEM_SMALL), ("TPU v4 lite", VMEM_SMALL), ("TPU v5 lite", VMEM), ("TPU7x", VMEM)):
        here = SimpleNamespace(platform="tpu", device_kind=kind)
        monkeypatch.setattr("gatedrnn.methods.kernels._choice.default_device", lambda here=here: here)
        (backend,) = _backends("tpu", False)
        assert backend.vmem == taken
        assert backend.memory()[1] == taken


def test_other_platforms_have_no_kernels(monkeypatch):
    """In one sentence; the interpreter runs anywhere."""
    params, xs, _ = like(gr.lstm, 4, 2, 5)
    monkeypatch.setattr("gatedrnn.methods.fused.platform", lambda: "METAL")
    assert why(gr.Fused(), gr.lstm, params, xs) == "there is no kernel for the platform 'METAL'"
    assert gr.explain(gr.lstm, params, xs, method=gr.Fused())[0].forward == "segments"
    assert why(gr.Fused(interpret=True), gr.lstm, params, xs) == "the kernels fit"


@each_platform
@pytest.mark.parametrize("cell", [gr.gru, gr.lstm], ids=["gru", "lstm"])
def test_where_numbers_are_of_64_bits_by_default(cell, platform, kernels):
    """JAX counts loops in int64 then; weights of float32 have the kernels that they have elsewhere."""
    params, xs, _ = like(cell, 16, 3, 5)
    want = why(gr.Fused(platform=platform), cell, params, xs)
    with jax.enable_x64(True):
        assert why(gr.Fused(platform=platform), cell, *like(cell, 17, 3, 5)[:2]) == want
        assert kernels(cell, platform, 8, 22) == 4


@each_platform
def test_segments_are_those_of_the_platform(platform):
    """Not of the device at hand."""
    params, xs, _ = like(gr.lstm, 10_000, 1, 16)
    assert gr.explain(gr.lstm, params, xs, method=gr.Fused(platform=platform))[0].length == 250


def test_bytes_on_a_gpu():
    """U in powers of two beside h on its way to a product."""
    load = Load(matrices=4, width=2, **LSTM)
    assert shared(load, Tiles(16, 128, 9)) == 4 * 128**2 * 2 + 2 * 16 * 128 * 4
    assert shared_tiles(load, 9, 100, SHARED["9.0"]) == Tiles(16, 128, 9)
    assert shared_tiles(load, 9, 129, SHARED["9.0"]) is None
    assert shared_tiles(load._replace(width=4), 9, 128, SHARED["9.0"]) is None
    assert shared_tiles(load._replace(width=4, matrices=3), 9, 128, SHARED["9.0"]) == Tiles(16, 128, 9)
    assert shared_tiles(load, 9, 128, SHARED["8.9"]) is None
    assert shared_tiles(load._replace(matrices=0), 9, 5000, SHARED["8.9"]) == Tiles(16, 8192, 9)


def test_too_large():
    """The reason has both numbers, and Segmented runs."""
    params, xs, _ = like(gr.lstm, 4, 2, 512)
    reason = why(gr.Fused(platform="cuda"), gr.lstm, params, xs)
    has = "as it is laid out, and the shared memory of a block has 232,448"
    takes = "U of 4 gates of H = 512 takes"
    assert reason.endswith(f"; for Triton, {takes} 4,194,304 bytes {has}")
    assert without_clusters() or reason.startswith(f"{takes} 524,288 bytes in each of 8 blocks {has};")
    assert why(gr.Fused(platform="tpu"), gr.lstm, params, xs) == "the kernels fit"
    params, xs, _ = like(gr.lstm, 4, 2, 2000)
    assert "as it is laid out, and the share of VMEM that" in why(gr.Fused(platform="tpu"), gr.lstm, params, xs)


def test_no_kernel():
    """Of other types, of a pointwise that no kernel knows, inside a shard_map that counts, for symbols."""
    reason = lambda cell, dtype="float32": why(gr.Fused(interpret=True), cell, *like(cell, 4, 2, 5, dtype)[:2])
    assert reason(gr.gru, "float16") == "kernels are for float32 and bfloat16 with carries of float32, not for float16"
    with pytest.raises(ValueError, match="the cell 'lem', which has `step` alone"):  # as `unroll`
        reason(gr.lem)
    shifted = jnp.arange(5.0)
    held = lambda x, h, carry: gr.RNNState(jnp.tanh(x[0] + h[0] + jnp.broadcast_to(shifted, carry.h.shape)))
    cell = gr.Cell("held", (), gr.rnn.init, gr.rnn.initial_carry, gr.rnn.project, gr.rnn.recur, held)
    assert reason(cell).startswith("no kernel can be made of the cell 'held': ")
    params, xs = gr.rnn.init(jax.random.key(0), 3, 5), jnp.ones((4, 2, 3))
    assert gr.unroll(cell, params, xs, method=gr.Fused(interpret=True))[1].shape == (4, 2, 5)
    found = []

    def look(xs):
        found.append(why(gr.Fused(interpret=True), gr.rnn, params, xs))
        return gr.unroll(gr.rnn, params, xs, method=gr.Fused(interpret=True))[1]

    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.PartitionSpec(None, "batch")
    jax.jit(jax.shard_map(look, mesh=mesh, in_specs=rows, out_specs=rows)).lower(xs)
    steps, batch = jax.export.symbolic_shape("T, B")
    jax.export.export(jax.jit(look))(jax.ShapeDtypeStruct((steps, batch, 3), jnp.float32))
    assert [reason[:27] for reason in found] == ["inside a `jax.shard_map` wi", "no kernel is made for a num"]


def test_bad_arguments():
    """Checked at the door, and a cell that has `step` alone."""
    for wrong in ({"length": 0}, {"clip": -1.0}, {"interpret": "yes"}, {"platform": "rocm"}, {"platform": "cpu"}):
        with pytest.raises(ValueError, match=f"^`{next(iter(wrong))}` must be "):
            gr.Fused(**wrong)
    params = gr.lem.init(jax.random.key(0), 3, 5)
    with pytest.raises(ValueError, match=r"^`method` must be Autodiff\(\) for the cell 'lem'.*got Fused\("):
        gr.unroll(gr.lem, params, jnp.ones((4, 2, 3)), method=gr.Fused())


def test_pallas_waits_until_it_is_asked_for():
    """Neither the package nor the method on a CPU loads it."""
    program = "import sys, gatedrnn as gr; gr.Fused(); gr.unroll; print('jax.experimental.pallas' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_explained():
    """Cell by cell, where a kernel runs, and why not elsewhere."""
    network = gr.stack(gr.gru, gr.lem)
    params = jax.eval_shape(lambda: network.init(jax.random.key(0), 3, 5))
    told = lambda method: gr.explain(network, params, jax.ShapeDtypeStruct((9, 2, 3), "float32"), method=method)
    found = [(each.forward, each.gradient, each.length, each.why) for each in told(gr.Fused(4, interpret=True))]
    assert found == [("kernel", "kernel", 4, "the kernels fit"), ("scan", "scan", None, "the cell has `step` alone")]
    assert told(gr.Checkpointed(method=gr.Fused(4)))[0].why == "there is no kernel for the CPU"
