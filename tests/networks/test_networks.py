"""Stacks and both directions: the loops of their layers, under every method, with masks of any side and resets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_reference import lyapunov
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.networks import layer_norm, named, rms_norm

NETWORKS = [
    gr.stack(gr.lstm, layers=2),
    gr.stack(gr.gru),
    gr.stack(gr.lstm, gr.gru, gr.rnn, residual=True, norm=layer_norm),
    gr.stack(gr.gru, gr.gru_before, skip=True, norm=rms_norm),
    gr.stack(gr.stack(gr.rnn, layers=2), gr.gru),
    gr.bidirectional(gr.lstm),
    gr.bidirectional(gr.gru, gr.rnn, merge="sum"),
    gr.bidirectional(gr.gru, merge="mean"),
    gr.bidirectional(gr.stack(gr.gru, gr.rnn), merge="product"),
    gr.stack(gr.bidirectional(gr.gru), layers=2),
    gr.stack(gr.bidirectional(gr.rnn, merge="sum"), gr.lstm, residual=True),
]
LSTM = gr.lstm.init(jax.random.key(0), 3, 4)
CAUSAL = [network for network in NETWORKS if network.causal]
METHODS = [gr.Segmented(3), gr.Checkpointed(4, gr.Segmented(2)), gr.Truncated(100), gr.Autodiff(2)]
unroll = jax.jit(gr.unroll)
each_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name.replace(" ", ""))
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


@pytest.mark.thinned(3)
@each_network
def test_outputs_are_those_of_the_layers_loops(network, draw, loops):
    """A literal loop for every layer and direction, in float64."""
    params, xs, mask, reset = draw(network)
    _, ys = gr.unroll(network, params, xs, mask=mask, reset=reset)
    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    want = loops(network, wide, *(np.asarray(a) for a in (xs.astype(jnp.float32), mask, reset)))
    want = np.where(np.asarray(mask)[..., None], want, 0)  # what is added to or normalised at masked steps is not shown
    assert_close(ys, want, "float32", 40)


@pytest.mark.thinned(17)
@pytest.mark.sampled
@each_method
@each_network
@pytest.mark.parametrize("reverse", [False, True])
def test_methods_agree(network, method, reverse, draw, differentiated):
    """Values and every gradient, with masks and resets, by each method and by a plain scan of whole steps."""
    if isinstance(method, gr.Checkpointed) and "gru_before" in network.name:
        method = gr.Checkpointed(4)
    params, xs, mask, reset = draw(network)
    flags = {"mask": mask, "reset": reset, "reverse": reverse}
    got = differentiated(network, params, xs, method, **flags)
    assert_close(got, differentiated(network, params, xs, gr.Autodiff(), **flags), "float32", 200)


@pytest.mark.thinned(3)
@each_network
def test_masked_steps_are_as_if_deleted(network, draw):
    """On whichever side they are, in both directions, whatever stands there; an empty row gives its first carry."""
    params, xs, mask, _ = draw(network)
    carry, ys = unroll(network, params, jnp.where(mask[..., None], xs, jnp.nan), mask=mask)
    initial = network.initial_carry(params)
    for row in range(xs.shape[1]):
        steps = np.flatnonzero(mask[:, row])
        alone, found = unroll(network, params, xs[steps, row])
        assert_close(ys[steps, row], found, "float32", 40)
        assert not ys[~mask[:, row], row].any()
        own = jax.tree.map(lambda a, row=row: a[row], carry)
        assert_close(own, alone if len(steps) else initial, "float32", 40)


@pytest.mark.thinned(3)
@each_network
def test_an_episode_is_a_sequence_of_its_own(network, draw):
    """Packed documents: outputs and gradients of each are those of the document alone, in both directions."""
    params, xs, *_ = draw(network)
    ids = jnp.asarray(np.repeat([[4], [4], [1], [1], [1], [9], [9]], xs.shape[1], 1))
    _, ys = unroll(network, params, xs, segment_ids=ids)
    apart = [unroll(network, params, xs[cut])[1] for cut in (slice(0, 2), slice(2, 5), slice(5, 7))]
    assert_close(ys, jnp.concatenate(apart), "float32", 40)
    reach = jax.jit(jax.grad(lambda xs: gr.unroll(network, params, xs, segment_ids=ids)[1][2:5].sum()))(xs)
    assert reach[2:5].all(-1).any(-1).all() and not reach[:2].any() and not reach[5:].any()


@pytest.mark.parametrize("network", CAUSAL[:4], ids=lambda network: network.name.replace(" ", ""))
def test_served_step_by_step(network, draw):
    """`cell.step` from the carry that `unroll` hands back: the same outputs as the whole."""
    params, xs, *_ = draw(network)
    carry, _ = gr.unroll(network, params, xs[:3])
    step = jax.jit(network.step)
    for x, want in zip(xs[3:], gr.unroll(network, params, xs)[1][3:], strict=True):
        carry, y = step(params, carry, x)
        assert_close(y, want, "float32", 40)


def test_last_outputs(draw):
    """Of both directions each one's own last, as keras has it; of a stack with a residual, what it shows."""
    for network in (NETWORKS[5], NETWORKS[9], NETWORKS[2]):
        params, xs, mask, _ = draw(network)
        carry, last = gr.unroll(network, params, xs, mask=mask, outputs="last")
        ys = np.asarray(gr.unroll(network, params, xs, mask=mask)[1])
        for row in range(xs.shape[1]):
            steps = np.flatnonzero(mask[:, row])
            if not len(steps):
                assert not last[row].any()
            elif network.causal:
                assert_close(last[row], ys[steps[-1], row], "float32", 40)
            else:
                both = ys[steps[-1], row, :4], ys[steps[0], row, 4:]
                assert_close(last[row], np.concatenate(both), "float32", 40)
    with pytest.raises(ValueError, match="`outputs` must be 'all' or a Readout where `residual`"):
        gr.unroll(NETWORKS[10], draw(NETWORKS[10])[0], xs, outputs="last")


