"""A saved model is two files: the weights as safetensors, and beside them a small JSON that says what they are."""

import contextlib
import functools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gatedrnn._cell import Cell
from gatedrnn._check import check_kind, check_path, fail, shown
from gatedrnn._files import check_regular, read_regular
from gatedrnn._output import whole_files, write_json
from gatedrnn.cells import CELLS
from gatedrnn.models._model import Model, ModelParams
from gatedrnn.networks import named, strangers

FORMAT = "gatedrnn model 1"
SIZES = ("input_size", "hidden_size", "output_size", "embedding_size")
LARGEST_JSON, HEADER = 100_000_000, 100_000_000  # bytes; the header's are as many as safetensors allows
KINDS = {"F64", "F32", "F16", "BF16"}


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
        model: its cell is found again by its name: among those of the package, or those that are given to `load`.
        params: the weights, whatever options of `init` have shaped them, such as `heads`: `Cell.options_of` reads
            those off the weights.
        about: anything else worth knowing, as JSON; a number that is not finite becomes null.
        name: of the two files.

    Returns:
        The path of the weights.

    Raises:
        ValueError: the cell has the name of another one of the package's, the weights are not the model's, `about` is
            no JSON, or the folder cannot be written to.
    """
    check_kind("model", Model, model, "gatedrnn.models.Model(gatedrnn.gru, 3, 8, 2)")
    check_kind("params", ModelParams, params, "model.init(key)")
    if not isinstance(about, Mapping):
        raise fail("about", "a dict", shown(about))
    _check_name(model.cell)
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise fail("name", "a name for files, without a folder", repr(name))
    named = _named(params)
    shapes = _shapes(named)
    if shapes != _shapes(_named(_expected(model, shapes))):
        raise fail("params", "weights of the model's sizes", shapes)
    from safetensors import SafetensorError
    from safetensors.flax import save as as_bytes

    described = {
        "format": FORMAT,
        "cell": model.cell.name,
        "input_size": model.input_size,
        "hidden_size": model.hidden_size,
        "output_size": model.output_size,
        "embedding_size": model.embedding_size,
        "about": dict(about),
    }
    with whole_files(folder, "folder") as draft:
        try:
            (draft / f"{name}.safetensors").write_bytes(as_bytes(named))  # with the rights that other files get
            write_json(draft / f"{name}.json", described)
        except TypeError as error:
            raise fail("about", "values that JSON knows", str(error)) from None
        except SafetensorError as error:
            raise fail("folder", "one that can be written to", f"{str(folder)!r}: {error}") from None
    return Path(folder) / f"{name}.safetensors"


def _check_name(cell: Cell) -> None:
    """Raises ValueError where `load` would find another cell by that name, or none."""
    if "(" not in cell.name:
        if CELLS.get(cell.name, cell) != cell:
            raise fail("model", "of a cell with a name of its own", f"{cell.name!r}, which is another cell")
        return
    expected = "of a network that its name makes again, of cells with names of their own"
    own = strangers(cell.name, CELLS)  # to be given to `load`; what they are, their names do not say
    try:
        found = named(cell.name, {**CELLS, **dict.fromkeys(own, CELLS["lstm"])})
    except ValueError as error:
        raise fail("model", expected, f"{cell.name!r:.200}: {error}") from None
    if found != cell and not own:
        raise fail("model", expected, f"{cell.name!r:.200}, which is another network")


def load(path: str | Path, cells: Iterable[Cell] = ()) -> Loaded:
    """Reads a saved model.

    Args:
        path: the `.safetensors` file, its JSON beside it; or a folder with `model.safetensors`.
        cells: your own, beside those of the package: the model's is found among them by its name.

    Raises:
        ValueError: a file is missing, is not of a saved model, or does not fit the other; or the weights are float64
            and JAX, as it is set, has no such arrays.

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
    path = check_path("path", path)
    with _plainly(path):
        weights = path / "model.safetensors" if path.is_dir() else path
    with _plainly(weights):
        check_regular(weights, sys.maxsize)  # before the other file is looked for
    beside = weights.with_suffix(".json")
    with _plainly(beside):
        model, about = _read_described(beside, {cell.name: cell for cell in (*cells, *CELLS.values())})
        most = _most(model)
    with _plainly(weights):
        check_regular(weights, most)
        params = _read_weights(weights, model)
    if params is None:
        raise fail("path", "weights of the sizes that its JSON says", f"others in {str(weights)!r}")
    return Loaded(model, params, about)


