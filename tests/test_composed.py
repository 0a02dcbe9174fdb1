"""Methods made of another one, and outputs that are used up: they equal what they are made of."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from test_unroll import FOREIGN, LENGTH, ORDERS, B, D, H, T, each_cell, problem, spied
from tolerances import assert_close

import gatedrnn as gr

both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def meshes():
    """The same two devices: as they come, with explicit axes, and as the second of two axes."""
    return {
        "plain": (Mesh(np.array(jax.devices()), ("batch",)), None),
        "explicit": (jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,)), None),
        "named axis": (jax.make_mesh((1, 2), ("model", "batch")), ("batch",)),
        "both axes": (jax.make_mesh((1, 2), ("model", "batch")), None),
    }


def pulled_back(run, *arguments):
    """What `run` returns, and the gradients of a random combination of all of it in every argument."""

    def both(*arguments):
        out, vjp = jax.vjp(run, *arguments)
        rng = np.random.default_rng(1)
        return out, vjp(jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), out))

    return jax.jit(both)(*arguments)


def cut_into_windows(cell, window, params, xs, carry, flags, reverse):
    """The loop that Truncated stands for: windows by Autodiff, the carry stopped from each to the next."""
    ys, starts = {}, range(0, xs.shape[0], window)
    for start in reversed(starts) if reverse else starts:
        part = slice(start, start + window)
        cut = {name: flag[part] for name, flag in flags.items()}
        end, ys[start] = gr.unroll(cell, params, xs[part], carry, **cut, reverse=reverse, method=gr.Autodiff())
        carry = jax.lax.stop_gradient(end)
    return end, jnp.concatenate([ys[start] for start in starts])


@each_cell
@both_ways
@pytest.mark.parametrize("flagged", [False, True], ids=["plain", "flagged"])
@pytest.mark.parametrize("window", [1, 4, T])
def test_truncated_is_the_loop_over_windows(cell, reverse, flagged, window):
    """Values and gradients, with cotangents of the outputs and of the last carry; the values are Segmented's."""
    params, xs, carry, flags, _ = problem(cell)
    flags = flags if flagged else {}
    run = lambda method: lambda *given: gr.unroll(cell, *given, **flags, reverse=reverse, method=method)
    got = pulled_back(run(gr.Truncated(window)), params, xs, carry)
    loop = lambda *given: cut_into_windows(cell, window, *given, flags, reverse)
    assert_close(got, pulled_back(loop, params, xs, carry), "float32", LENGTH)
    assert_close(got[0], run(gr.Segmented())(params, xs, carry), "float32", LENGTH)


@each_cell
@both_ways
@pytest.mark.parametrize("method", [gr.Segmented(3), gr.Autodiff()], ids=["segmented", "autodiff"])
@pytest.mark.parametrize("window", [1, 4, T])
def test_no_gradient_crosses_windows(cell, reverse, method, window):
    """An output depends on its own past (its future, in reverse) within its window, and on exactly nothing else."""
    params, xs, _, _, _ = problem(cell)
    ys = lambda xs: gr.unroll(cell, params, xs, reverse=reverse, method=gr.Truncated(window, method))[1].sum((1, 2))
    reached = jax.jit(jax.jacrev(ys))(xs).any((2, 3))  # [T of the output, T of the input]
    place = np.arange(T)
    order = np.triu if reverse else np.tril
    np.testing.assert_array_equal(reached, order(place[:, None] // window == place // window))


def losses(weights, ys, targets):
    """A pytree of [K, B] and [K, B, 2]; the other shapes of `ys` may be anything."""
    read = ys @ weights["w"] + jnp.broadcast_to(weights["b"], (*ys.shape[:-1], 2))
    return {"squares": jnp.square(read - targets["pair"]), "product": (read[..., 0] * targets["one"],)}


def problem_with_readout(cell, T=T, B=B):
    """A problem, and a readout's weights and targets."""
    rng = np.random.default_rng(2)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return problem(cell, T=T, B=B), {"w": draw(H, 2), "b": draw(2)}, {"pair": draw(T, B, 2), "one": draw(T, B)}


def asked(cell, method, outputs, flags, reverse, targets):
    """What `unroll` makes of the outputs, for params, xs, carry and the readout's weights."""

    def run(params, xs, carry, weights):
        chosen = gr.Readout(losses, weights, targets) if outputs == "readout" else outputs
        return gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method, outputs=chosen)

    return run


def made_of_all(cell, outputs, flags, reverse, targets):
    """The same, made here from all outputs by Autodiff."""

    def run(params, xs, carry, weights):
        end, ys = gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=gr.Autodiff())
        if outputs == "all":
            return end, ys
        if outputs == "last":
            return end, ys[0 if reverse else -1] if len(ys) else jnp.zeros(ys.shape[1:])
        mask = flags.get("mask", jnp.ones(ys.shape[:-1], bool))
        widen = lambda a: mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim))
        return end, jax.tree.map(lambda a: jnp.where(widen(a), a, 0).sum(0), losses(weights, ys, targets))

    return run


