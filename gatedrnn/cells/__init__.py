"""One sheet of equations per file; each module's `cell` is the value the package exports under the module's name."""

from collections.abc import Mapping
from importlib import import_module

from gatedrnn import _registry
from gatedrnn._cell import Cell

CELLS: Mapping[str, Cell] = {name: import_module(f"gatedrnn.cells.{name}").cell for name in _registry.CELLS}
"""The registry: files, commands, pictures and tests find the house's cells here, in this order."""

CLASSICS: Mapping[str, Cell] = {name: CELLS[name] for name in _registry.CLASSICS}
"""Those of them that are compared, raced and measured where none are named."""
