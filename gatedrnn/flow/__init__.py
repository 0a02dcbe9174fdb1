"""Gradient flow: where a loss's gradient goes, how fast perturbations grow, how long gates keep, what units tell."""

from gatedrnn.flow._comparison import Comparison, GateMap, Run
from gatedrnn.flow._scalars import SCALARS, Scalar
from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.compare import compare
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.fixed_points import FixedPoints, fixed_points
from gatedrnn.flow.flossing import flossing
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.replay import Replay, replay
from gatedrnn.flow.selectivity import selectivity
from gatedrnn.flow.singular_values import SingularValues, singular_values
from gatedrnn.flow.spectrum import Spectrum, spectrum
from gatedrnn.flow.timescales import timescales

__all__ = [
    "SCALARS",
    "Adjoint",
    "Comparison",
    "Decay",
    "FixedPoints",
    "GateMap",
    "Replay",
    "Run",
    "Scalar",
    "SingularValues",
    "Spectrum",
    "adjoint",
    "compare",
    "decay",
    "fixed_points",
    "flossing",
    "lyapunov",
    "replay",
    "selectivity",
    "singular_values",
    "spectrum",
    "timescales",
]
