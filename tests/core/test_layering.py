"""The architecture, held by reading the imports: each layer imports only what stands below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gatedrnn

ROOT = Path(gatedrnn.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A row may import the rows before it.
LAYERS = (
    ("_device",),
    ("_check", "_cores", "_jax", "_memory", "_registry", "_version", "_words"),
    ("_forms", "_elementwise", "_files", "_primitives", "_segments"),
    ("_cell",),
    ("_contract", "_output", "_pointwise", "_step", "_writable", "linear"),
    ("_jacobian", "_noise", "_packing", "_sequence", "initializers"),
    ("_outputs", "cells"),
    ("_method",),
    ("_visit", "methods"),
    ("networks", "_stream", "_unroll"),
    ("_explain", "_plan", "_problem"),
    ("_laws",),
    ("flow",),
    ("plots",),
    ("report",),
    ("models",),
    ("tasks",),
    ("train",),
    ("interop",),
    ("modules",),
    ("_public",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
APART = {  # folders whose files import none of each other, but for these and helpers named with an underscore
    "cells": (),
    "methods": ("autodiff", "segmented", "auto"),  # those that evaluate, by which the others run their pieces
}
CHOICE = "auto"  # that of the methods which chooses among those that evaluate
VARIANTS = {"gru_before": "gru", "indrnn": "rnn", "relu_rnn": "rnn"}  # a cell may take the carry of the one it varies
CELL, LOOP = (
    ("initializers", "linear", "cells"),
    ("_step", "_segments", "_sequence", "_outputs", "_method", "_jacobian", "_pointwise", "methods"),
)  # neither knows the other
COMMANDS = ("train", "race", "compare", "diagnose")
HEAVY = ("flax", "optax", "orbax", "chex", "matplotlib", "torch", "keras", "rich", "typer")


def test_every_file_has_a_layer():
    """A new file at the top must be given its place in the table."""
    known = {name for row in LAYERS for name in row}
    assert {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES} <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    """No import goes up, sideways between cells or methods, or between cells and loops."""
    here = path.relative_to(ROOT).with_suffix("").parts
    wrong = [".".join(there) for there in imported(path) if not allowed(here, there)]
    assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(wrong)}"


def test_the_rule_bites():
    """The imports are found, and the rule refuses those it is there to refuse."""
    found = set(imported(ROOT / "_unroll.py"))
    assert {("_cell",), ("methods", "auto")} <= found
    refused = [
        (("cells", "lstm"), ("cells", "gru")),
        (("cells", "gru"), ("cells", "gru_before")),
        (("cells", "gru_before"), ("cells", "rnn")),
        (("cells", "lstm"), ("methods", "segmented")),
        (("methods", "segmented"), ("cells", "lstm")),
        (("methods", "segmented"), ("methods", "autodiff")),
        (("methods", "segmented"), ("methods", "auto")),
        (("methods", "autodiff"), ("methods", "checkpointed")),
        (("methods", "truncated"), ("methods", "checkpointed")),
        (("_jacobian",), ("cells", "lstm")),
        (("_cell",), ("_unroll",)),
        (("_unroll",), ("flow", "adjoint")),
        (("flow", "adjoint"), ("__init__",)),
        (("flow", "compare"), ("plots", "__init__")),
        (("flow", "_comparison"), ("report", "__init__")),
        (("plots", "_records"), ("report", "__init__")),
    ]
    passed = [
        (("cells", "lstm"), ("_cell",)),
        (("cells", "lstm"), ("initializers",)),
        (("cells", "__init__"), ("cells", "lstm")),
        (("cells", "gru_before"), ("cells", "gru")),
        (("_unroll",), ("methods", "segmented")),
        (("methods", "truncated"), ("methods", "segmented")),
        (("methods", "auto"), ("methods", "segmented")),
        (("flow", "compare"), ("flow", "adjoint")),
        (("cli",), ("__init__",)),
    ]
    assert not any(allowed(*pair) for pair in refused)
    assert all(allowed(*pair) for pair in passed)


def loaded(program):
    """The packages that a program has loaded when it ends."""
    program += "; import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    return set(result.stdout.splitlines()[-1].split())


def test_jax_is_kept_at_arms_length():
    """What is no documented part of JAX is imported by one file, which gives the reason for each."""
    apart = ("jax._src", "jax.core", "jax.extend", "jax.interpreters", "jax.experimental", "jax.lib")
    found = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = [ast.unparse(node)] if isinstance(node, ast.Attribute) else []
            if any(f"{name}.".startswith(f"{part}.") for name in names for part in apart):
                found.setdefault(str(path.relative_to(ROOT)), names)
    assert set(found) == {"_jax.py"}


def test_import_is_light():
    """`import gatedrnn` loads nothing; the first name in use, jax and numpy, and nothing that only some users need."""
    assert not loaded("import gatedrnn; gatedrnn.__version__") & {"jax", "numpy", *HEAVY}
    both = loaded("import gatedrnn; gatedrnn.unroll"), loaded("from gatedrnn import cells")
    assert all({"gatedrnn", "jax", "numpy"} <= found for found in both)
    assert not (both[0] | both[1]) & set(HEAVY)


@pytest.mark.parametrize("line", ["--help", "--version", *(f"{name} --help" for name in COMMANDS)])
def test_the_command_explains_itself_without_jax(line):
    """So that help is there at once."""
    assert not loaded(HELP.format(line.split())) & ({"jax", "numpy", *HEAVY} - {"rich", "typer"})


HELP = "import sys, contextlib; from gatedrnn.cli import app\nwith contextlib.suppress(SystemExit): app({})\npass"


@pytest.mark.thinned(7)
@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
def test_each_part_can_be_the_first_in_use(name):
    """Whichever is asked for first, by an import or as an attribute, finds the rest."""
    for program in (f"import gatedrnn.{name}", f"import gatedrnn as gr; gr.{name}; gr.unroll"):
        assert "gatedrnn" in loaded(program)


def test_public_names():
    """Each is there, in `dir` and behind a star; another is an AttributeError in Python's words."""
    assert set(gatedrnn.__all__) <= set(dir(gatedrnn))
    assert all(hasattr(gatedrnn, name) for name in gatedrnn.__all__)
    star = {}
    exec("from gatedrnn import *", star)
    assert star.keys() - {"__builtins__"} == set(gatedrnn.__all__)
    with pytest.raises(AttributeError, match="^module 'gatedrnn' has no attribute 'unrol'$"):
        _ = gatedrnn.unrol


