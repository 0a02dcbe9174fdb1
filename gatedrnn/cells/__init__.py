"""One sheet of equations per file; each module's `cell` is the value the package exports under the module's name."""

from gatedrnn.cells import gru, lstm, rnn

CELLS = {cell.name: cell for cell in (rnn.cell, gru.cell, lstm.cell)}
"""The package's cells by name, in the order in which tables and pictures show them."""
