"""The layers of linen: flax's own tests of recurrent layers, restated, and flax's own layers on the same variables."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.modules import linen as rnn

B, T, D, H = 3, 6, 3, 4
WEIGHTS = {"LSTMCell": 12, "OptimizedLSTMCell": 12, "GRUCell": 10, "SimpleCell": 3}
LENGTHS = np.array([6, 2, 3])


def same(got, want):
    """But for what a compiler may round in two programs."""
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("kind", WEIGHTS)
def test_numerical_equivalence(kind, agree, xs):
    """One key gives flax's variables; then outputs, last carry and gradients."""
    layers = [
        library.RNN(getattr(library, kind)(H, bias_init=nn.initializers.normal(0.5)), return_carry=True)
        for library in (rnn, nn)
    ]
    drawn = [jax.jit(layer.init)(jax.random.key(0), xs) for layer in layers]
    assert len(jax.tree.leaves(drawn[0])) == WEIGHTS[kind]
    jax.tree.map(same, *drawn)
    agree(layers[0].apply, layers[1].apply, None, drawn[0], xs)


SITUATIONS = {
    "kept": {"reverse": True, "keep_order": True},
    "reverse": {"reverse": True},
    "lengths": {},
}


@pytest.mark.thinned(5)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_equivalence_in(situation, agree, xs):
    """Lengths, in either direction and order: of what is not padding."""
    mine, theirs = (
        library.RNN(library.GRUCell(H, bias_init=nn.initializers.normal(0.5)), return_carry=True)
        for library in (rnn, nn)
    )
    options = {**SITUATIONS[situation], "seq_lengths": LENGTHS}
    run = lambda layer: lambda variables, xs: layer.apply(variables, xs, **options)
    agree(run(mine), run(theirs), LENGTHS, theirs.init(jax.random.key(0), xs), xs)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("time_major", [False, True])
def test_batch_axes(time_major):
    """Two of them, with the time axis before or behind."""
    shape = (T, 2, 3, D) if time_major else (2, 3, T, D)
    xs = jax.random.normal(jax.random.key(1), shape)
    mine, theirs = (library.RNN(library.GRUCell(H), time_major=time_major) for library in (rnn, nn))
    variables = mine.init(jax.random.key(0), xs)
    np.testing.assert_allclose(mine.apply(variables, xs), theirs.apply(variables, xs), rtol=0, atol=1e-6)


class Model(nn.Module):
    """What users write, by either library."""

    library: object

    @nn.compact
    def __call__(self, xs, lengths):
        one = self.library
        xs = one.RNN(one.SimpleCell(H), name="below")(xs, seq_lengths=lengths)
        both = one.Bidirectional(one.RNN(one.GRUCell(H)), one.RNN(one.GRUCell(H)), return_carry=True)
        return both(xs, seq_lengths=lengths)


@pytest.mark.slow
def test_a_model_changes_by_an_import(xs):
    """Its variables and its outputs are those that it had."""
    mine, theirs = Model(rnn), Model(nn)
    key = jax.random.key(0)
    (got, drawn), (want, theirs_drawn) = (jax.jit(m.init_with_output)(key, xs, LENGTHS) for m in (mine, theirs))
    jax.tree.map(same, drawn, theirs_drawn)
    there = (np.arange(T) < LENGTHS[:, None])[..., None]
    np.testing.assert_allclose(got[1], jnp.where(there, want[1], 0.0), rtol=0, atol=1e-5)
    for a, b in zip(*map(jax.tree.leaves, (got[0], want[0])), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_boxes(xs):
    """Partitioned variables are made, and applied, in their boxes."""
    kernel = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    mine, theirs = (library.RNN(library.LSTMCell(H, kernel_init=kernel)) for library in (rnn, nn))
    variables = mine.init(jax.random.key(0), xs)
    assert nn.get_partition_spec(variables)["params"]["cell"]["ii"]["kernel"] == jax.sharding.PartitionSpec(
        None, "model"
    )
    np.testing.assert_allclose(mine.apply(variables, xs), theirs.apply(variables, xs), rtol=0, atol=1e-6)


def test_layers_by_scan(xs):
    """nn.scan over layers, each with its own weights."""

    class Block(nn.Module):
        library: object

        @nn.compact
        def __call__(self, xs, _):
            return self.library.RNN(self.library.SimpleCell(D))(xs), None

    mine, theirs = (
        nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)(library)
        for library in (rnn, nn)
    )
    variables = jax.jit(lambda key: mine.init(key, xs, None))(jax.random.key(0))
    got, want = (jax.jit(lambda v, xs, one=one: one.apply(v, xs, None)[0])(variables, xs) for one in (mine, theirs))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_zero_lengths(xs):
    """A sequence of length zero ends where it began."""
    layer, first = rnn.RNN(rnn.LSTMCell(H), return_carry=True), (jnp.ones((B, H)), jnp.ones((B, H)))
    variables = layer.init(jax.random.key(0), xs)
    (c, h), ys = layer.apply(variables, xs, seq_lengths=np.array([0, 2, 6]), initial_carry=first)
    assert (c[0] == 1).all() and (h[0] == 1).all() and not ys[0].any() and not ys[1, 2:].any()


def test_recurrent(xs):
    """Any network; noise where it is asked for."""
    layer = rnn.Recurrent(gr.stack(gr.gru, layers=2, dropout=0.5), H, options=(("chrono", 10),), return_carry=True)
    variables = layer.init(jax.random.key(0), xs)
    carry, ys = layer.apply(variables, xs, seq_lengths=LENGTHS)
    want = gr.unroll(layer.cell, variables["params"]["weights"], xs, lengths=LENGTHS, batch_major=True)
    jax.tree.map(np.testing.assert_array_equal, (carry, ys), want)
    noisy = layer.apply(variables, xs, deterministic=False, rngs={"dropout": jax.random.key(1)})[1]
    assert not jnp.array_equal(noisy, ys)


def test_refusals(xs):
    """Other cells and other functions, each in one sentence."""
    for layer, message in [
        (rnn.RNN(nn.MGUCell(H)), "^`module` must be one of SimpleCell, .*; got MGUCell"),
        (rnn.RNN(nn.GRUCell(H, gate_fn=nn.relu)), "^`gate_fn` must be sigmoid to make gatedrnn.gru; got relu"),
        (rnn.Recurrent(nn.GRUCell, H), "^`cell` must be a gatedrnn.Cell, such as gatedrnn.lstm; got "),
        (rnn.RNN(nn.GRUCell(H), method="fast"), "^`method` must be a value such as Segmented.*; got 'fast'"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer.init(jax.random.key(0), xs)
