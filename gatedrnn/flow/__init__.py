"""Gradient flow: where a loss's gradient goes, how fast perturbations grow, how long gates keep, what units tell."""

from gatedrnn.flow._comparison import Comparison, GateMap, Run
from gatedrnn.flow._scalars import SCALARS, Scalar
from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.compare import compare
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.forecast import Forecast, Signs, forecast
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.replay import Replay, replay
from gatedrnn.flow.selectivity import selectivity
from gatedrnn.flow.solve import Solved, critical_gain, keeping_bias, recurrent_gain, solve_horizon
from gatedrnn.flow.timescales import timescales
from gatedrnn.flow.writable import Written, writable

__all__ = [
    "SCALARS",
    "Adjoint",
    "Comparison",
    "Decay",
    "Forecast",
    "GateMap",
    "Replay",
    "Run",
    "Scalar",
    "Signs",
    "Solved",
    "Written",
    "adjoint",
    "compare",
    "critical_gain",
    "decay",
    "forecast",
    "keeping_bias",
    "lyapunov",
    "recurrent_gain",
    "replay",
    "selectivity",
    "solve_horizon",
    "timescales",
    "writable",
]
