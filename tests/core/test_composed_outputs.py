"""Outputs that are used up, by Checkpointed and the methods without it: they equal what is made of all outputs."""

import chex
import jax
import jax.numpy as jnp
import pytest
from core_problems import FOREIGN, LENGTH, B, D, H, T, error, late, losses
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
each_outputs = pytest.mark.parametrize("outputs", ["all", "last", "readout"])


def made_of_all(cell, outputs, flags, reverse, targets):
    """The same, made here from all outputs by Autodiff."""

    def run(params, xs, carry, weights):
        end, ys = gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=gr.Autodiff())
        if outputs == "all":
            return end, ys
        mask = flags.get("mask", jnp.ones(ys.shape[:-1], bool))
        if outputs == "last":
            order = range(len(ys))[::-1] if reverse else range(len(ys))
            last = jnp.zeros(ys.shape[1:])
            for t in order:
                last = jnp.where(mask[t][..., None], ys[t], last)
            return end, last
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
PAIRS = {  # cell and method
    **{name: (cell, gr.Checkpointed(4)) for name, cell in gr.cells.CLASSICS.items()},
    "default": (gr.gru, gr.Checkpointed()),
    "nested": (gr.lstm, gr.Checkpointed(6, gr.Checkpointed(4, gr.Segmented(3)))),
    "foreign": (FOREIGN, gr.Checkpointed(4, gr.Autodiff())),
    "segmented": (gr.rnn, gr.Segmented(4)),
    "autodiff": (gr.gru, gr.Autodiff()),
}


@pytest.mark.thinned(11)
@pytest.mark.sampled
@pytest.mark.parametrize(("cell", "method"), PAIRS.values(), ids=PAIRS)
@each_outputs
@pytest.mark.parametrize("variant", ["plain", "flagged", "reversed", "unbatched"])
def test_outputs_are_made_of_all_outputs(cell, method, outputs, variant, problem_with_readout, pulled_back, asked):
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


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_reader
@each_outputs
@both_ways
@pytest.mark.parametrize("steps", [0, 1, 8])
def test_outputs_of_any_length(method, outputs, reverse, steps, problem_with_readout, pulled_back, asked):
    """No step, one, or whole segments without a rest; with flags."""
    (params, xs, carry, flags, _), weights, targets = problem_with_readout(gr.gru, T=steps)
    given = (params, xs, carry, weights)
    got = pulled_back(asked(gr.gru, method, outputs, flags, reverse, targets), *given)
    assert_close(got, pulled_back(made_of_all(gr.gru, outputs, flags, reverse, targets), *given), "float32", LENGTH)


@each_cell
@pytest.mark.parametrize(("steps", "default"), [(131, 64), (130, 65), (10_001, 73)])
def test_checkpointed_runs_the_length_it_should(cell, steps, default, spied):
    """By default the divisor of T nearest to sqrt(T) or 64; without one near, and with `length`, there is a rest."""
    spy, shapes = spied(cell)
    params = cell.init(jax.random.key(0), D, H)
    for method, length in ((gr.Checkpointed(), default), (gr.Checkpointed(40), 40)):
        shapes.clear()
        run = lambda xs, method=method: gr.unroll(spy, params, xs, method=method, outputs="last")[1].sum()
        jax.make_jaxpr(jax.grad(run))(jnp.ones((steps, B, D)))
        rest = {(steps % length * B, H)} if steps % length else set()
        assert set(shapes) == {(B, H), (H,), (length * B, H), *rest}


def test_in_segments():
    """`count` carries are kept, or fewer where the segments are whole steps."""
    for (count, steps), length in {(3, 11): 4, (1, 11): 11, (11, 11): 1, (20, 11): 1, (10, 10_000): 1000}.items():
        assert gr.Checkpointed.in_segments(count, steps) == gr.Checkpointed(length)
    assert gr.Checkpointed.in_segments(3, 9, gr.Autodiff()) == gr.Checkpointed(3, gr.Autodiff())
    for wrong, message in (((0, 5), "`count` must be .*; got 0"), ((2, 0), "`steps` must be .*; got 0")):
        with pytest.raises(ValueError, match=message):
            gr.Checkpointed.in_segments(*wrong)


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_cell
@each_reader
@both_ways
def test_masked_steps_are_not_read_out(cell, method, reverse, problem, pulled_back):
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


@pytest.mark.thinned(5)
@pytest.mark.sampled
@each_cell
@each_reader
def test_a_function_may_be_undefined_at_masked_steps(cell, method, problem, pulled_back):
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


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_cell
@each_reader
@both_ways
def test_an_earlier_episode_is_kept_away(cell, method, reverse, problem, pulled_back):
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


def mean(weights, ys, targets):
    """A number for all steps and rows."""
    return {"mean": ys.mean()}


def turned(weights, ys, targets):
    """Rows before steps."""
    return ys.sum(-1).T


BAD_OUTPUTS = {
    "name": ("lasts", "`outputs` must be 'all', 'last' or .*; got 'lasts'"),
    "None": (None, "`outputs` must be 'all', 'last' or .*; got None"),
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
def test_bad_outputs(outputs, message, method, problem):
    """A ValueError that names the argument, what was expected and what came."""
    params, xs, _, _, _ = problem(gr.gru)
    with pytest.raises(ValueError, match=message):
        gr.unroll(gr.gru, params, xs, method=method, outputs=outputs)