@pytest.mark.parametrize("network", [NETWORKS[0], NETWORKS[3]], ids=["plain", "skip"])
def test_analyses_are_a_product_of_jacobians(network, draw):
    """Adjoint and exponents of a stack, whose carry is that of all layers."""
    params, xs, *_ = draw(network)
    xs = xs[:, 0]
    flat = lambda carry: jnp.concatenate([part.ravel() for part in jax.tree.leaves(carry)])
    carry, jacobians = network.initial_carry(params), []
    structure, shapes = jax.tree.structure(carry), [part.shape for part in jax.tree.leaves(carry)]

    def unflat(vector):
        cuts = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]
        return jax.tree.unflatten(
            structure, [a.reshape(s) for a, s in zip(jnp.split(vector, cuts), shapes, strict=True)]
        )

    for x in xs:
        jacobians.append(jax.jacfwd(lambda v, x=x: flat(network.step(params, unflat(v), x)[0]))(flat(carry)))
        carry = network.step(params, carry, x)[0]
    cotangent = jax.tree.map(jnp.ones_like, carry)
    found = gr.flow.adjoint(network, params, xs, dcarry=cotangent)
    want = flat(cotangent)
    for t in range(len(xs), -1, -1):
        assert abs(float(found.log10_norm["state"][t]) - np.log10(np.linalg.norm(want))) < 1e-4
        want = jacobians[t - 1].T @ want
    size = flat(carry).size
    exponents = np.sort(lyapunov(np.asarray(jacobians, np.float64), np.eye(size)))[::-1]
    assert np.abs(np.asarray(gr.flow.lyapunov(network, params, xs, k=size))[:4] - exponents[:4]).max() < 1e-3


def test_what_reads_backwards_has_no_steps(draw):
    """Rollouts and generation say so in one sentence."""
    network = NETWORKS[5]
    params, xs, *_ = draw(network)
    with pytest.raises(ValueError, match="`cell` must be one that is run step by step"):
        gr.flow.replay(network, params, xs, None)
    model = gr.models.Model(network, 3, 4, 3)
    with pytest.raises(ValueError, match=r"`model\.cell` must be one that is run step by step"):
        gr.models.forecast(model, model.init(jax.random.key(0)), xs, 2)