def test_the_module_is_the_command():
    """`python -m gatedrnn` for where scripts are not on the path."""
    line = [sys.executable, "-m", "gatedrnn", "--version"]
    result = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert result.stdout == f"gatedrnn {gatedrnn.__version__}\n"


def imported(path):
    """The package's modules a file imports anywhere in it, as tuples such as `("cells", "lstm")`."""
    folder = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (module(name[1:]) for name in names if name[0] == ROOT.name)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else ()
            name = tuple(node.module.split(".")) if node.module else ()
            if node.level == 0:
                if name[0] != ROOT.name:
                    continue
                name = name[1:]
            yield from (module((*base, *name, alias.name)) for alias in node.names)


def module(names):
    """The longest prefix of dotted names that is a file of the package, `("__init__",)` for its root."""
    names = tuple(names)
    for length in range(len(names), 0, -1):
        path = ROOT.joinpath(*names[:length])
        if path.with_suffix(".py").exists():
            return names[:length]
        if path.is_dir():
            return (*names[:length], "__init__")
    return ("__init__",)


def allowed(here, there):
    """Whether the module `here` may import the module `there`."""
    if here[0] == there[0]:
        free = here[0] not in APART or here[-1] == "__init__" or there[-1].startswith("_")
        free = free or (here[0] == "cells" and VARIANTS.get(here[-1]) == there[-1])
        chooses = here[-1] == CHOICE != there[-1]
        return free or (there[-1] in APART[here[0]] and (chooses or here[-1] not in APART[here[0]]))
    if there == ("linear",) and here[0] == "methods":  # dtypes of sums: nothing of a cell
        return True
    if any(here[0] in one and there[0] in other for one, other in ((CELL, LOOP), (LOOP, CELL))):
        return False
    rows = {name: row for row, names in enumerate(LAYERS) for name in names}
    return rows[there[0]] < rows[here[0]]
