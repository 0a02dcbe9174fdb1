"""gr.flow.window_audit against central differences of literal loops, the method itself, and 10^100 in float64."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

T, B, D, H = 11, 2, 2, 3
WINDOWS = (1, 4)


def loss_of(ys):
    """Reads every output."""
    return (3 * ys**2 + ys).sum()


def leaves(tree):
    return [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)]


def by_windows(name, params, xs, mask, reset, reverse, window):
    """The truncated gradient by its meaning: differences in weights, with every window's first carry held fixed."""
    starts = list(range(0, T, window))[:: -1 if reverse else 1]
    cut = lambda a, start: None if a is None else a[start : start + window]
    run = lambda start, carry: reference.LOOPS[name](
        params, cut(xs, start), carry, cut(mask, start), cut(reset, start), reverse
    )
    carries = [None]
    for start in starts:
        carries.append(run(start, carries[-1]).carry)
    loss = lambda: sum(loss_of(run(start, carry).ys) for start, carry in zip(starts, carries, strict=False))
    return jax.tree.map(lambda leaf: reference.central_difference(loss, leaf), params)


def assert_audit(audit, truncated, full, atol=1e-4):
    """Cosines, ratios and norms of lists of flat gradients, by window."""
    pairs = zip([*full, np.concatenate(full)], audit.cosine, strict=True)
    for place, (whole, name) in enumerate(pairs):
        for i, cut in enumerate(truncated):
            part = [*cut, np.concatenate(cut)][place]
            sizes = np.linalg.norm(part), np.linalg.norm(whole)
            np.testing.assert_allclose(audit.cosine[name][i], part @ whole / (sizes[0] * sizes[1]), atol=atol)
            np.testing.assert_allclose(audit.norm_ratio[name][i], sizes[0] / sizes[1], rtol=atol)
            np.testing.assert_allclose(audit.log10_norm[name][i], np.log10(sizes[0]), atol=atol)
        np.testing.assert_allclose(audit.full_log10_norm[name], np.log10(sizes[1]), atol=atol)


@pytest.mark.parametrize(("name", "flagged"), [("lstm", False), ("gru", True)])
def test_against_differences(name, flagged):
    """Plain; and with mask and resets, in reverse."""
    rng = np.random.default_rng(0)
    params, xs = gr.Params(*reference.weights(name, D, H, rng)), rng.normal(size=(T, B, D))
    mask, reset = (rng.random((T, B)) < 0.8, rng.random((T, B)) < 0.2) if flagged else (None, None)
    found = [by_windows(name, params, xs, mask, reset, flagged, window) for window in (*WINDOWS, T)]
    put = lambda tree: jax.tree.map(lambda a: jnp.asarray(a, "float32"), tree)
    audit = gr.flow.window_audit(
        gr.cells.CELLS[name],
        put(params),
        put(xs),
        loss=loss_of,
        windows=WINDOWS,
        mask=mask,
        reset=reset,
        reverse=flagged,
    )
    assert_audit(audit, [leaves(each) for each in found[:-1]], leaves(found[-1]))


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(gr.stack(gr.learned_carry(gr.rnn), gr.rnn), id="stack"),
        pytest.param(gr.bidirectional(gr.rnn), marks=pytest.mark.slow, id="bidirectional"),
    ],
)
def test_networks(cell):
    """As `Truncated` gives it; a window of T or more cuts nothing."""
    params = jax.tree.map(lambda a: a + jnp.asarray(0.1, a.dtype), cell.init(jax.random.key(0), D, H))
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    reset = jnp.zeros((T, B), bool).at[6, 0].set(True)
    loss = lambda ys: jnp.sum(jnp.sin(3 * ys))
    audit = gr.flow.window_audit(cell, params, xs, loss=loss, windows=(4, T + 1), reset=reset)
    run = lambda window: jax.grad(
        lambda params: loss(gr.unroll(cell, params, xs, reset=reset, method=gr.Truncated(window, gr.Autodiff()))[1])
    )(params)
    full = leaves(run(T))
    assert_audit(audit, [leaves(run(4)), full], full)


