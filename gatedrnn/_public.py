"""The public names, listed once; `gatedrnn` takes them from here at the first use of one."""

from typing import TYPE_CHECKING

from gatedrnn import cells, flow, initializers, linear, models, networks, tasks
from gatedrnn._cell import Cell
from gatedrnn._explain import explain
from gatedrnn._forms import Params, PerHead
from gatedrnn._jacobian import recurrence
from gatedrnn._laws import check_cell, check_method
from gatedrnn._method import Method
from gatedrnn._outputs import Readout
from gatedrnn._plan import Option, Plan, plan
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step
from gatedrnn._stream import Stream
from gatedrnn._unroll import gate_activations, unroll
from gatedrnn.cells.gru import GRUGates, GRUState, cell as gru
from gatedrnn.cells.gru_before import cell as gru_before
from gatedrnn.cells.indrnn import cell as indrnn
from gatedrnn.cells.lem import LEMGates, LEMState, cell as lem
from gatedrnn.cells.lstm import LSTMGates, LSTMState, cell as lstm
from gatedrnn.cells.relu_rnn import cell as relu_rnn
from gatedrnn.cells.rnn import RNNGates, RNNState, cell as rnn
from gatedrnn.cells.slstm import SLSTMGates, SLSTMState, cell as slstm
from gatedrnn.methods.auto import Auto
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.checkpointed import Checkpointed
from gatedrnn.methods.fused import Fused
from gatedrnn.methods.segmented import Segmented
from gatedrnn.methods.sharded import Sharded
from gatedrnn.methods.truncated import Truncated, streamed
from gatedrnn.models import load
from gatedrnn.networks.bidirectional import bidirectional
from gatedrnn.networks.learned import learned_carry
from gatedrnn.networks.normalised import normalised
from gatedrnn.networks.projected import projected
from gatedrnn.networks.regularised import regularised
from gatedrnn.networks.stack import stack

if TYPE_CHECKING:  # optax: only for those who train
    from gatedrnn import train

__all__ = [
    "Auto",
    "Autodiff",
    "Cell",
    "Checkpointed",
    "Fused",
    "GRUGates",
    "GRUState",
    "LEMGates",
    "LEMState",
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
    "SLSTMGates",
    "SLSTMState",
    "Segmented",
    "Sequence",
    "Sharded",
    "Stream",
    "Truncated",
    "bidirectional",
    "cells",
    "check_cell",
    "check_method",
    "explain",
    "flow",
    "gate_activations",
    "gru",
    "gru_before",
    "guarded_step",
    "indrnn",
    "initializers",
    "learned_carry",
    "lem",
    "linear",
    "load",
    "lstm",
    "models",
    "networks",
    "normalised",
    "plan",
    "projected",
    "recurrence",
    "regularised",
    "relu_rnn",
    "rnn",
    "slstm",
    "stack",
    "streamed",
    "tasks",
    "train",
    "unroll",
]
