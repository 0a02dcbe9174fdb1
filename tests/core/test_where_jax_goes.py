"""unroll and the analyses where JAX goes: explicit meshes, shard_map that checks, no rows, jitted checks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.models import Model, generate

D, H, T, B = 3, 4, 11, 4
LENGTH = T * (D + H)
METHODS = {
    "segmented": lambda mesh: gr.Segmented(4),
    "autodiff": lambda mesh: gr.Autodiff(),
    "checkpointed": lambda mesh: gr.Checkpointed(4),
    "truncated": lambda mesh: gr.Truncated(100),
    "sharded": lambda mesh: gr.Sharded(mesh),
    "sharded checkpointed": lambda mesh: gr.Sharded(mesh, method=gr.Checkpointed(3)),
}
each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


def problem(cell):
    """Weights, inputs, flags."""
    keys = jax.random.split(jax.random.key(0), 4)
    flags = {name: jax.random.bernoulli(key, 0.7, (T, B)) for name, key in zip(("mask", "reset"), keys, strict=False)}
    return cell.init(keys[2], D, H), jax.random.normal(keys[3], (T, B, D)), flags


def both(cell, method, flags, outputs="all"):
    """Results and gradients of a loss that reads all of them, by `unroll`."""

    def run(params, xs):
        def loss(params, xs):
            found = gr.unroll(cell, params, xs, **flags, method=method, outputs=outputs)
            return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(found)), found

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(params, xs)

    return run


@pytest.mark.thinned(11)
@pytest.mark.sampled
@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto], ids=["explicit", "auto"])
@pytest.mark.parametrize("outputs", ["all", "last"])
@pytest.mark.parametrize("method", METHODS)
def test_inside_a_mesh_that_is_set(method, outputs, kind):
    """Placed arguments and others give what they give without a mesh, and keep their place."""
    params, xs, flags = problem(gr.gru)
    want = both(gr.gru, gr.Autodiff(), flags, outputs)(params, xs)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec(None, "batch"))
        placed = jax.device_put((xs, flags), rows)
        for x, flag in ((xs, flags), placed):
            got = both(gr.gru, METHODS[method](mesh), flag, outputs)(params, x)
            assert_close(got, want, "float32", LENGTH)
        (_, dxs), (_, ys) = both(gr.gru, METHODS[method](mesh), placed[1], outputs)(params, placed[0])
        if kind is AxisType.Explicit and outputs == "all":
            assert ys.sharding.is_equivalent_to(rows, 3) and dxs.sharding.is_equivalent_to(rows, 3)


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_cell
@pytest.mark.parametrize("method", [gr.Segmented(4), gr.Checkpointed(4)], ids=["s", "c"])
@pytest.mark.parametrize("place", ["explicit", "auto", "shard_map"])
def test_forward_mode_where_devices_are_named(cell, method, place):
    """Tangents of results, of the gradient too, are Autodiff's anywhere."""
    params, xs, flags = problem(cell)

    def loss(xs, flags, method):
        return jnp.sin(gr.unroll(cell, params, xs, **flags, method=method)[1]).sum((0, 2))

    def along(xs, flags, method=method):
        of = lambda xs: (loss(xs, flags, method), jax.grad(lambda xs: loss(xs, flags, method).sum())(xs))
        return jax.jvp(of, (xs,), (xs,))[1]

    want = jax.jit(along, static_argnums=2)(xs, flags, gr.Autodiff())
    kind = AxisType.Explicit if place == "explicit" else AxisType.Auto
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(kind,))
    rows = PartitionSpec(None, "batch")
    with jax.set_mesh(mesh):
        if place == "shard_map":
            along = jax.shard_map(along, in_specs=rows, out_specs=(PartitionSpec("batch"), rows))
        assert_close(jax.jit(along)(*jax.device_put((xs, flags), NamedSharding(mesh, rows))), want, "float32", LENGTH)


