"""The public names, listed once; `gatedrnn` takes them from here at the first use of one."""

from typing import TYPE_CHECKING

from gatedrnn import cells, flow, initializers, linear, models, networks, tasks
from gatedrnn._cell import Cell, Params, PerHead
from gatedrnn._jacobian import recurrence
from gatedrnn._laws import check_cell, check_method
from gatedrnn._method import Method
from gatedrnn._outputs import Readout
from gatedrnn._plan import Option, Plan, plan
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step
from gatedrnn._unroll import gate_activations, unroll
from gatedrnn.cells.gru import GRUGates, GRUState, cell as gru
from gatedrnn.cells.lstm import LSTMGates, LSTMState, cell as lstm
from gatedrnn.cells.rnn import RNNGates, RNNState, cell as rnn
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.checkpointed import Checkpointed
from gatedrnn.methods.segmented import Segmented
from gatedrnn.methods.sharded import Sharded
from gatedrnn.methods.truncated import Truncated, streamed
from gatedrnn.models import load
from gatedrnn.networks.bidirectional import bidirectional
from gatedrnn.networks.learned import learned_carry
from gatedrnn.networks.projected import projected
from gatedrnn.networks.stack import stack

if TYPE_CHECKING:  # optax: only for those who train
    from gatedrnn import train

__all__ = [
    "Autodiff",
    "Cell",
    "Checkpointed",
    "GRUGates",
    "GRUState",
    "LSTMGates",
    "LSTMState",
    "Method",
    "Option",
    "Params",
    "PerHead",
    "Plan",
    "RNNGates",
    "RNNState",
    "Readout",
    "Segmented",
    "Sequence",
    "Sharded",
    "Truncated",
    "bidirectional",
    "cells",
    "check_cell",
    "check_method",
    "flow",
    "gate_activations",
    "gru",
    "guarded_step",
    "initializers",
    "learned_carry",
    "linear",
    "load",
    "lstm",
    "models",
    "networks",
    "plan",
    "projected",
    "recurrence",
    "rnn",
    "stack",
    "streamed",
    "tasks",
    "train",
    "unroll",
]
