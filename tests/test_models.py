"""Models against literal loops in float64; saved and loaded bit for bit; hostile files; and text from given odds."""

import json
import pickle
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from safetensors.numpy import load_file, save_file
from scipy import stats
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.models import CELLS, Model, ModelParams, count, generate, hidden_size_for, load, save

T, B, V, D, H, OUT = 6, 2, 7, 3, 4, 5
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def plain(tree):
    """Every leaf in float64, as NumPy."""
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def drawn(model, dtype="float32", seed=0):
    """Weights of a model, none of which is zero; without the compilation of `init`."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda a: jnp.asarray(rng.normal(size=a.shape), dtype), jax.eval_shape(model.init, jax.random.key(0))
    )


def reject(constant):
    """NaN and Infinity are no JSON."""
    raise AssertionError(constant)


def tree(folder):
    """Everything below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("symbols", [False, True], ids=["features", "symbols"])
@every_cell
def test_outputs_are_those_of_a_literal_loop(cell, symbols):
    """Rows of the embedding, the recurrence, the readout: in float64, from weights none of which is zero."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        model = Model(cell, V, H, OUT, D if symbols else None)
        params = drawn(model, "float64")
        xs = rng.integers(0, V, (T, B)) if symbols else rng.normal(size=(T, B, V))
        carry, ys = model(params, jnp.asarray(xs))
    there = plain(params)
    features = there.embedding[xs] if symbols else xs
    want = getattr(reference, cell.name)(there.cell, features)
    assert_close(ys, want.ys @ there.readout["w"] + there.readout["b"], "float64", T * H)
    assert_close(tuple(carry), want.carry, "float64", T * H)


@every_cell
def test_mask_and_reset_reach_the_recurrence(cell):
    """A masked step holds the carry and reads out zeros: the readout's bias alone."""
    model = Model(cell, V, H, OUT)
    params = drawn(model)
    rng = np.random.default_rng(1)
    xs, mask, reset = rng.normal(size=(T, B, V)).astype(np.float32), rng.random((T, B)) < 0.6, rng.random((T, B)) < 0.3
    carry, ys = model(params, jnp.asarray(xs), mask=jnp.asarray(mask), reset=jnp.asarray(reset))
    there = plain(params)
    want = getattr(reference, cell.name)(there.cell, xs, mask=mask, reset=reset)
    assert_close(ys, want.ys @ there.readout["w"] + there.readout["b"], "float32", T * H)
    assert_close(tuple(carry), want.carry, "float32", T * H)
    np.testing.assert_array_equal(ys[~mask], np.broadcast_to(params.readout["b"], ys[~mask].shape))


@every_cell
def test_first_weights(cell):
    """Sizes and dtypes as promised; the readout of variance 1 / H and without bias."""
    model = Model(cell, 9, 200, 300, 50)
    params = model.init(jax.random.key(3))
    assert params.embedding.shape == (9, 50)
    chex.assert_trees_all_equal(params.cell, cell.init(jax.random.split(jax.random.key(3), 3)[1], 50, 200))
    assert not params.readout["b"].any()
    assert params.readout["b"].shape == (300,)
    w = np.asarray(params.readout["w"], np.float64)
    assert w.shape == (200, 300)
    assert abs(w.std() * 200**0.5 - 1) < 4 / (2 * w.size) ** 0.5
    assert abs(params.embedding.std() - 1) < 4 / (2 * 450) ** 0.5


def test_options_and_dtype_reach_the_cell():
    """`chrono` and bfloat16; without an embedding there is none."""
    given = Model(gr.lstm, 9, 4, 3).init(jax.random.key(3), chrono=50, dtype="bfloat16")
    want = gr.lstm.init(jax.random.split(jax.random.key(3), 3)[1], 9, 4, chrono=50, dtype="bfloat16")
    chex.assert_trees_all_equal(given.cell, want)
    assert given.embedding is None
    assert {leaf.dtype for leaf in jax.tree.leaves(given)} == {jnp.dtype("bfloat16")}


GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def counted(name, inputs, hidden, outputs):
    """Weights of a model without embedding, by hand: input, recurrence, biases (the GRU's second one), readout."""
    biases = hidden * (GATES[name] + (name == "gru"))
    return GATES[name] * hidden * (inputs + hidden) + biases + outputs * (hidden + 1)


@every_cell
def test_hidden_size_for_a_number_of_weights(cell):
    """The largest H that fits, at and just below the sizes of models: by enumeration."""
    by_hand = {hidden: counted(cell.name, 2, hidden, 3) for hidden in range(1, 5)}
    assert by_hand == {h: count(jax.eval_shape(Model(cell, 2, h, 3).init, jax.random.key(0))) for h in by_hand}
    assert count({"a": np.zeros((2, 3)), "b": [np.zeros(()), None]}) == 7
    for weights in (by_hand[1], by_hand[3] - 1, by_hand[3], by_hand[4] - 1):
        assert hidden_size_for(cell, 2, 3, weights) == max(h for h, total in by_hand.items() if total <= weights)
    large = hidden_size_for(cell, 1, 10, 10**5)
    assert counted(cell.name, 1, large, 10) <= 10**5 < counted(cell.name, 1, large + 1, 10)


@every_cell
def test_not_even_one_unit_fits(cell):
    least = counted(cell.name, 2, 1, 3)
    assert hidden_size_for(cell, 2, 3, least) == 1
    with pytest.raises(
        ValueError, match=rf"`weights` must be at least {least} for one unit of {cell.name}; got {least - 1}\.$"
    ):
        hidden_size_for(cell, 2, 3, least - 1)


@pytest.mark.parametrize("size", [0, -1, 2.0, "4", True])
def test_sizes_that_are_none(size):
    sizes = {"input_size": 2, "hidden_size": 3, "output_size": 4, "embedding_size": 5}
    for name in sizes:
        with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1; got "):
            Model(gr.gru, **sizes | {name: size})