def test_answers_are_not_read_backwards():
    """A text's next symbols are its inputs; a language's answers are not."""
    text = gr.tasks.text.prediction(bytes(range(256)) * 8)
    with pytest.raises(
        ValueError, match="`cell` must be one that does not read backwards: the answers of the task 'text'"
    ):
        gr.train.Setup(text, NETWORKS[5], horizon=8)
    assert gr.train.Setup(gr.tasks.parity, NETWORKS[5], horizon=8).cell is NETWORKS[5]


@each_network
def test_a_name_is_read_back(network):
    """Into an equal network, which is not compiled again."""
    assert named(network.name, gr.cells.CELLS) == network
    assert hash(named(network.name, gr.cells.CELLS)) == hash(network)


@pytest.mark.parametrize(
    "name",
    ["stack()", "stack(nothing)", "stack(lstm", "stack(lstm, norm=3)", "__import__('os')", "stack(lstm)(gru)", "lstm()",
     "stack(" * 200 + "lstm" + ")" * 200, "stack(lstm, layers=0)", "stack(lstm, depth=2)", "stack(*lstm)",
     "stack(lstm.init)", "a" * 10_000],
)  # fmt: skip
def test_names_that_make_nothing(name):
    with pytest.raises(ValueError, match="`[a-z]+` must be") as caught:
        named(name, gr.cells.CELLS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gr.stack(), "`cells` must be at least one gatedrnn.Cell; got none"),
        (lambda: gr.stack("lstm"), "`cells` must be a gatedrnn.Cell"),
        (lambda: gr.stack(gr.lstm, layers=1.5), "`layers` must be a whole number"),
        (lambda: gr.stack(gr.lstm, dropout=1.0), "`dropout` must be below 1"),
        (lambda: gr.stack(gr.lstm, norm="layer"), "`norm` must be one of"),
        (lambda: gr.stack(gr.lstm, residual=1), "`residual` must be True or False"),
        (lambda: gr.bidirectional(gr.lstm, merge="max"), "`merge` must be one of concat, sum, mean, product"),
        (lambda: gr.bidirectional(None), "`forward` must be a gatedrnn.Cell"),
        (lambda: gr.learned_carry(gr.stack(gr.lstm)), "`cell` must be a single cell"),
        (lambda: gr.stack(gr.lstm, layers=2).init(jax.random.key(0), 3, (4, 5, 6)), "`hidden_size` must be one size"),
        (lambda: gr.stack(gr.lstm, layers=2, residual=True).init(jax.random.key(0), 3, (4, 5)), "`residual` adds"),
        (lambda: gr.unroll(gr.stack(gr.lstm), LSTM, jnp.ones((2, 3))), "weights of the"),
        (lambda: gr.unroll(gr.lstm, LSTM, jnp.ones((2, 3)), key=jax.random.key(0)),
         "`key` must be None for the cell 'lstm', which draws nothing"),
    ],
)  # fmt: skip
def test_refusals(make, words):
    with pytest.raises(ValueError, match="must be") as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.slow
@each_network
def test_laws_hold(network):
    """Of networks as of cells."""
    assert gr.check_cell(network) == ("fit", "batch", "mask", "reset", "gradient")


@pytest.mark.slow
def test_noise_is_a_law():
    assert "noise" in gr.check_cell(gr.stack(gr.regularised(gr.gru, zoneout=0.2), layers=2, dropout=0.3))


@pytest.mark.slow
def test_a_network_is_trained_saved_and_loaded(tmp_path):
    """With noise in training and none in tests; sizes of the readout are those of what the network shows."""
    network = gr.stack(gr.bidirectional(gr.gru), gr.lstm, dropout=0.2)
    setup = gr.train.Setup(gr.tasks.adding, network, horizon=10, hidden_size=6, batch=16)
    fitted = gr.train.fit(setup, steps=30, test_every=30, test_batches=1)
    params = fitted.params()
    path = gr.models.save(tmp_path, setup.model, params, {})
    loaded = gr.load(path)
    assert loaded.model.cell == network
    xs = jax.random.normal(jax.random.key(0), (5, 2, 2))
    assert_close(loaded.model(loaded.params, xs)[1], setup.model(params, xs)[1], "float32", 1)
