"""Training over long horizons: a state, one step as a pure function, and the loop around it.

state = gr.train.init(setup, seeds)
state, metrics = gr.train.step(setup, state)
fitted = gr.train.fit(setup, steps=1_000, seeds=(0, 1, 2), target=0.01, folder="run")
"""

from gatedrnn.train._fit import Diverged, Fitted, fit, reached
from gatedrnn.train._loop import Progress
from gatedrnn.train._losses import Metrics, evaluate
from gatedrnn.train._metrics import Row
from gatedrnn.train._optimiser import Optimiser
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, init, measure, step

__all__ = [
    "Diverged",
    "Fitted",
    "Metrics",
    "Optimiser",
    "Progress",
    "Row",
    "Setup",
    "TrainState",
    "evaluate",
    "fit",
    "init",
    "measure",
    "reached",
    "step",
]