@pytest.mark.parametrize("measure", ["adjoint", "paths", "window_audit"])
def test_analyses_of_given_cotangents_inside_a_mesh(measure):
    """Split over the batch as the inputs are."""
    params, xs, _ = problem(gr.lstm)
    dys, ask = jnp.ones((*xs.shape[:2], params.recurrent["w"].shape[0])), getattr(gr.flow, measure)
    how = {"windows": (2, 4)} if measure == "window_audit" else {}
    want = ask(gr.lstm, params, xs, dys=dys, **how)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        placed = jax.device_put((xs, dys), NamedSharding(mesh, PartitionSpec(None, "batch")))
        got = ask(gr.lstm, params, placed[0], dys=placed[1], **how)
    assert_close(jax.tree.leaves(got), jax.tree.leaves(want), "float32", LENGTH)


@pytest.mark.parametrize("measure", ["adjoint", "lyapunov", "timescales"])
def test_analyses_inside_a_mesh_that_is_set(measure):
    """Of placed inputs they are those of the same inputs in one place."""
    params, xs, _ = problem(gr.lstm)
    want = getattr(gr.flow, measure)(gr.lstm, params, xs)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        placed = jax.device_put(xs, NamedSharding(mesh, PartitionSpec(None, "batch")))
        got = getattr(gr.flow, measure)(gr.lstm, params, placed)
        gates = gr.gate_activations(gr.lstm, params, placed)
    assert_close(got, want, "float32", LENGTH)
    assert_close(gates, gr.gate_activations(gr.lstm, params, xs), "float32", LENGTH)


@pytest.mark.slow
def test_training_inside_a_mesh_that_is_set():
    """One device, seeds spread over two, and a batch split over two, with the same result."""
    setup = lambda **how: gr.train.Setup(gr.tasks.parity, gr.gru, horizon=8, hidden_size=4, batch=4, **how)
    run = lambda setup, **how: gr.train.fit(setup, steps=2, test_every=1, seeds=(0, 1), **how)
    want = run(setup())
    mesh = jax.make_mesh((2,), ("devices",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        ways = (run(setup(method=gr.Sharded(mesh))), run(setup(method=gr.Sharded())))
        for found in (run(setup()), run(setup(), mesh=mesh), *ways):
            assert_close([row.test_loss for row in found.rows], [row.test_loss for row in want.rows], "float32", LENGTH)
            assert_close(found.params(1), want.params(1), "float32", LENGTH)


def test_a_mesh_that_is_not_the_one_that_is_set():
    """One sentence, with both."""
    params, xs, _ = problem(gr.gru)
    other = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Auto,))
    with (
        jax.set_mesh(jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))),
        pytest.raises(ValueError, match="`mesh` must be the one that jax.set_mesh has set, .*'batch': 2.*'rows': 2"),
    ):
        gr.unroll(gr.gru, params, xs, method=gr.Sharded(other))


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_cell
@pytest.mark.parametrize("checked", [True, False], ids=["check_vma", "unchecked"])
@pytest.mark.parametrize("method", [gr.Segmented(4), gr.Autodiff(), gr.Checkpointed(4)], ids=["s", "a", "c"])
def test_inside_the_users_shard_map(cell, checked, method):
    """Rows on two devices, weights on both: gradients of the weights are summed where JAX checks what varies."""
    params, xs, flags = problem(cell)
    want = jax.grad(lambda params: jnp.sin(gr.unroll(cell, params, xs, **flags, method=gr.Autodiff())[1]).sum())(params)
    rows = PartitionSpec(None, "batch")
    run = jax.shard_map(
        lambda params, xs, flags: gr.unroll(cell, params, xs, **flags, method=method)[1],
        mesh=jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,)),
        in_specs=(PartitionSpec(), rows, rows),
        out_specs=rows,
        check_vma=checked,
    )
    got = jax.jit(jax.grad(lambda params: jnp.sin(run(params, xs, flags)).sum()))(params)
    assert_close(got, want, "float32", LENGTH)


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_cell
@pytest.mark.parametrize("method", [gr.Segmented(), gr.Autodiff(), gr.Checkpointed(4)], ids=["s", "a", "c"])
def test_no_rows(cell, method):
    """B = 0 gives results of no rows, and gradients of zero."""
    params, xs, _ = problem(cell)
    for outputs, shape in (("all", (T, 0, H)), ("last", (0, H))):
        (dparams, dxs), (end, ys) = both(cell, method, {}, outputs)(params, xs[:, :0])
        assert (ys.shape, end.h.shape, dxs.shape) == (shape, (0, H), (T, 0, D))
        assert not any(leaf.any() for leaf in jax.tree.leaves(dparams))
    assert gr.flow.lyapunov(cell, params, xs[:, :0], k=2).shape == (0, 2)
    assert {norm.shape for norm in gr.flow.adjoint(cell, params, xs[:, :0]).log10_norm.values()} == {(T + 1, 0)}
    for nothing in (xs[:, :0], xs[:0]):
        with pytest.raises(ValueError, match="^`xs` must be "):
            gr.flow.timescales(cell, params, nothing)
    with pytest.raises(ValueError, match="^`xs` must be "):
        gr.flow.lyapunov(cell, params, xs[:0])


