"""One sheet of equations per file; each module's `cell` is the value the package exports under the module's name."""

from collections.abc import Mapping

from gatedrnn._cell import Cell
from gatedrnn.cells import gru, lstm, rnn

CELLS: Mapping[str, Cell] = {module.cell.name: module.cell for module in (rnn, gru, lstm)}
"""The registry: files, commands, pictures, benchmarks and tests find the house's cells here, in this order."""
