"""Gradient flow: where a loss's gradient goes, how fast perturbations grow, how long gates keep, what units tell."""

from gatedrnn.flow._comparison import Comparison, GateMap, Run
from gatedrnn.flow._scalars import SCALARS, Scalar
from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.compare import compare
from gatedrnn.flow.coverage import Coverage, coverage
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.jacobian_norms import JacobianNorms, jacobian_norms
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.paths import Paths, UnitPaths, paths
from gatedrnn.flow.replay import Replay, replay
from gatedrnn.flow.selectivity import selectivity
from gatedrnn.flow.sensitivity import Sensitivity, sensitivity
from gatedrnn.flow.timescales import timescales

__all__ = [
    "SCALARS",
    "Adjoint",
    "Comparison",
    "Coverage",
    "Decay",
    "GateMap",
    "JacobianNorms",
    "Paths",
    "Replay",
    "Run",
    "Scalar",
    "Sensitivity",
    "UnitPaths",
    "adjoint",
    "compare",
    "coverage",
    "decay",
    "jacobian_norms",
    "lyapunov",
    "paths",
    "replay",
    "selectivity",
    "sensitivity",
    "timescales",
]
