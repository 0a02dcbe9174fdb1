"""Text from models: drawn by given odds, the likeliest symbols, and a model as an argument under jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from scipy import stats

import gatedrnn as gr
from gatedrnn.models import Model, ModelParams, generate

every_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
SYMBOLS = 4
PROMPT = jnp.array([1, 2])


@pytest.fixture(scope="module")
def odds(drawn):
    """A model of zero weights, so that the readout's bias alone says how likely the symbols are."""
    model = Model(gr.lstm, SYMBOLS, 2, SYMBOLS, 3)
    params = jax.tree.map(lambda a: jnp.asarray(np.zeros(a.shape, a.dtype)), drawn(model))
    return model, params._replace(readout=params.readout | {"b": jnp.array([0.0, 1.0, 2.0, -1.0])})


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_frequencies_follow_softmax(odds, temperature):
    """10,000 draws at each temperature, by chi-square; and one draw does not depend on the one before it."""
    model, params = odds
    text = np.asarray(generate(model, params, jax.random.key(5), PROMPT, 10_000, temperature))
    assert (text.dtype, text.shape) == (np.int32, (10_000,))
    likely = np.exp(np.float64(params.readout["b"]) / temperature)
    likely /= likely.sum()
    found = np.bincount(text, minlength=SYMBOLS)
    often = likely * text.size >= 5
    assert not found[~often].sum() > 40
    expected = likely[often] / likely[often].sum() * found[often].sum()
    assert stats.chisquare(found[often], expected).pvalue > 1e-3
    pairs = np.zeros((SYMBOLS, SYMBOLS))
    np.add.at(pairs, (text[:-1:2], text[1::2]), 1)
    likeliest = likely * text.size / 2 >= 100
    assert stats.chi2_contingency(pairs[np.ix_(likeliest, likeliest)]).pvalue > 1e-3


def test_equal_keys_equal_text(odds):
    """Another key, another text; a longer one under the same key is another, too."""
    model, params = odds
    texts = [np.asarray(generate(model, params, jax.random.key(key), PROMPT, 40)) for key in (0, 0, 1)]
    np.testing.assert_array_equal(texts[0], texts[1])
    assert (texts[0] != texts[2]).any()


@pytest.fixture
def trained(drawn):
    """(cell) -> a model whose next symbol hangs on all before it."""

    def make(cell):
        model = Model(cell, SYMBOLS, 6, SYMBOLS, 3)
        return model, drawn(model, seed=7)

    return make


@every_cell
def test_temperature_zero_takes_the_likeliest(cell, trained):
    """By hand: the whole sequence through the model, and the largest output of the last step, again and again."""
    model, params = trained(cell)
    got = generate(model, params, jax.random.key(0), PROMPT, 12, 0.0)
    there = jax.tree.map(np.float64, params)
    symbols = PROMPT.tolist()
    for _ in range(12):
        ys = reference.LOOPS[cell.name](there.cell, there.embedding[symbols][:, None]).ys[-1, 0]
        symbols.append(int(np.argmax(ys @ there.readout["w"] + there.readout["b"])))
    assert got.tolist() == symbols[2:]
    assert len(set(symbols)) > 1
    assert got.tolist() == generate(model, params, jax.random.key(9), PROMPT, 12, 0).tolist()
    assert got.tolist() == generate(model, params, jax.random.key(9), PROMPT, 12, 1e-6).tolist()


def test_text_is_drawn_from_what_the_model_expects(trained):
    """Every draw by hand: softmax of the outputs of `model` over the whole text so far, under the keys in order."""
    model, params = trained(gr.gru)
    key = jax.random.key(3)
    got = generate(model, params, key, PROMPT, 8, 0.7).tolist()
    symbols = jnp.array([*PROMPT.tolist(), *got])
    _, ys = model(params, symbols[:-1])
    keys = jax.random.split(key, 9)
    by_hand = [int(jax.random.categorical(keys[i], ys[1 + i] / jnp.float32(0.7))) for i in range(8)]
    assert got == by_hand


@pytest.mark.parametrize("temperature", [0.7, np.array([0.0, 0.7, 2.0])])
def test_several_prompts(temperature, trained):
    """Each as it goes on alone, under its own part of the key; and under `jit` as outside."""
    model, params = trained(gr.gru)
    key, prompts = jax.random.key(3), jnp.array([[1, 2], [3, 0], [1, 2]])
    got = generate(model, params, key, prompts, 8, temperature)
    assert (got.shape, got.dtype) == ((3, 8), jnp.int32)
    keys, each = jax.random.split(key, 3), np.broadcast_to(temperature, 3)
    alone = [generate(model, params, keys[b], prompts[b], 8, float(each[b])) for b in range(3)]
    np.testing.assert_array_equal(got, np.stack(alone))
    jitted = jax.jit(lambda prompts, temperature: generate(model, params, key, prompts, 8, temperature))
    np.testing.assert_array_equal(got, jitted(prompts, jnp.asarray(temperature, jnp.float32)))


