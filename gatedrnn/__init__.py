"""Recurrent networks over long horizons in JAX, and the instrument that measures whether gradient still arrives."""

from gatedrnn import cells, flow, initializers
from gatedrnn._cell import Cell, Params
from gatedrnn._plan import Option, Plan, plan
from gatedrnn._readout import Readout
from gatedrnn._unroll import gate_activations, unroll
from gatedrnn.cells.gru import GRUGates, GRUState, cell as gru
from gatedrnn.cells.lstm import LSTMGates, LSTMState, cell as lstm
from gatedrnn.cells.rnn import RNNGates, RNNState, cell as rnn
from gatedrnn.composed.checkpointed import Checkpointed
from gatedrnn.composed.sharded import Sharded
from gatedrnn.composed.truncated import Truncated, streamed
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.segmented import Segmented

__version__ = "0.1.0"

__all__ = [
    "Autodiff",
    "Cell",
    "Checkpointed",
    "GRUGates",
    "GRUState",
    "LSTMGates",
    "LSTMState",
    "Option",
    "Params",
    "Plan",
    "RNNGates",
    "RNNState",
    "Readout",
    "Segmented",
    "Sharded",
    "Truncated",
    "__version__",
    "cells",
    "flow",
    "gate_activations",
    "gru",
    "initializers",
    "lstm",
    "plan",
    "rnn",
    "streamed",
    "unroll",
]