READERS = {
    "checkpointed": gr.Checkpointed(4),
    "nested": gr.Checkpointed(6, gr.Checkpointed(2)),
    "segmented": gr.Segmented(),
    "autodiff": gr.Autodiff(),
}
each_reader = pytest.mark.parametrize("method", READERS.values(), ids=READERS)
each_outputs = pytest.mark.parametrize("outputs", ["all", "last", "readout"])
PAIRS = {  # cell and method
    "rnn": (gr.rnn, gr.Checkpointed(4)),
    "gru": (gr.gru, gr.Checkpointed(4)),
    "lstm": (gr.lstm, gr.Checkpointed(4)),
    "default": (gr.gru, gr.Checkpointed()),
    "nested": (gr.lstm, gr.Checkpointed(6, gr.Checkpointed(4, gr.Segmented(3)))),
    "foreign": (FOREIGN, gr.Checkpointed(4, gr.Autodiff())),
    "segmented": (gr.rnn, gr.Segmented(4)),
    "autodiff": (gr.gru, gr.Autodiff()),
}


@pytest.mark.parametrize(("cell", "method"), PAIRS.values(), ids=PAIRS)
@each_outputs
@pytest.mark.parametrize("variant", ["plain", "flagged", "reversed", "unbatched"])
def test_outputs_are_made_of_all_outputs(cell, method, outputs, variant):
    """Values, and gradients in params, xs, carry and readout weights, by Checkpointed and by the methods without it."""
    (params, xs, carry, flags, _), weights, targets = problem_with_readout(cell)
    flags = {} if variant == "plain" else flags
    if variant == "unbatched":
        xs, flags, targets = jax.tree.map(lambda a: a[:, 0], (xs, flags, targets))
        carry = jax.tree.map(lambda a: a[0], carry)
    given = (params, xs, carry, weights)
    got = pulled_back(asked(cell, method, outputs, flags, variant == "reversed", targets), *given)
    want = pulled_back(made_of_all(cell, outputs, flags, variant == "reversed", targets), *given)
    assert_close(got, want, "float32", LENGTH)


@each_reader
@each_outputs
@both_ways
@pytest.mark.parametrize("steps", [0, 1, 8])
def test_outputs_of_any_length(method, outputs, reverse, steps):
    """No step, one, or whole segments without a rest; with flags."""
    (params, xs, carry, flags, _), weights, targets = problem_with_readout(gr.gru, T=steps)
    given = (params, xs, carry, weights)
    got = pulled_back(asked(gr.gru, method, outputs, flags, reverse, targets), *given)
    assert_close(got, pulled_back(made_of_all(gr.gru, outputs, flags, reverse, targets), *given), "float32", LENGTH)


@each_cell
@pytest.mark.parametrize("steps", [130, 10_001])
def test_checkpointed_runs_the_length_it_should(cell, steps):
    """By default segments of 64 steps, or of sqrt(T) where that is more; otherwise of `length`, and the rest."""
    spy, shapes = spied(cell)
    params = cell.init(jax.random.key(0), D, H)
    for method, length in ((gr.Checkpointed(), max(64, int(steps**0.5))), (gr.Checkpointed(40), 40)):
        shapes.clear()
        run = lambda xs, method=method: gr.unroll(spy, params, xs, method=method, outputs="last")[1].sum()
        jax.make_jaxpr(jax.grad(run))(jnp.ones((steps, B, D)))
        rows = {(length * B, H), (steps % length * B, H)}  # of the weight gradients
        assert set(shapes) == {(B, H), (H, H), (length, B, H), (steps % length, B, H), *rows}


def test_in_segments():
    """`count` carries are kept, or fewer where the segments are whole steps."""
    for (count, steps), length in {(3, 11): 4, (1, 11): 11, (11, 11): 1, (20, 11): 1, (10, 10_000): 1000}.items():
        assert gr.Checkpointed.in_segments(count, steps) == gr.Checkpointed(length)
    assert gr.Checkpointed.in_segments(3, 9, gr.Autodiff()) == gr.Checkpointed(3, gr.Autodiff())
    for wrong, message in (((0, 5), "`count` must be .*; got 0"), ((2, 0), "`steps` must be .*; got 0")):
        with pytest.raises(ValueError, match=message):
            gr.Checkpointed.in_segments(*wrong)