def _read_described(path: Path, cells: Mapping[str, Cell]) -> tuple[Model, dict[str, Any]]:
    described = json.loads(read_regular(path, LARGEST_JSON).decode())
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise ValueError(f"not of the format {FORMAT!r}")
    missing = {"cell", *SIZES, "about"} - set(described)
    if missing:
        raise ValueError(f"without {', '.join(sorted(missing))}")
    name = described["cell"]
    if not isinstance(name, str) or (name not in cells and "(" not in name):
        raise ValueError(f"the unknown cell {shown(name)}")
    if not isinstance(described["about"], dict):
        raise ValueError("`about` is no object")
    return Model(named(name, cells), **{name: described[name] for name in SIZES}), described["about"]


def _read_weights(path: Path, model: Model) -> ModelParams | None:
    """The weights, or None where they are others than the model's; nothing but names and sizes is read of those."""
    from safetensors import safe_open

    path.open("rb").close()  # its error has the system's reason, which the library's lacks
    with safe_open(path, framework="flax") as file:
        names = file.keys()
        slices = {name: file.get_slice(name) for name in names}
        kinds = {part.get_dtype() for part in slices.values()}
        if not kinds <= KINDS:
            raise ValueError(f"weights of the type {', '.join(sorted(kinds - KINDS))}")
        if "F64" in kinds and jax.dtypes.canonicalize_dtype("float64") != "float64":
            raise ValueError("float64 weights, which need jax.config.update('jax_enable_x64', True)")
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        expected = _expected(model, shapes)
        if shapes != _shapes(_named(expected)):
            return None
        leaves = [file.get_tensor(name) for name in _named(expected)]
    found: ModelParams = jax.tree.unflatten(jax.tree.structure(expected), leaves)
    return found


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file becomes one sentence that names it."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, OverflowError, RecursionError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).removesuffix(".")
        raise fail("path", "a saved model, its JSON beside it", f"{str(path)!r}: {reason}") from None


def _most(model: Model) -> int:
    """The bytes that a file of its weights has at most, in float64; no limit where options of `init` shape them."""
    plain = _expected(model, {})
    options = model.cell.options_of(plain.cell)
    return sys.maxsize if options else HEADER + 8 * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(plain))


def _expected(model: Model, found: Mapping[str, tuple[int, ...]]) -> ModelParams:
    """The weights that a model has, as shapes: those of the options of `init` that show in what was found."""
    draw = lambda **options: jax.eval_shape(functools.partial(model.init, **options), jax.random.key(0))
    plain: ModelParams = draw()
    named = _named(plain)
    if {name: len(shape) for name, shape in found.items()} != {name: leaf.ndim for name, leaf in named.items()}:
        return plain
    leaves = [jax.ShapeDtypeStruct(found[name], leaf.dtype) for name, leaf in named.items()]
    like: ModelParams = jax.tree.unflatten(jax.tree.structure(plain), leaves)
    try:
        own: ModelParams = draw(**model.cell.options_of(like.cell))
    except Exception:  # of options that no `init` takes, a stranger's of any kind: the weights are others
        return plain
    return own


def _shapes(named: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: leaf.shape for name, leaf in named.items()}


def _named(params: Any) -> dict[str, Any]:
    """The leaves by their paths, such as `cell.input.w`, in the order of the tree."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in jax.tree.leaves_with_path(params)
    }
