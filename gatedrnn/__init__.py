"""Recurrent networks over long horizons in JAX, and the instrument that measures whether gradient still arrives."""

import importlib
from typing import Any

from gatedrnn import cells, flow, initializers, linear, models, tasks
from gatedrnn._cell import Cell, Params, PerHead
from gatedrnn._method import Method
from gatedrnn._plan import Option, Plan, plan
from gatedrnn._outputs import Readout
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step
from gatedrnn._unroll import gate_activations, unroll
from gatedrnn.cells.gru import GRUGates, GRUState, cell as gru
from gatedrnn.cells.lstm import LSTMGates, LSTMState, cell as lstm
from gatedrnn.cells.rnn import RNNGates, RNNState, cell as rnn
from gatedrnn.methods.checkpointed import Checkpointed
from gatedrnn.methods.sharded import Sharded
from gatedrnn.methods.truncated import Truncated, streamed
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.segmented import Segmented
from gatedrnn.models import load

__version__ = "0.1.0"

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
    "__version__",
    "cells",
    "flow",
    "gate_activations",
    "gru",
    "guarded_step",
    "initializers",
    "linear",
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


def __getattr__(name: str) -> Any:
    if name == "train":  # optax and orbax: only for those who train
        return importlib.import_module("gatedrnn.train")
    raise AttributeError(f"module 'gatedrnn' has no attribute {name!r}")