NAMES = {
    "rnn": ["cell.input.b", "cell.input.w", "cell.recurrent.w"],
    "gru": ["cell.input.b", "cell.input.w", "cell.recurrent.b", "cell.recurrent.w"],
    "lstm": ["cell.input.b", "cell.input.w", "cell.recurrent.w"],
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@every_cell
def test_saved_and_loaded_bit_for_bit(tmp_path, cell, dtype):
    """Every leaf, the GRU's second bias too, in its own dtype; by the folder or by the file."""
    about = {"task": "text", "größe": [1, 2.5, None], "deep": {"a": True}}
    with jax.enable_x64(dtype == "float64"):
        model = Model(cell, V, H, OUT, D if cell is gr.gru else None)
        params = drawn(model, dtype)
        path = save(tmp_path / "new" / "folder", model, params, about)
        assert path == tmp_path / "new" / "folder" / "model.safetensors"
        for given in (path, str(path.parent)):
            found = load(given)
            assert (found.model, found.about) == (model, about)
            assert {leaf.dtype for leaf in jax.tree.leaves(found.params)} == {jnp.dtype(dtype)}
            chex.assert_trees_all_equal(found.params, params)
    assert sorted(tree(path.parent)) == ["model.json", "model.safetensors"]


def test_weights_that_are_no_numbers_and_of_several_dtypes(tmp_path):
    """Infinities, NaN with its bits, negative zero, the smallest number; one leaf in bfloat16 among float32."""
    model = Model(gr.rnn, 2, 2, 1)
    params = drawn(model)
    odd = np.array([[np.inf, -0.0], [np.float32(1e-45), 0]], np.float32)
    odd.view(np.uint32)[1, 1] = 0x7FC12345
    params = params._replace(cell=params.cell._replace(recurrent={"w": jnp.asarray(odd)}))
    params = params._replace(readout=params.readout | {"b": jnp.ones(1, jnp.bfloat16)})
    found = load(save(tmp_path, model, params, {})).params
    np.testing.assert_array_equal(np.array(found.cell.recurrent["w"]).view(np.uint32), odd.view(np.uint32))
    assert (found.readout["b"].dtype, found.readout["w"].dtype) == (jnp.bfloat16, jnp.float32)


@every_cell
def test_files_are_plain(tmp_path, cell):
    """The safetensors library finds the arrays under their names; the JSON is strict and says what they are."""
    model = Model(cell, V, H, OUT, D)
    params = drawn(model)
    save(tmp_path, model, params, {"loss": float("nan"), "best": [float("inf"), 1.0]}, "a.b-0")
    found = load_file(tmp_path / "a.b-0.safetensors")
    assert sorted(found) == [*NAMES[cell.name], "embedding", "readout.b", "readout.w"]
    np.testing.assert_array_equal(found["cell.input.w"], params.cell.input["w"])
    np.testing.assert_array_equal(found["readout.w"], params.readout["w"])
    text = (tmp_path / "a.b-0.json").read_text("utf-8")
    assert json.loads(text, parse_constant=reject) == {
        "format": "gatedrnn model 1",
        "cell": cell.name,
        "input_size": V,
        "hidden_size": H,
        "output_size": OUT,
        "embedding_size": D,
        "about": {"loss": None, "best": [None, 1.0]},
    }
    assert load(tmp_path / "a.b-0.safetensors").model == model


def test_saved_over_an_older_one(tmp_path):
    """The new pair replaces the old one; other files stay."""
    small, large = Model(gr.rnn, 1, 2, 1), Model(gr.lstm, 1, 3, 1)
    save(tmp_path, small, drawn(small), {})
    (tmp_path / "notes").write_text("mine")
    save(tmp_path, large, drawn(large), {})
    assert load(tmp_path).model == large
    assert (tmp_path / "notes").read_text() == "mine"


def foreign():
    """A recurrence of somebody else's, though of a known name."""
    return gr.Cell.from_step("gru", gr.gru.step, init=gr.gru.init, initial_carry=gr.gru.initial_carry)


SMALL = Model(gr.gru, 2, 3, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": Model(foreign(), 2, 3, 1)}, "`model` must be of a cell that can be found by its name: rnn, gru, ls"),
        ({"model": Model(gr.gru, 2, 4, 1)}, "`params` must be weights of the model's sizes; got "),
        ({"model": Model(gr.lstm, 2, 3, 1)}, "`params` must be weights of the model's sizes; got "),
        ({"model": Model(gr.gru, 2, 3, 1, 2)}, "`params` must be weights of the model's sizes; got "),
        ({"about": {"x": object()}}, "`about` must be values that JSON knows; got Object of type object"),
        ({"about": {"x": np.float32(1)}}, "`about` must be values that JSON knows; got Object of type float32"),
        ({"name": "a/b"}, "`name` must be a name for files, without a folder; got 'a/b'."),
        ({"name": "../b"}, "`name` must be a name for files, without a folder; got '../b'."),
        ({"name": ""}, "`name` must be a name for files, without a folder; got ''."),
        ({"name": "n" * 300}, "`folder` must be one that can be written to; got '"),
        ({"folder": "file"}, "`folder` must be a folder that can be written to; got '"),
        ({"folder": "file/below"}, "`folder` must be a folder that can be written to; got '"),
        ({"folder": "/proc/none"}, "`folder` must be a folder that can be written to; got '/proc/none': "),
        ({"folder": "taken"}, "`folder` must be a folder where files can be written; got a folder in place of '"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else next(iter(value)),
)
def test_refused_and_nothing_written(tmp_path, change, message):
    """One sentence, and the disk as it was: neither half a pair nor a new folder."""
    (tmp_path / "file").write_text("a file")
    (tmp_path / "taken" / "model.json").mkdir(parents=True)
    given = {"model": SMALL, "params": drawn(SMALL), "about": {}, "name": "model", "folder": "new"}
    given |= change
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="must be") as caught:
        save(tmp_path / given["folder"], given["model"], given["params"], given["about"], given["name"])
    assert str(caught.value).startswith(message)
    assert tree(tmp_path) == before


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with a saved model."""
    model = Model(gr.gru, 5, 3, 5, 4)
    return save(tmp_path_factory.mktemp("good"), model, drawn(model), {"task": "none"}).parent


def says(**changes):
    """The JSON with other values."""

    def change(folder):
        file = folder / "model.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def holds(name, data):
    """Other bytes in a file."""
    return lambda folder: (folder / name).write_bytes(data)


def cut(size):
    """The weights end early."""
    return lambda folder: holds(W, (folder / W).read_bytes()[:size])(folder)


def weights(alter):
    """Other arrays in a sound file."""
    return lambda folder: save_file(alter(load_file(folder / W)), folder / W)


def swapped(folder):
    (folder / W).rename(folder / "other")
    (folder / J).rename(folder / W)
    (folder / "other").rename(folder / J)


def folder_for(name):
    """A folder in place of a file."""

    def change(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


class Bomb:
    """Unpickling it raises, loudly."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


W, J = "model.safetensors", "model.json"
NOISE = np.random.default_rng(0).bytes(700)
MISFIT = "`path` must be weights of the sizes that its JSON says; got others in "
HOSTILE = {
    "no JSON": (lambda folder: (folder / J).unlink(), J, "No such file or directory"),
    "no weights": (lambda folder: (folder / W).unlink(), W, "No such file or directory"),
    "a folder for JSON": (folder_for(J), J, "Is a directory"),
    "a folder for weights": (folder_for(W), W, "Is a directory"),
    "swapped": (swapped, J, "can't decode"),
    "JSON is noise": (holds(J, NOISE), J, "can't decode"),
    "JSON is empty": (holds(J, b""), J, "Expecting value"),
    "JSON is cut": (holds(J, b'{"format": "gated'), J, "Unterminated string"),
    "JSON is a list": (holds(J, b"[]"), J, "not of the format 'gatedrnn model 1'"),
    "JSON of another format": (holds(J, b'{"format": "other", "cell": "gru"}'), J, "not of the format"),
    "JSON of a later format": (says(format="gatedrnn model 2"), J, "not of the format 'gatedrnn model 1'"),
    "JSON without the rest": (holds(J, b'{"format": "gatedrnn model 1", "cell": "gru"}'), J, "without about, embedd"),
    "JSON without end": (holds(J, b"[" * 100_000), J, "recursion"),
    "unknown cell": (says(cell="elman"), J, "the unknown cell 'elman'"),
    "a list of cells": (says(cell=["gru"]), J, "the unknown cell ['gru']"),
    "another cell": (says(cell="lstm"), W, MISFIT),
    "wrong size": (says(input_size=6), W, MISFIT),
    "no embedding": (says(embedding_size=None), W, MISFIT),
    "huge size": (says(hidden_size=10**9), W, MISFIT),
    "size beyond any array": (says(hidden_size=10**30), J, "too large"),
    "negative size": (says(hidden_size=-3), J, "`hidden_size` must be a whole number of at least 1; got -3"),
    "size zero": (says(output_size=0), J, "`output_size` must be a whole number of at least 1; got 0"),
    "size in words": (says(embedding_size="4"), J, "`embedding_size` must be a whole number of at least 1; got '4'"),
    "fraction": (says(hidden_size=2.5), J, "`hidden_size` must be a whole number of at least 1; got 2.5"),
    "about is a word": (says(about="ab"), J, "`about` is no object"),
    "weights are empty": (cut(0), W, "header too small"),
    "weights are cut in the header": (cut(100), W, "header"),
    "weights are cut by a byte": (cut(-1), W, "not fully covered"),
    "weights are noise": (holds(W, NOISE), W, "header"),
    "weights are a pickle": (holds(W, pickle.dumps({"a": Bomb()})), W, "header"),
    "JSON is a pickle": (holds(J, pickle.dumps({"a": Bomb()})), J, "can't decode"),
    "an array too many": (weights(lambda a: a | {"more": np.zeros(2, np.float32)}), W, MISFIT),
    "an array too few": (weights(lambda a: {name: a[name] for name in a if name != "embedding"}), W, MISFIT),
    "whole numbers": (weights(lambda a: {n: v.astype(np.int32) for n, v in a.items()}), W, "weights of the type I32"),
    "float64": (weights(lambda a: {n: v.astype(np.float64) for n, v in a.items()}), W, "jax_enable_x64"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "name", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(good, tmp_path, change, name, message):
    """One sentence that names the file at fault; nothing in it is run, nothing on the disk is changed."""
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    change(folder)
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="^`path` must be ") as caught:
        load(folder)
    said = str(caught.value)
    assert message in said
    assert repr(str(folder / name)) in said
    assert said.endswith(".") and not said.endswith("..") and "\n" not in said
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["absent", "absent.safetensors", "empty", "n" * 300, "a\0b", "model.json/below"])
def test_where_no_model_is(good, name):
    """A path to nothing, a folder without a model, a path that no system knows."""
    (good / "empty").mkdir(exist_ok=True)
    with pytest.raises(
        ValueError, match=r"^`path` must be a saved model, its JSON beside it; got '[^\n]*\.$"
    ) as caught:
        load(good / name)
    assert repr(str(good / name).split("\0")[0])[1:-1] in str(caught.value).replace("\\x00", "\0")


SYMBOLS = 4
PROMPT = jnp.array([1, 2])


@pytest.fixture(scope="module")
def odds():
    """A model of zero weights, so that the readout's bias alone says how likely the symbols are."""
    model = Model(gr.lstm, SYMBOLS, 2, SYMBOLS, 3)
    params = jax.tree.map(lambda a: jnp.asarray(np.zeros(a.shape, a.dtype)), drawn(model))
    return model, params._replace(readout=params.readout | {"b": jnp.array([0.0, 1.0, 2.0, -1.0])})


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_frequencies_follow_softmax(odds, temperature):
    """10,000 draws at each temperature, by chi-square; and one draw does not depend on the one before it."""
    model, params = odds
    drawn = np.asarray(generate(model, params, jax.random.key(5), PROMPT, 10_000, temperature))
    assert (drawn.dtype, drawn.shape) == (np.int32, (10_000,))
    likely = np.exp(np.float64(params.readout["b"]) / temperature)
    likely /= likely.sum()
    found = np.bincount(drawn, minlength=SYMBOLS)
    often = likely * drawn.size >= 5
    assert not found[~often].sum() > 40
    expected = likely[often] / likely[often].sum() * found[often].sum()
    assert stats.chisquare(found[often], expected).pvalue > 1e-3
    pairs = np.zeros((SYMBOLS, SYMBOLS))
    np.add.at(pairs, (drawn[:-1:2], drawn[1::2]), 1)
    likeliest = likely * drawn.size / 2 >= 100
    assert stats.chi2_contingency(pairs[np.ix_(likeliest, likeliest)]).pvalue > 1e-3


def test_equal_keys_equal_text(odds):
    """Another key, another text; a longer one under the same key is another, too."""
    model, params = odds
    texts = [np.asarray(generate(model, params, jax.random.key(key), PROMPT, 40)) for key in (0, 0, 1)]
    np.testing.assert_array_equal(texts[0], texts[1])
    assert (texts[0] != texts[2]).any()


def trained(cell):
    """A model whose next symbol hangs on all before it."""
    model = Model(cell, SYMBOLS, 6, SYMBOLS, 3)
    return model, drawn(model, seed=7)


@every_cell
def test_temperature_zero_takes_the_likeliest(cell):
    """By hand: the whole sequence through the model, and the largest output of the last step, again and again."""
    model, params = trained(cell)
    got = generate(model, params, jax.random.key(0), PROMPT, 12, 0.0)
    there = plain(params)
    symbols = PROMPT.tolist()
    for _ in range(12):
        ys = getattr(reference, cell.name)(there.cell, there.embedding[symbols][:, None]).ys[-1, 0]
        symbols.append(int(np.argmax(ys @ there.readout["w"] + there.readout["b"])))
    assert got.tolist() == symbols[2:]
    assert len(set(symbols)) > 1
    assert got.tolist() == generate(model, params, jax.random.key(9), PROMPT, 12, 0).tolist()
    assert got.tolist() == generate(model, params, jax.random.key(9), PROMPT, 12, 1e-6).tolist()


def test_text_is_drawn_from_what_the_model_expects():
    """Every draw by hand: softmax of the outputs of `model` over the whole text so far, under the keys in order."""
    model, params = trained(gr.gru)
    key = jax.random.key(3)
    got = generate(model, params, key, PROMPT, 8, 0.7).tolist()
    symbols = jnp.array([*PROMPT.tolist(), *got])
    _, ys = model(params, symbols[:-1])
    keys = jax.random.split(key, 9)
    by_hand = [int(jax.random.categorical(keys[i], ys[1 + i] / jnp.float32(0.7))) for i in range(8)]
    assert got == by_hand


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_text_in_other_dtypes(dtype):
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
        (
            {"model": Model(gr.lstm, 4, 2, 4)},
            "`model` must be one that predicts the next of its own symbols; got 4 fea",
        ),
        (
            {"model": Model(gr.lstm, 4, 2, 3, 3)},
            "`model` must be one that predicts the next of its own symbols; got 4 s",
        ),
        ({"length": 0}, "`length` must be a whole number of at least 1; got 0."),
        ({"length": 2.5}, "`length` must be a whole number of at least 1; got 2.5."),
        ({"temperature": -0.1}, "`temperature` must be a finite number of at least 0; got -0.1."),
        ({"temperature": float("nan")}, "`temperature` must be a finite number of at least 0; got nan."),
        ({"temperature": float("inf")}, "`temperature` must be a finite number of at least 0; got inf."),
        (
            {"prompt": jnp.array([], jnp.int32)},
            "`prompt` must be at least one symbol, whole numbers [P]; got int32 (0,)",
        ),
        ({"prompt": jnp.array([[1]])}, "`prompt` must be at least one symbol, whole numbers [P]; got int32 (1, 1)."),
        ({"prompt": jnp.array([1.0])}, "`prompt` must be at least one symbol, whole numbers [P]; got float32 (1,)."),
        ({"prompt": jnp.array([0, 4])}, "`prompt` must be of symbols below 4; got 4."),
        ({"prompt": jnp.array([-1])}, "`prompt` must be of symbols below 4; got -1."),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else next(iter(value)),
)
def test_text_refused(odds, change, message):
    """One sentence that names the argument."""
    model, params = odds
    given = {"model": model, "params": params, "key": jax.random.key(0), "prompt": PROMPT, "length": 3} | change
    with pytest.raises(ValueError, match="must be") as caught:
        generate(**given)
    assert str(caught.value).startswith(message)


def test_params_are_a_tree_of_their_own(odds):
    """A model is a static value: it crosses `jit` as an argument, and equal ones are equal."""
    model, params = odds
    assert isinstance(params, ModelParams)
    assert model == Model(gr.lstm, SYMBOLS, 2, SYMBOLS, 3) and hash(model) == hash(
        Model(gr.lstm, SYMBOLS, 2, SYMBOLS, 3)
    )
    ys = jax.jit(lambda model, params, xs: model(params, xs)[1])(model, params, PROMPT)
    np.testing.assert_array_equal(ys, np.broadcast_to(params.readout["b"], (2, SYMBOLS)))
