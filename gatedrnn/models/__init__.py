"""Models: a recurrence with a readout, saved and loaded, and text or a series that one goes on with."""

from gatedrnn.cells import CELLS
from gatedrnn.models._forecast import forecast
from gatedrnn.models._generate import generate
from gatedrnn.models._model import Model, ModelParams, count, hidden_size_for, read_out
from gatedrnn.models._question import Question, question
from gatedrnn.models._saved import Loaded, load, save

__all__ = [
    "CELLS",
    "Loaded",
    "Model",
    "ModelParams",
    "Question",
    "count",
    "forecast",
    "generate",
    "hidden_size_for",
    "load",
    "question",
    "read_out",
    "save",
]
