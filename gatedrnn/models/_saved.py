"""A saved model is two files: the weights as safetensors, and beside them a small JSON that says what they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._output import whole_files
from gatedrnn.cells.gru import cell as gru
from gatedrnn.cells.lstm import cell as lstm
from gatedrnn.cells.rnn import cell as rnn
from gatedrnn.models._model import Model, ModelParams

CELLS: Mapping[str, Cell] = {cell.name: cell for cell in (rnn, gru, lstm)}
FORMAT = "gatedrnn model 1"


class Loaded(NamedTuple):
    """What `load` gives.

    Attributes:
        model: the function.
        params: its weights.
        about: what was said of it when it was saved.
    """

    model: Model
    params: ModelParams
    about: dict[str, Any]


def save(folder: str | Path, model: Model, params: ModelParams, about: Mapping[str, Any], name: str = "model") -> Path:
    """Writes `NAME.safetensors` and `NAME.json` into a folder, both or neither.

    Args:
        folder: made if it is not there.
        model: its cell must be one of the package's, which are found again by name.
        params: the weights.
        about: anything else worth knowing, as JSON.
        name: of the two files.

    Returns:
        The path of the weights.

    Raises:
        ValueError: the cell is not one of the package's, or the folder cannot be written to.
    """
    if CELLS.get(model.cell.name) is not model.cell:
        raise fail("model", f"of a cell that can be found by its name: {', '.join(CELLS)}", model.cell.name)
    from safetensors.flax import save_file

    described = {
        "format": FORMAT,
        "cell": model.cell.name,
        "input_size": model.input_size,
        "hidden_size": model.hidden_size,
        "output_size": model.output_size,
        "embedding_size": model.embedding_size,
        "about": dict(about),
    }
    with whole_files(folder) as draft:
        save_file(_named(params), draft / f"{name}.safetensors")
        (draft / f"{name}.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return Path(folder) / f"{name}.safetensors"


def load(path: str | Path) -> Loaded:
    """Reads a saved model.

    Args:
        path: the `.safetensors` file, its JSON beside it; or a folder with `model.safetensors`.

    Raises:
        ValueError: a file is missing, is not of a saved model, or does not fit the other.

    Example:
        >>> import tempfile, jax, gatedrnn as gr
        >>> from gatedrnn.models import Model, save
        >>> model = Model(gr.gru, 3, 8, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(folder, model, model.init(jax.random.key(0)), {"task": "none"})
        ...     loaded = gr.load(path)
        >>> loaded.model == model, loaded.about
        (True, {'task': 'none'})
    """
    from safetensors import SafetensorError
    from safetensors.flax import load_file

    path = Path(path)
    weights = path / "model.safetensors" if path.is_dir() else path
    try:
        described = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        if not isinstance(described, dict) or described.get("format") != FORMAT:
            raise fail("path", f"a model saved as {FORMAT!r}", f"another file: {str(weights.with_suffix('.json'))!r}")
        sizes = {name: described[name] for name in ("input_size", "hidden_size", "output_size", "embedding_size")}
        model = Model(CELLS[described["cell"]], **sizes)
        arrays, about = load_file(weights), dict(described["about"])
    except OSError as error:
        raise fail("path", "a saved model, its JSON beside it", f"{error.filename!r}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise fail("path", "a saved model", f"{str(weights)!r}: {error}") from None
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    expected = _named(shapes)
    if {name: a.shape for name, a in arrays.items()} != {name: a.shape for name, a in expected.items()}:
        raise fail("path", "weights of the sizes that its JSON says", f"others in {str(weights)!r}")
    leaves = [arrays[name] for name in expected]
    return Loaded(model, jax.tree.unflatten(jax.tree.structure(shapes), leaves), about)


def _named(params: Any) -> dict[str, Any]:
    """The leaves by their paths, such as `cell.input.w`, in the order of the tree."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in jax.tree.leaves_with_path(params)
    }
