"""One sheet of equations per file; each module's `cell` is the value the package exports under the module's name."""

from gatedrnn._cell import Cell
from gatedrnn.cells import gru, lstm, rnn

CELLS: dict[str, Cell] = {cell.name: cell for cell in (rnn.cell, gru.cell, lstm.cell)}
"""The cells of the house, by name."""
