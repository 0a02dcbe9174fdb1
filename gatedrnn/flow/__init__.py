"""Gradient flow: where a loss's gradient goes, how fast perturbations grow, how long gates keep, what units tell."""

from gatedrnn.flow._comparison import Comparison, GateMap, Run
from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.compare import compare
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.selectivity import selectivity
from gatedrnn.flow.timescales import timescales

__all__ = [
    "Adjoint",
    "Comparison",
    "Decay",
    "GateMap",
    "Run",
    "adjoint",
    "compare",
    "decay",
    "lyapunov",
    "selectivity",
    "timescales",
]
