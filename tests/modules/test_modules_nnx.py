"""The layers of nnx: flax's own tests of recurrent layers, restated, and flax's own layers on the same weights."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gatedrnn as gr
from gatedrnn.modules import nnx as rnn

B, T, D, H = 3, 6, 3, 4
KINDS = ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell"]
LENGTHS = np.array([6, 2, 3])


def cell_of(kind, **options):
    """A cell in which every bias is a random number, too."""
    return getattr(rnn, kind)(D, H, bias_init=nnx.initializers.normal(0.5), rngs=nnx.Rngs(0), **options)


def both(kind, lengths=None, **options):
    """(mine, theirs, weights): functions of the weights, and the inputs or the first carry, to (carry, outputs)."""
    options |= {"return_carry": True}
    layers = [library.RNN(cell_of(kind), **options) for library in (rnn, nnx)]
    structures = [nnx.split(layer, nnx.Param, ...) for layer in layers]

    def function(structure, rest):
        def run(weights, xs, first=None):
            return nnx.merge(structure, weights, rest, copy=True)(xs, seq_lengths=lengths, initial_carry=first)

        return run

    mine, theirs = (function(structure, rest) for structure, _, rest in structures)
    return mine, theirs, structures[1][1]


SITUATIONS = {
    "kept lengths": {"reverse": True, "keep_order": True, "lengths": LENGTHS},
    "lengths": {"lengths": LENGTHS},
    "unroll": {"unroll": 3},
    "reverse": {"reverse": True},
    "kept": {"reverse": True, "keep_order": True},
    "reverse lengths": {"reverse": True, "lengths": LENGTHS},
}


@pytest.mark.thinned(3)
@pytest.mark.parametrize("kind", KINDS)
def test_numerical_equivalence(kind, agree, xs):
    """Outputs, last carry and gradients; from weights that are flax's own state."""
    mine, theirs, weights = both(kind)
    agree(mine, theirs, None, weights, xs)


@pytest.mark.thinned(7)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_equivalence_in(situation, agree, xs):
    """Lengths, both directions, either order, from a first carry (c, h): of what is not padding."""
    options, first = SITUATIONS[situation], jax.random.normal(jax.random.key(2), (2, B, H))
    mine, theirs, weights = both("LSTMCell", **options)
    agree(mine, theirs, options.get("lengths"), weights, xs, (first[0], first[1]))


@pytest.mark.thinned(3)
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
@pytest.mark.parametrize("time_major", [False, True])
def test_batch_axes(batch, time_major):
    """None, or several, with the time axis before or behind them."""
    cell = cell_of("GRUCell")
    shape = (T, *batch, D) if time_major else (*batch, T, D)
    xs = jax.random.normal(jax.random.key(1), shape)
    carry, ys = rnn.RNN(cell, time_major=time_major, return_carry=True)(xs)
    assert ys.shape == (*shape[:-1], H) and carry.shape == (*batch, H)
    np.testing.assert_allclose(ys, nnx.RNN(cell, time_major=time_major)(xs), rtol=0, atol=1e-6)


def test_lengths_over_several_axes(xs):
    """As the same sequences in one axis."""
    layer = rnn.RNN(cell_of("GRUCell"), return_carry=True)
    deep = jnp.stack([xs, -xs])
    lengths = jnp.stack([LENGTHS, LENGTHS[::-1]])
    carry, ys = layer(deep, seq_lengths=lengths, reverse=True)
    flat = layer(deep.reshape(2 * B, T, D), seq_lengths=lengths.reshape(-1), reverse=True)
    np.testing.assert_array_equal(carry.reshape(2 * B, H), flat[0])
    np.testing.assert_array_equal(ys.reshape(2 * B, T, H), flat[1])


def test_padding_is_not_read(xs):
    """A row of length zero has the first carry, padding gives zeros, and NaN there reaches no gradient."""
    lengths = np.array([0, 2, 6])
    xs = jnp.where((np.arange(T) < lengths[:, None])[..., None], xs, jnp.nan)
    layer, first = rnn.RNN(cell_of("GRUCell"), return_carry=True), jnp.ones((B, H))

    def loss(layer, xs):
        carry, ys = layer(xs, seq_lengths=lengths, initial_carry=first)
        return carry.sum() + ys.sum(), (carry, ys)

    (gradients, dxs), (carry, ys) = nnx.grad(loss, argnums=(0, 1), has_aux=True)(layer, xs)
    np.testing.assert_array_equal(carry[0], first[0])
    assert not ys[0].any() and not ys[1, 2:].any() and ys[1, :2].all()
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves((gradients, dxs)))


