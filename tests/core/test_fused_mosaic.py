"""Fused on Hopper: Mosaic's kernels equal scans, are one per segment and direction, and fit; or Triton's run."""

import jax
import jax.numpy as jnp
import pytest
from kernel_problems import problem
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.methods.kernels import _mosaic
from gatedrnn.methods.kernels._budget import CLUSTERS, SHARED, Load, Tiles, mosaic, mosaic_tiles
from gatedrnn.methods.kernels._loops import Kernels, _backward, _forward, _plain_backward, _plain_forward
from gatedrnn.methods.kernels._mosaic import Mosaic, without_clusters

HOPPER = Mosaic("9.0")
CLUSTERED = pytest.mark.skipif(bool(without_clusters()), reason=without_clusters())
IN_CLUSTERS = (
    "the kernels fit, in clusters of 8 blocks: U of 3 gates of H = 400 takes 1,572,864 bytes as it is laid out, and "
    "the shared memory of a block has 232,448"
)
pytestmark = pytest.mark.skipif(bool(HOPPER.missing()), reason=HOPPER.missing())
LSTM = {"rows": 4, "held": 6, "streams": 6, "flags": 2}  # of the forward kernel with both flags


@pytest.mark.slow
@pytest.mark.skipif(jax.__version_info__ < (0, 11), reason="its interpreter knows no transposed reference")
@pytest.mark.parametrize(
    ("cell", "sizes", "dtype", "reverse"),
    [(gr.gru, (3, 9, 70), "float32", True), (gr.lstm, (3, 2, 5), "bfloat16", False)],
    ids=["gru", "lstm"],
)
def test_interpreted(cell, sizes, dtype, reverse):
    """Both loops are those by scans: units and rows that fill up, two groups, two tiles, both flags."""
    forward, backward = problem(cell, sizes, dtype, reverse)
    for fused, plain, given in ((_forward, _plain_forward, forward), (_backward, _plain_backward, backward)):
        assert_close(fused(Kernels(HOPPER, True), *given), plain(*given), dtype, sizes[2])


def in_sight():
    """A context in which an H100 is what is lowered for, as it must be from jax 0.11 on."""
    if jax.__version_info__ < (0, 11):
        return jax.disable_jit(False)
    device = jax.sharding.AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", num_cores=None, platform="gpu")
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device))


@pytest.mark.parametrize(
    ("cell", "H", "dtype"),
    [
        (gr.lstm, 128, "bfloat16"),
        pytest.param(gr.gru, 100, "float32", marks=pytest.mark.slow),
        pytest.param(gr.gru, 400, "bfloat16", marks=[pytest.mark.slow, CLUSTERED]),
    ],
    ids=["lstm", "gru", "cluster"],
)
def test_one_kernel_per_segment_and_direction(cell, H, dtype):
    """In the loop over segments, and once more for the steps that are left over; the GRU's mapped, too."""
    like = jax.ShapeDtypeStruct
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), 7, H, dtype=dtype))
    xs, flag, method = like((22, 20, 7), dtype), like((22, 20), bool), gr.Fused(8, 0.5, platform="cuda")

    def loss(params, xs, flag):
        end, ys = gr.unroll(cell, params, xs, mask=flag, reset=flag, method=method)
        return jnp.sin(ys).sum() + sum(map(jnp.sum, end))

    def count(function, *given):
        text = jax.jit(function).trace(params, *given).lower(lowering_platforms=("cuda",)).as_text()
        return text.count("@mosaic_gpu_v2("), text.count("xla.gpu.triton(")

    with in_sight():
        why = gr.explain(cell, params, xs, method=method)[0].why
        assert why == "the kernels fit" or (H, why) == (400, IN_CLUSTERS)
        assert count(jax.grad(loss), xs, flag) == (4, 0)
        if cell == gr.gru:  # mapped, there is one more axis of the grid
            mapped = jax.vmap(jax.grad(loss), in_axes=(None, 0, None))
            assert count(mapped, like((2, *xs.shape), dtype), flag) == (4, 0)


def test_bytes():
    """U in whole groups of 64 units beside two places for what is multiplied; fewer rows where 16 are too many."""
    load = Load(matrices=3, width=4, **LSTM)
    assert mosaic(load, Tiles(8, 128, 9)) == 3 * 128**2 * 4 + 2 * 3 * 8 * 128 * 4 + 4096 <= SHARED["9.0"]
    tiles = lambda load, batch, units: mosaic_tiles(load, 9, batch, units, SHARED["9.0"])
    assert tiles(load, 20, 128) == Tiles(8, 128, 9)
    assert tiles(load, 20, 64) == Tiles(16, 64, 9)
    assert tiles(load, 3, 5) == Tiles(8, 64, 9)
    assert tiles(load._replace(matrices=4, width=2), 20, 128) == Tiles(16, 128, 9)
    assert tiles(load._replace(matrices=1, width=2), 20, 320) == Tiles(16, 320, 9)


def test_bytes_in_a_cluster():
    """Every block has U of its own units beside all units of what is passed on: of all gates, or, last, of one."""
    gru = Load(matrices=3, width=2, **LSTM)
    lstm = gru._replace(matrices=4)
    assert mosaic(lstm, Tiles(16, 256, 9, 4)) == 4 * 64 * 256 * 2 + 2 * 4 * 16 * 256 * 2 + 4096 <= SHARED["9.0"]
    assert mosaic(gru, Tiles(8, 512, 9, 8, False)) == 3 * 64 * 512 * 2 + 2 * 8 * 512 * 2 + 4096 <= SHARED["9.0"]
    tiles = lambda load, batch, units: mosaic_tiles(load, 9, batch, units, SHARED["9.0"])
    assert tiles(lstm, 20, 129) == tiles(lstm, 20, 256) == Tiles(16, 256, 9, 4)
    assert tiles(gru, 20, 256) == Tiles(8, 256, 9, 2)
    assert tiles(gru, 20, 512) == Tiles(8, 512, 9, 8, False)
    assert tiles(gru._replace(width=4), 20, 256) == Tiles(8, 256, 9, 4, False)
    assert tiles(lstm._replace(width=4), 20, 65) == Tiles(16, 128, 9, 2)
    assert tiles(lstm, 20, 257) is tiles(gru, 20, 513) is tiles(lstm._replace(width=4), 20, 129) is None
    assert mosaic_tiles(lstm, 9, 20, 256, SHARED["9.0"], CLUSTERS[:1]) is None


def test_triton_where_mosaic_has_none(monkeypatch):
    """And why: a diagonal, another GPU, products that are not rounded, no clusters."""
    like = lambda cell, H: jax.eval_shape(lambda: cell.init(jax.random.key(0), 3, H))
    why = lambda cell, H=5: (
        gr.explain(cell, like(cell, H), jax.ShapeDtypeStruct((9, 2, 3), "float32"), method=gr.Fused(platform="cuda"))[
            0
        ].why
    )
    with in_sight():
        assert why(gr.indrnn) == "Triton's kernels fit; U is a diagonal, with which Mosaic has nothing to multiply"
        assert "log1p" in why(gr.slstm)
        with jax.default_matmul_precision("highest"):
            assert why(gr.rnn) == "Triton's kernels fit; products of float32 numbers that are not rounded are asked for"
        monkeypatch.setattr(_mosaic, "without_clusters", lambda: "for clusters JAX is too old")
        assert why(gr.lstm, 200).startswith(
            "U of 4 gates of H = 200 takes 1,048,576 bytes in one block (for clusters JAX is too old) as it is laid"
        )
    assert Mosaic("8.0").missing() == "Mosaic's kernels are for compute capability 9.0, not 8.0"
