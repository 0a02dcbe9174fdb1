"""The public names, listed once; `gatedrnn` takes them from here at the first use of one."""

from typing import TYPE_CHECKING

from gatedrnn import cells, flow, initializers, models, tasks
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
from gatedrnn.models import load

if TYPE_CHECKING:  # optax and orbax: only for those who train
    from gatedrnn import train

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
    "cells",
    "flow",
    "gate_activations",
    "gru",
    "initializers",
    "load",
    "lstm",
    "models",
    "plan",
    "rnn",
    "streamed",
    "tasks",
    "train",
    "unroll",
]