@pytest.mark.slow
def test_what_is_checked_eagerly_runs_under_transformations():
    """generate over temperatures and prompts, selectivity under jit: as one by one."""
    model = Model(gr.gru, 5, 6, 5, embedding_size=3)
    params, key = model.init(jax.random.key(0)), jax.random.key(1)
    prompts, heat = jnp.array([[0, 1], [4, 2]]), jnp.array([0.0, 1.5])
    draw = lambda prompt, temperature: generate(model, params, key, prompt, 6, temperature)
    got = jax.jit(jax.vmap(draw))(prompts, heat)
    assert got.tolist() == [draw(prompts[i], float(heat[i])).tolist() for i in range(2)]
    values, labels = jax.random.normal(key, (9, 4)), jnp.arange(9) % 3 == 0
    assert_close(jax.jit(gr.flow.selectivity)(values, labels), gr.flow.selectivity(values, labels), "float32", 9)


@pytest.mark.parametrize(
    "method", [gr.Checkpointed(4), pytest.param(gr.Truncated(4), marks=pytest.mark.slow)], ids=["c", "t"]
)
def test_pieces_are_joined_inside_the_users_shard_map(method):
    """What is joined to the first piece varies over the devices, as the pieces do."""
    params, xs, flags = problem(gr.rnn)
    rows = PartitionSpec(None, "batch")

    def sums(params, outputs):
        run = jax.shard_map(
            lambda params, xs, flags: gr.unroll(gr.rnn, params, xs, **flags, method=method, outputs=outputs)[1],
            mesh=jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,)),
            in_specs=(PartitionSpec(), rows, rows),
            out_specs=PartitionSpec("batch"),
        )
        return run(params, xs, flags)

    last, total = (jax.jit(sums, static_argnums=1)(params, outputs) for outputs in ("last", gr.Readout(squares)))
    ys = gr.unroll(gr.rnn, params, xs, **flags)[1]
    assert_close(last, gr.unroll(gr.rnn, params, xs, **flags, outputs="last")[1], "float32", LENGTH)
    assert_close(total, jnp.square(ys).sum((0, 2)), "float32", LENGTH)


def squares(_, ys, __):
    """[K, B]."""
    return jnp.square(ys).sum(-1)


def test_a_cell_from_a_step_goes_everywhere():
    """The one of the docstring of `Cell.from_step`: compared, trained, in a model."""

    def step(a, carry, x):
        h = jnp.broadcast_to(a, x.shape) * carry.h + x
        return gr.RNNState(h), h

    decay = gr.Cell.from_step(
        *("decay", step),
        init=lambda key, input_size, hidden_size: jnp.full(hidden_size, 0.5),
        initial_carry=lambda a, batch_size=None: gr.RNNState(gr.linear.zeros(a.size, a.dtype, batch_size)),
    )
    found = gr.flow.compare([decay], jnp.ones((30, 1, 2)), hidden_size=2, seeds=1)
    assert {run.verdict for run in found.runs} == {"vanishing"}
    assert all(run.rate_log10_per_step == pytest.approx(np.log10(0.5), rel=1e-5) for run in found.runs)
    setup = gr.train.Setup(gr.tasks.adding, decay, horizon=4, hidden_size=2, batch=2, method=gr.Autodiff())
    assert np.isfinite(gr.train.fit(setup, steps=2, test_every=2).rows[-1].test_loss)