@each_cell
@pytest.mark.parametrize("outputs", ["last", "readout"])
def test_checkpointed_needs_little_memory(cell, outputs):
    """A quarter of Segmented's at T = 4,096, and from there to four times as many steps it grows as sqrt(T)."""

    def temporary(method, steps):
        params, B, D, H = cell.init(jax.random.key(0), 4, 16), 2, 4, 16
        weights, targets = {"w": jnp.ones((H, 2)), "b": jnp.ones(2)}, {"pair": jnp.ones((steps, B, 2))}
        targets["one"] = jnp.ones((steps, B))

        def loss(params, xs, weights, targets):
            run = asked(cell, method, outputs, {}, False, targets)
            return sum(leaf.sum() for leaf in jax.tree.leaves(run(params, xs, None, weights)[1]))

        compiled = jax.jit(jax.grad(loss)).lower(params, jnp.ones((steps, B, D)), weights, targets).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = (temporary(gr.Checkpointed(), steps) for steps in (4096, 16_384))
    assert few < temporary(gr.Segmented(), 4096) / 4
    assert many < 3 * few


def error(weights, ys, targets):
    """Squares, NaN where a target is."""
    return jnp.square((ys @ weights)[..., 0] - targets)


@each_cell
@each_reader
@both_ways
def test_masked_steps_are_not_read_out(cell, method, reverse):
    """NaN targets at masked steps, and so a NaN of the function, change neither the total nor a gradient."""
    params, xs, carry, flags, _ = problem(cell)
    results = []
    for value in (0.5, jnp.nan):
        targets = jnp.where(flags["mask"], 1.0, value)
        run = lambda params, xs, carry, weights, targets=targets: gr.unroll(
            cell,
            *(params, xs, carry),
            **flags,
            reverse=reverse,
            method=method,
            outputs=gr.Readout(error, weights, targets),
        )
        results.append(pulled_back(run, params, xs, carry, jnp.ones((H, 1))))
    clean, got = results
    chex.assert_tree_all_finite(clean)
    assert_close(got, clean, "float32", LENGTH)
    assert (clean[0][1] > 0).tolist() == [True, True, False]


def logarithm(weights, ys, targets):
    """Minus infinity, with a gradient of NaN, where an output is zero."""
    return jnp.log(jnp.square(ys @ weights).sum(-1))


@each_cell
@each_reader
def test_a_function_may_be_undefined_at_masked_steps(cell, method):
    """What it makes of their zero outputs is in no total, and in no gradient but that of its own weights."""
    params, xs, carry, flags, _ = problem(cell)
    mask = flags["mask"]

    def run(*given):
        readout = gr.Readout(logarithm, jnp.eye(H))
        return gr.unroll(cell, *given, **flags, method=method, outputs=readout)

    def defined(*given):
        end, ys = gr.unroll(cell, *given, **flags, method=gr.Autodiff())
        return end, jnp.where(mask, logarithm(jnp.eye(H), jnp.where(mask[..., None], ys, 1), None), 0).sum(0)

    assert_close(pulled_back(run, params, xs, carry), pulled_back(defined, params, xs, carry), "float32", LENGTH)


def late(weights, ys, targets):
    """Squares of the outputs where a target is True."""
    return jnp.square(jnp.where(targets[..., None], ys @ weights, 0)).sum(-1)


@each_cell
@each_reader
@both_ways
def test_an_earlier_episode_is_kept_away(cell, method, reverse):
    """A NaN there is in a total that reads it, as it is by Autodiff; a total of what follows the reset is sound."""
    params, xs, carry, _, _ = problem(cell)
    met, restart = (7, 3) if reverse else (3, 7)
    xs = xs.at[met, 0, 1].set(jnp.nan)
    reset = jnp.zeros((T, B), bool).at[restart, 0].set(True)
    place = jnp.broadcast_to(jnp.arange(T)[:, None], (T, B))
    after = place <= restart if reverse else place >= restart

    def total(targets, method):
        run = lambda params, xs, carry, weights: gr.unroll(
            cell,
            *(params, xs, carry),
            reset=reset,
            reverse=reverse,
            method=method,
            outputs=gr.Readout(late, weights, targets),
        )
        return pulled_back(run, params, xs, carry, jnp.eye(H))

    (_, everything), _ = total(jnp.ones((T, B), bool), method)
    assert jnp.isnan(everything).tolist() == [True, False, False]
    assert_close(everything, total(jnp.ones((T, B), bool), gr.Autodiff())[0][1], "float32", LENGTH)
    sound = total(after, method)
    assert_close(sound, total(after, gr.Autodiff()), "float32", LENGTH)
    chex.assert_tree_all_finite((sound[0], sound[1][:3]))


@pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm, FOREIGN], ids=["rnn", "gru", "lstm", "foreign"])
@each_outputs
@both_ways
def test_sharded_equals_the_whole_batch(cell, outputs, reverse):
    """Values and gradients, each weight's summed over the shards; rows are on two devices, weights on both."""
    (params, xs, carry, flags, _), weights, targets = problem_with_readout(cell, B=4)
    inner = gr.Segmented() if cell.factored else gr.Autodiff()
    run = lambda method: asked(cell, method, outputs, flags, reverse, targets)
    got = pulled_back(run(gr.Sharded(meshes()["plain"][0], method=inner)), params, xs, carry, weights)
    assert_close(got, pulled_back(run(inner), params, xs, carry, weights), "float32", LENGTH)


@pytest.mark.parametrize("kind", ["plain", "explicit", "named axis", "both axes"])
def test_sharded_over_any_mesh(kind):
    """Two rows on each of two devices: every product has two rows, and values and gradients are Segmented's."""
    mesh, axes = meshes()[kind]
    spy, shapes = spied(gr.gru)
    params, xs, carry, flags, _ = problem(gr.gru, B=4)
    run = lambda cell, method: pulled_back(
        lambda *given: gr.unroll(cell, *given, **flags, method=method), params, xs, carry
    )
    got = run(spy, gr.Sharded(mesh, axes, gr.Segmented(4)))
    assert set(shapes) == {(2, H), (H, H), (4, 2, H), (T % 4, 2, H), (8, H), (T % 4 * 2, H)}
    assert_close(got, run(gr.gru, gr.Segmented()), "float32", LENGTH)
    _, ys = gr.unroll(gr.gru, params, xs, carry, method=gr.Sharded(mesh, axes))
    assert ys.devices() == set(jax.devices()) and len(jax.devices()) == 2
    assert {shard.data.shape for shard in ys.addressable_shards} == {(T, 2, H)}


def test_sharded_over_one_shard():
    """An axis of one device leaves the batch whole, an odd one as well."""
    mesh, _ = meshes()["named axis"]
    spy, shapes = spied(gr.gru)
    params, xs, carry, flags, _ = problem(gr.gru)
    got = gr.unroll(spy, params, xs, carry, **flags, method=gr.Sharded(mesh, ("model",), gr.Autodiff()))
    assert set(shapes) == {(B, H)}
    assert_close(got, gr.unroll(gr.gru, params, xs, carry, **flags), "float32", LENGTH)


def methods():
    """Every kind of composed method, made anew."""
    return {
        "checkpointed": gr.Checkpointed(4),
        "nested": gr.Checkpointed(6, gr.Checkpointed(2)),
        "truncated": gr.Truncated(4),
        "sharded": gr.Sharded(meshes()["plain"][0]),
    }


each_method = pytest.mark.parametrize("name", ["checkpointed", "nested", "truncated", "sharded"])


def test_methods_are_equal_by_value():
    """Methods made alike are equal and hash alike; no two others are."""
    first, second = list(methods().values()), list(methods().values())
    others = [gr.Checkpointed(), gr.Checkpointed(5), gr.Checkpointed(4, gr.Autodiff()), gr.Truncated(5)]
    others += [gr.Truncated(4, gr.Autodiff()), gr.Sharded(meshes()["plain"][0], ("batch",)), gr.Segmented(4)]
    others += [gr.Sharded(meshes()["named axis"][0])]
    assert first == second and list(map(hash, first)) == list(map(hash, second))
    assert all(a != b for a, b in itertools.combinations(first + others, 2))


@each_method
def test_nothing_is_traced_twice(name):
    """Equal methods and equal functions of a readout share one trace, under an outer jit and without it."""
    chex.clear_trace_counter()
    spy, shapes = spied(gr.gru)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def limited(method, readout, params, xs):
        return gr.unroll(gr.gru, params, xs, method=method, outputs=readout)

    counts = []
    for seed in range(3):
        params, xs, _, _, _ = problem(gr.gru, B=4, seed=seed)
        readout = gr.Readout(error, jnp.full((H, 1), float(seed)), jnp.ones((T, 4)))
        limited(methods()[name], readout, params, xs)
        run = functools.partial(gr.unroll, spy, params, method=methods()[name], outputs=readout)
        jax.grad(lambda xs, run=run: run(xs)[1].sum())(xs)
        counts.append(len(shapes))
    assert 0 < counts[0] == counts[1] == counts[2]
    with pytest.raises(AssertionError, match="traced"):
        limited(methods()[name], gr.Readout(late, jnp.eye(H), jnp.ones((T, 4), bool)), params, xs)
    with pytest.raises(AssertionError, match="traced"):
        limited(gr.Segmented(5), readout, params, xs)