@pytest.mark.parametrize("filling", [0, 3, -1, 99])
def test_prompts_of_several_lengths(trained, filling):
    """Whatever stands behind each, it goes on as alone; and under `jit`."""
    model, params = trained(gr.lstm)
    key, parts = jax.random.key(3), [[1, 2, 3, 0], [2], [3, 1]]
    prompts = jnp.array([part + [filling] * (4 - len(part)) for part in parts])
    lengths = jnp.array([len(part) for part in parts])
    got = generate(model, params, key, prompts, 8, 0.7, lengths=lengths)
    keys = jax.random.split(key, 3)
    alone = [generate(model, params, keys[b], jnp.array(parts[b]), 8, 0.7) for b in range(3)]
    np.testing.assert_array_equal(got, np.stack(alone))
    jitted = jax.jit(lambda prompts, lengths: generate(model, params, key, prompts, 8, 0.7, lengths=lengths))
    np.testing.assert_array_equal(got, jitted(prompts, lengths))


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_text_in_other_dtypes(dtype, drawn):
    """Prompts of bytes, weights of half or double precision: whole numbers in range."""
    with jax.enable_x64(dtype == "float64"):
        model = Model(gr.gru, 256, 3, 256, 2)
        params = drawn(model, dtype)
        got = generate(model, params, jax.random.key(0), np.frombuffer(b"ab\xff", np.uint8), 5)
    assert (got.dtype, got.shape) == (jnp.int32, (5,))
    assert ((np.asarray(got) >= 0) & (np.asarray(got) < 256)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": Model(gr.lstm, 4, 2, 4)}, "`model` must be .* the next of its own symbols; got 4 features"),
        ({"model": Model(gr.lstm, 4, 2, 3, 3)}, "`model` must be .* the next of its own symbols; got 4 symbols"),
        ({"length": 0}, "`length` must be a whole number .*; got 0"),
        ({"length": 2.5}, "`length` must be a whole number .*; got 2.5"),
        ({"temperature": -0.1}, "`temperature` must be a finite number .*; got -0.1"),
        ({"temperature": float("nan")}, "`temperature` must be a finite number .*; got nan"),
        ({"temperature": float("inf")}, "`temperature` must be a finite number .*; got inf"),
        ({"prompt": jnp.array([], jnp.int32)}, r"`prompt` must be at least one symbol, .*; got int32 \(0,\)"),
        ({"prompt": jnp.array([[[1]]])}, r"`prompt` must be .* \[P\] or \[B, P\]; got int32 \(1, 1, 1\)"),
        ({"prompt": jnp.array(1)}, r"`prompt` must be .* \[P\] or \[B, P\]; got int32 \(\)"),
        ({"prompt": jnp.array([[1], [7]])}, "`prompt` must be of symbols from 0 to 3; got 7"),
        ({"prompt": jnp.zeros((0, 3), int)}, "`prompt` must be at least one symbol"),
        ({"temperature": 1e300}, "`temperature` must be a finite number .*; got 1e\\+300"),
        ({"temperature": jnp.ones(2)}, r"`temperature` must be one number for one prompt; got the shape \(2,\)"),
        (
            {"prompt": jnp.array([[1], [2]]), "temperature": np.array([1.0, -1.0])},
            "`temperature` must be a finite number .*; got -1.0",
        ),
        (
            {"prompt": jnp.array([[1], [2]]), "temperature": np.ones(3)},
            r"`temperature` must be one number, or one for each of the 2 prompts; got the shape \(3,\)",
        ),
        ({"prompt": jnp.array([1.0])}, r"`prompt` must be .* whole numbers \[P\] or \[B, P\]; got float32 \(1,\)"),
        ({"prompt": jnp.array([0, 4])}, "`prompt` must be of symbols from 0 to 3; got 4"),
        ({"lengths": jnp.array([1])}, r"`lengths` must be .* for prompts \[B, P\] = \(2,\)"),
        ({"prompt": jnp.ones((2, 3), int), "lengths": np.array([1, 4])}, "`lengths` must be .* from 1 to P.*; got 4"),
        ({"prompt": jnp.ones((2, 3), int), "lengths": np.array([0, 3])}, "`lengths` must be .* from 1 to P.*; got 0"),
        ({"prompt": jnp.ones((2, 3), int), "lengths": np.ones(2)}, r"`lengths` must be .*; got float"),
        ({"prompt": jnp.ones((2, 3), int), "lengths": np.ones(3, int)}, r"`lengths` must be .*; got int"),
        ({"prompt": jnp.array([-1])}, "`prompt` must be of symbols from 0 to 3; got -1"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else next(iter(value)),
)
def test_text_refused(odds, change, message):
    """One sentence that names the argument."""
    model, params = odds
    given = {"model": model, "params": params, "key": jax.random.key(0), "prompt": PROMPT, "length": 3} | change
    with pytest.raises(ValueError, match=f"^{message}"):
        generate(**given)


def test_params_are_a_tree_of_their_own(odds):
    """A model is a static value: it crosses `jit` as an argument, and equal ones are equal."""
    model, params = odds
    assert isinstance(params, ModelParams)
    assert model == Model(gr.lstm, SYMBOLS, 2, SYMBOLS, 3) and hash(model) == hash(
        Model(gr.lstm, SYMBOLS, 2, SYMBOLS, 3)
    )
    ys = jax.jit(lambda model, params, xs: model(params, xs)[1])(model, params, PROMPT)
    np.testing.assert_array_equal(ys, np.broadcast_to(params.readout["b"], (2, SYMBOLS)))
