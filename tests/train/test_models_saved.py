"""Models saved and loaded bit for bit, in plain files; what cannot be saved is refused and nothing is written."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from safetensors.numpy import load_file

import gatedrnn as gr
from gatedrnn.models import Model, load, save

V, D, H, OUT = 7, 3, 4, 5
every_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@every_cell
def test_saved_and_loaded_bit_for_bit(tmp_path, cell, dtype, drawn, tree):
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


def test_weights_that_are_no_numbers_and_of_several_dtypes(tmp_path, drawn):
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
def test_files_are_plain(tmp_path, cell, drawn, strict_json):
    """The safetensors library finds the arrays under their names; the JSON is strict and says what they are."""
    model = Model(cell, V, H, OUT, D)
    params = drawn(model)
    save(tmp_path, model, params, {"loss": float("nan"), "best": [float("inf"), 1.0]}, "a.b-0")
    found = load_file(tmp_path / "a.b-0.safetensors")
    read = reference.weights(cell.name, D, H, np.random.default_rng(0))
    names = {f"cell.{part}.{name}" for part in ("input", "recurrent") for name in getattr(read, part)}
    assert set(found) == {*names, "embedding", "readout.b", "readout.w"}
    np.testing.assert_array_equal(found["cell.input.w"], params.cell.input["w"])
    np.testing.assert_array_equal(found["readout.w"], params.readout["w"])
    text = (tmp_path / "a.b-0.json").read_text("utf-8")
    assert strict_json(text) == {
        "format": "gatedrnn model 1",
        "cell": cell.name,
        "input_size": V,
        "hidden_size": H,
        "output_size": OUT,
        "embedding_size": D,
        "about": {"loss": None, "best": [None, 1.0]},
    }
    assert load(tmp_path / "a.b-0.safetensors").model == model


def test_saved_over_an_older_one(tmp_path, drawn):
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


def test_a_cell_of_the_users(tmp_path, drawn):
    """Found by its name among those given; the package's names stay the package's."""
    own, taken = replace(gr.gru, name="own"), replace(gr.gru, name="lstm")
    model = Model(own, 2, 3, 1)
    save(tmp_path, model, drawn(model), {})
    assert load(tmp_path, cells=(taken, own)).model == model
    with pytest.raises(ValueError, match="the unknown cell 'own'"):
        load(tmp_path, cells=(taken,))
    save(tmp_path, SMALL, drawn(SMALL), {})
    assert load(tmp_path, cells=(own, replace(gr.gru))).model.cell is gr.gru


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": Model(foreign(), 2, 3, 1)}, "`model` must be of a cell with a name of its own"),
        ({"model": Model(gr.gru, 2, 4, 1)}, "`params` must be weights of the model's sizes"),
        ({"model": Model(gr.lstm, 2, 3, 1)}, "`params` must be weights of the model's sizes"),
        ({"model": Model(gr.gru, 2, 3, 1, 2)}, "`params` must be weights of the model's sizes"),
        ({"about": {"x": object()}}, "`about` must be values that JSON knows; got Object of type object"),
        ({"about": {"x": np.float32(1)}}, "`about` must be values that JSON knows; got Object of type float32"),
        ({"name": "a/b"}, "`name` must be a name .* without a folder; got 'a/b'"),
        ({"name": "../b"}, "`name` must be a name .* without a folder; got '../b'"),
        ({"name": ""}, "`name` must be a name .* without a folder; got ''"),
        ({"name": "n" * 300}, "`folder` must be a folder that can be written to"),
        ({"folder": "file"}, "`folder` must be a folder that can be written to"),
        ({"folder": "file/below"}, "`folder` must be a folder that can be written to"),
        ({"folder": "/proc/none"}, "`folder` must be a folder that can be written to; got '/proc/none'"),
        ({"folder": "taken"}, "`folder` must be a folder where files can be written; got a folder in place"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else next(iter(value)),
)
def test_refused_and_nothing_written(tmp_path, change, message, drawn, tree):
    """One sentence, and the disk as it was: neither half a pair nor a new folder."""
    (tmp_path / "file").write_text("a file")
    (tmp_path / "taken" / "model.json").mkdir(parents=True)
    given = {"model": SMALL, "params": drawn(SMALL), "about": {}, "name": "model", "folder": "new"}
    given |= change
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=f"^{message}"):
        save(tmp_path / given["folder"], given["model"], given["params"], given["about"], given["name"])
    assert tree(tmp_path) == before