@each_method
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_first_order_reverse_mode(name, order, wrap):
    """Made of Segmented, whatever else is asked is the TypeError that names the method which can."""
    params, xs, _, _, _ = problem(gr.gru, B=4)
    loss = lambda xs: jnp.sum(gr.unroll(gr.gru, params, xs, method=methods()[name])[1] ** 2)
    with pytest.raises(TypeError, match="Autodiff"):
        wrap(functools.partial(ORDERS[order], loss))(xs)


@each_cell
@pytest.mark.parametrize("name", ["checkpointed", "sharded"])
def test_made_of_autodiff_has_second_derivatives(cell, name):
    """Derivatives along a line, first and second, are Autodiff's own."""
    params, xs, _, flags, _ = problem(cell, B=4)
    composed = {"checkpointed": gr.Checkpointed(4, gr.Autodiff())}
    composed["sharded"] = gr.Sharded(meshes()["plain"][0], method=gr.Autodiff())

    def along(method):
        loss = lambda xs: jnp.sum(gr.unroll(cell, params, xs, **flags, method=method)[1] ** 2) / LENGTH
        return jax.jit(lambda xs: jax.jvp(jax.value_and_grad(loss), (xs,), (xs,)))(xs)

    assert_close(along(composed[name]), along(gr.Autodiff()), "float32", LENGTH)


def mean(weights, ys, targets):
    """A number for all steps and rows."""
    return {"mean": ys.mean()}


def turned(weights, ys, targets):
    """Rows before steps."""
    return ys.sum(-1).T


BAD_OUTPUTS = {
    "name": ("lasts", "`outputs` must be 'all', 'last' or a Readout; got 'lasts'"),
    "None": (None, "`outputs` must be 'all', 'last' or a Readout; got None"),
    "targets": (
        gr.Readout(error, 0, jnp.ones((B, T))),
        r"`outputs.targets` must be .*\[11, 3, \.\.\.\].*; got .*\(3, 11\)",
    ),
    "target": (gr.Readout(error, 0, {"a": 1.0}), r"`outputs.targets` must be .*\[11, 3, \.\.\.\].*; got \[\(\)\]"),
    "number": (gr.Readout(mean), r"`outputs.function\['mean'\]` must be .*\[K, B, \.\.\.\].*; got \(\)"),
    "order": (gr.Readout(turned), r"`outputs.function` must be .*\[K, B, \.\.\.\].*; got \(3, \d+\)"),
}


@pytest.mark.parametrize(("outputs", "message"), BAD_OUTPUTS.values(), ids=BAD_OUTPUTS)
@pytest.mark.parametrize("method", [gr.Segmented(), gr.Checkpointed(4)], ids=["segmented", "checkpointed"])
def test_bad_outputs(outputs, message, method):
    """A ValueError that names the argument, what was expected and what came."""
    params, xs, _, _, _ = problem(gr.gru)
    with pytest.raises(ValueError, match=message):
        gr.unroll(gr.gru, params, xs, method=method, outputs=outputs)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_bad_lengths(size):
    """A segment and a window have at least one step."""
    with pytest.raises(ValueError, match=f"`length` must be .*; got {size}"):
        gr.Checkpointed(size)
    with pytest.raises(ValueError, match=f"`window` must be .*; got {size}"):
        gr.Truncated(size)


def test_bad_meshes():
    """No mesh, an axis that it does not have, and a batch that it does not divide."""
    with pytest.raises(ValueError, match="`mesh` must be a jax.sharding.Mesh; got .*CpuDevice"):
        gr.Sharded(jax.devices())
    mesh, _ = meshes()["named axis"]
    with pytest.raises(ValueError, match=r"`axes` must be .*\('model', 'batch'\); got \('rows',\)"):
        gr.Sharded(mesh, ("rows",))
    params, xs, _, _, _ = problem(gr.gru)
    for method in (gr.Sharded(mesh), gr.Sharded(mesh, ("batch",))):
        with pytest.raises(ValueError, match="`xs` must be .* 2 shards divide evenly; got B = 3"):
            gr.unroll(gr.gru, params, xs, method=method)
