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
    ("_cell", "_check", "_memory"),
    ("_linear", "_step", "_segments", "_output"),
    ("_sequence",),
    ("initializers",),
    ("cells",),
    ("methods", "_readout"),
    ("composed",),
    ("_unroll",),
    ("_plan",),
    ("flow",),
    ("plots",),
    ("report",),
    ("layers", "models"),
    ("tasks",),
    ("train",),
    ("interop",),
    ("__init__",),
    ("cli",),
)
APART = ("cells", "methods", "composed")  # no imports between their files, but for helpers named with an underscore
CELL, LOOP = (
    ("initializers", "cells"),
    ("_step", "_segments", "_sequence", "methods", "composed"),
)  # neither knows the other
HEAVY = ("flax", "optax", "orbax", "chex", "matplotlib", "torch", "keras", "rich", "typer")


def test_every_file_has_a_layer():
    """A new file at the top must be given its place in the table."""
    known = {name for row in LAYERS for name in row} | {"__main__"}
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
    assert {("_cell",), ("methods", "autodiff"), ("methods", "segmented")} <= found
    refused = [
        (("cells", "lstm"), ("cells", "gru")),
        (("methods", "segmented"), ("methods", "autodiff")),
        (("cells", "lstm"), ("methods", "segmented")),
        (("methods", "segmented"), ("cells", "lstm")),
        (("methods", "segmented"), ("composed", "truncated")),
        (("composed", "truncated"), ("composed", "sharded")),
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
        (("_unroll",), ("methods", "segmented")),
        (("flow", "compare"), ("flow", "adjoint")),
        (("cli",), ("__init__",)),
    ]
    assert not any(allowed(*pair) for pair in refused)
    assert all(allowed(*pair) for pair in passed)


def test_import_is_light():
    """`import gatedrnn` loads jax and numpy, and nothing that only some users need."""
    program = "import sys, gatedrnn; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    loaded = set(result.stdout.split())
    assert {"gatedrnn", "jax", "numpy"} <= loaded
    assert not loaded & set(HEAVY)


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
        return here[0] not in APART or here[-1] == "__init__" or there[-1].startswith("_")
    if any(here[0] in one and there[0] in other for one, other in ((CELL, LOOP), (LOOP, CELL))):
        return False
    rows = {name: row for row, names in enumerate(LAYERS) for name in names}
    return rows[there[0]] < rows[here[0]]