@pytest.mark.thinned(3)
@pytest.mark.parametrize("time_major", [False, True])
def test_bidirectional(time_major, xs):
    """flax's own, over our layers, with a merge of one's own and both carries."""
    cells = cell_of("GRUCell"), cell_of("GRUCell")
    layers = [
        library.Bidirectional(
            *(library.RNN(cell) for cell in cells),
            merge_fn=lambda f, b: f - b,
            time_major=time_major,
            return_carry=True,
        )
        for library in (rnn, nnx)
    ]
    xs = xs.swapaxes(0, 1) if time_major else xs
    for got, want in zip(*(jax.tree.leaves(layer(xs)) for layer in layers), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_variables_are_flax_s(xs):
    """A state of `nnx.RNN`, of all that it has, fits, and draws what `nnx.RNN` would."""
    mine, theirs = (library.RNN(library.LSTMCell(D, H, rngs=nnx.Rngs(0))) for library in (rnn, nnx))
    assert jax.tree.structure(nnx.state(mine)) == jax.tree.structure(nnx.state(theirs))
    nnx.update(mine, nnx.state(theirs))
    np.testing.assert_allclose(mine(xs), theirs(xs), rtol=0, atol=1e-6)
    assert jax.tree.all(
        jax.tree.map(
            lambda a, b: (a == b).all(), *(nnx.to_pure_dict(nnx.state(m, nnx.RngCount)) for m in (mine, theirs))
        )
    )


@pytest.mark.thinned(3)
@pytest.mark.parametrize(("dtype", "param_dtype"), [("bfloat16", "float32"), (None, "bfloat16")])
def test_dtypes(dtype, param_dtype, xs):
    """Outputs and carries have flax's types."""
    with jax.numpy_dtype_promotion("standard"):
        cell = cell_of("LSTMCell", dtype=dtype and jnp.dtype(dtype), param_dtype=jnp.dtype(param_dtype))
        xs = xs.astype(param_dtype)
        got, want = (jax.tree.leaves(library.RNN(cell, return_carry=True)(xs)) for library in (rnn, nnx))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(np.float32(a), np.float32(b), rtol=0, atol=0.03)


def test_first_carry_of_the_cell(xs):
    """`carry_init` is the cell's own affair."""
    with pytest.warns(UserWarning, match="carry_init"):
        cell = cell_of("GRUCell", carry_init=nnx.initializers.ones)
    np.testing.assert_allclose(rnn.RNN(cell)(xs), nnx.RNN(cell)(xs), rtol=0, atol=1e-6)


def test_recurrent_is_unroll(xs):
    """In flax's layout, with episodes."""
    layer = rnn.Recurrent(gr.lstm, D, H, rngs=nnx.Rngs(0), return_carry=True, forget_bias=2.0)
    reset = jnp.zeros((B, T), bool).at[:, 3].set(True)
    params = jax.tree.map(lambda p: p[...], layer.params, is_leaf=lambda p: isinstance(p, nnx.Param))
    assert params.input["b"].max() == 2
    carry, ys = layer(xs, reset=reset, seq_lengths=LENGTHS)
    want, wanted = gr.unroll(gr.lstm, params, xs, reset=reset, lengths=LENGTHS, batch_major=True)
    np.testing.assert_array_equal(carry.c, want.c)
    np.testing.assert_array_equal(ys, wanted)
    assert rnn.LSTM(D, H, bidirectional=True, rngs=nnx.Rngs(0))(xs).shape == (B, T, 2 * H)


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    "make", [lambda rngs: rnn.RNN(rnn.SimpleCell(D, D, rngs=rngs)), lambda rngs: rnn.Recurrent(gr.gru, D, D, rngs=rngs)]
)
def test_layers_by_scan(make, xs):
    """nnx.vmap makes the layers, nnx.scan runs them, as a loop over layers would."""

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(nnx.StateAxes({...: 0}),), out_axes=nnx.StateAxes({nnx.Param: 0, ...: None}))
    def create(rngs):
        return make(rngs)

    layers = create(nnx.Rngs(0))

    @nnx.scan(in_axes=(nnx.Carry, nnx.StateAxes({nnx.Param: 0, ...: nnx.Carry})), out_axes=nnx.Carry)
    def run(xs, layer):
        return layer(xs)

    want, (structure, weights, rest) = xs, nnx.split(layers, nnx.Param, ...)
    for i in range(3):
        want = nnx.merge(structure, jax.tree.map(operator.itemgetter(i), weights), rest)(want)
    np.testing.assert_allclose(run(xs, layers), want, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_partitioned_kernels(xs):
    """Sharding of kernels stays where flax puts it, and the layer runs on a mesh."""
    mesh = jax.make_mesh((2,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        kernel = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "model"))
        cell = rnn.GRUCell(D, 2 * H, kernel_init=kernel, rngs=nnx.Rngs(0))
        step = nnx.jit(nnx.value_and_grad(lambda layer, xs: layer(xs).sum()))
        (mine, gradient), theirs = step(rnn.RNN(cell), xs), nnx.RNN(cell)(xs).sum()
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
    assert gradient.cell.dense_i.kernel.out_sharding == (None, "model")


def test_refusals(xs):
    """Other cells, other functions and other shapes, each in one sentence."""
    with pytest.raises(ValueError, match="^`module` must be one of SimpleCell, .*; got Linear"):
        rnn.RNN(nnx.Linear(D, H, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="^`activation_fn` must be tanh to make gatedrnn.gru; got relu"):
        rnn.RNN(cell_of("GRUCell", activation_fn=nnx.relu))
    with pytest.raises(ValueError, match="^`cell` must be a gatedrnn.Cell, such as gatedrnn.lstm; got "):
        rnn.Recurrent(nnx.LSTMCell, D, H, rngs=nnx.Rngs(0))
    layer = rnn.RNN(cell_of("LSTMCell"))
    for options, message in [
        ({"seq_lengths": jnp.array([1])}, r"^`seq_lengths` must be whole numbers \(3,\), one per sequence of `inputs`"),
        ({"initial_carry": jnp.zeros((B, H))}, r"^`initial_carry` must be \(c, h\), as .*; got float32 \(3, 4\)"),
        ({"initial_carry": (jnp.zeros(H),) * 2}, r"^`initial_carry` must be arrays \[\*batch, H\] .*; got \(4,\)"),
        ({"time_major": 1}, "^`time_major` must be True or False; got 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer(xs, **options)
    with pytest.raises(ValueError, match=r"^`inputs` must be \[\*batch, T, D\]; got float32 \(3,\)"):
        layer(xs[0, 0])
    with pytest.raises(
        ValueError, match=r"^`mask` must be an array \(3, 6\), one value per step of `inputs`; got \(3,\)"
    ):
        rnn.Recurrent(gr.gru, D, H, rngs=nnx.Rngs(0))(xs, mask=jnp.ones(3, bool))