@pytest.mark.slow
def test_beyond_floats(strict_json):
    """A chaotic network: 10^38 is passed in float32; in float64, where it is not, all is as `Truncated` gives it."""
    params = gr.rnn.init(jax.random.key(0), 2, 16, recurrent_init=gr.initializers.orthogonal(3.0))
    xs = 0.1 * jax.random.normal(jax.random.key(1), (700, 1, 2))
    audit = gr.flow.window_audit(gr.rnn, params, xs, windows=(7, 50))
    assert audit.full_log10_norm["all"] > 40
    assert all(
        np.isfinite(audit.log10_norm[name]).all() and (abs(audit.cosine[name]) <= 1).all() for name in audit.cosine
    )
    assert strict_json(json.dumps(audit.record()))["weights"]["all"]["smallest_window"] is None
    with jax.enable_x64(True):
        wide = lambda tree: jax.tree.map(lambda a: jnp.asarray(np.asarray(a), "float64"), tree)
        params, xs = wide(params), wide(xs)
        dys = jnp.zeros((700, 1, 16)).at[-1].set(0.25)
        audit = gr.flow.window_audit(gr.rnn, params, xs, windows=(7, 50))
        pull = lambda window: jax.vjp(
            lambda params: gr.unroll(gr.rnn, params, xs, method=gr.Truncated(window, gr.Autodiff()))[1], params
        )[1](dys)
        assert_audit(audit, [leaves(pull(window)) for window in (7, 50)], leaves(pull(700)), 1e-8)


def test_scale_and_zero():
    """A loss times 10^-30 has the same cosines and ratios, and one that reads nothing loses nothing."""
    params, xs = gr.gru.init(jax.random.key(0), D, H), jax.random.normal(jax.random.key(1), (T, D))
    run = lambda dys: gr.flow.window_audit(gr.gru, params, xs, dys=dys, windows=WINDOWS)
    one, small, nothing = (run(jnp.full((T, H), scale, "float32")) for scale in (1, 1e-30, 0))
    for name in one.cosine:
        np.testing.assert_allclose(small.cosine[name], one.cosine[name], atol=1e-5)
        np.testing.assert_allclose(small.norm_ratio[name], one.norm_ratio[name], rtol=1e-5)
        np.testing.assert_allclose(small.log10_norm[name], one.log10_norm[name] - 30, atol=1e-4)
        assert (nothing.cosine[name] == 1).all() and (nothing.norm_ratio[name] == 1).all()
    assert set(nothing.smallest.values()) == {1} and nothing.full_log10_norm["all"] == -np.inf
    alone = gr.flow.window_audit(gr.gru, params, xs[:1])
    assert alone.windows == (1,) and abs(alone.cosine["all"] - 1) < 1e-6


def test_too_much_memory(monkeypatch):
    """Is said before anything is run."""
    monkeypatch.setattr("gatedrnn.flow._audited.device_bytes", lambda: 4_000)
    params, xs = gr.gru.init(jax.random.key(0), D, H), jnp.zeros((T, B, D))
    for audit in (gr.flow.window_audit, gr.flow.precision_audit):
        with pytest.raises(
            ValueError, match=r"`xs` must be such that the audit fits into 3 kB of memory; got [\d.]+ kB"
        ):
            audit(gr.gru, params, xs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": jnp.sum, "dys": jnp.ones((T, H))}, "`dys` must be None where `loss` is given"),
        ({"loss": lambda ys: ys}, "`loss` must be a function of the outputs to one number"),
        (
            {"loss": lambda ys: jnp.sum(jnp.where(ys == ys[3, 0], jnp.nan, ys) * ys)},
            "`loss` must be of a finite gradient",
        ),
        ({"dys": jnp.ones((T, H)).at[2, 1].set(jnp.nan)}, "`dys` must be of a finite gradient.*step 2, row 0"),
        ({"windows": (0,)}, "`windows` must be a whole number of at least 1"),
        ({"windows": ()}, "`windows` must be a sequence"),
        ({"keep": 2}, "`keep` must be"),
    ],
)
def test_errors(options, message):
    """Nothing that is not finite goes on without a word."""
    params, xs = gr.gru.init(jax.random.key(0), D, H), jax.random.normal(jax.random.key(1), (T, D))
    with pytest.raises(ValueError, match=message):
        gr.flow.window_audit(gr.gru, params, xs, **options)
    with pytest.raises(ValueError, match="`xs` must be of at least one step"):
        gr.flow.window_audit(gr.gru, params, xs[:0])


@pytest.mark.parametrize("audit", [gr.flow.window_audit, gr.flow.precision_audit, gr.flow.inspect])
def test_weights_that_are_no_floats(audit):
    """A key, or a count, has no gradient: said by its place."""
    params, xs = gr.rnn.init(jax.random.key(0), D, H), jnp.ones((T, 2, D))
    for leaf, dtype in ((jax.random.key(0), "key"), (jnp.int32(3), "int32")):
        given = params._replace(unit={"more": leaf})
        step = lambda params, carry, x: gr.rnn.step(params._replace(unit=()), carry, x)
        first = lambda params, batch_size=None: gr.rnn.initial_carry(params._replace(unit=()), batch_size)
        cell = gr.Cell.from_step("own", step, init=None, initial_carry=first)
        with pytest.raises(
            ValueError, match=f"`params` must be of floating-point weights alone.*{dtype}.* at 'unit.more'"
        ):
            audit(cell, given, xs)
