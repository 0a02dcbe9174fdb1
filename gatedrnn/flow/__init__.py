"""Gradient flow: where a loss's gradient goes, how fast perturbations grow, how long gates keep, what units tell."""

from gatedrnn.flow._comparison import Comparison, GateMap, Run
from gatedrnn.flow._inspection import Inspection, Keeper
from gatedrnn.flow._lines import monitored
from gatedrnn.flow._origin import Origin
from gatedrnn.flow._scalars import SCALARS, Scalar
from gatedrnn.flow._shown import ShownUnit
from gatedrnn.flow._watched import Probe
from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.compare import compare
from gatedrnn.flow.coverage import Coverage, coverage
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.fixed_points import FixedPoints, fixed_points
from gatedrnn.flow.flossing import flossing
from gatedrnn.flow.forecast import Forecast, Signs, forecast
from gatedrnn.flow.inspect import inspect
from gatedrnn.flow.jacobian_norms import JacobianNorms, jacobian_norms
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.monitor import Monitor, NonFiniteError, monitor
from gatedrnn.flow.paths import Paths, UnitPaths, paths
from gatedrnn.flow.precision import PrecisionAudit, precision_audit
from gatedrnn.flow.replay import Replay, replay
from gatedrnn.flow.selectivity import selectivity
from gatedrnn.flow.sensitivity import Sensitivity, sensitivity
from gatedrnn.flow.singular_values import SingularValues, singular_values
from gatedrnn.flow.solve import Solved, critical_gain, keeping_bias, recurrent_gain, solve_horizon
from gatedrnn.flow.spectrum import Spectrum, spectrum
from gatedrnn.flow.timescales import timescales
from gatedrnn.flow.windows import WindowAudit, window_audit
from gatedrnn.flow.writable import Written, writable

__all__ = [
    "SCALARS",
    "Adjoint",
    "Comparison",
    "Coverage",
    "Decay",
    "FixedPoints",
    "Forecast",
    "GateMap",
    "Inspection",
    "JacobianNorms",
    "Keeper",
    "Monitor",
    "NonFiniteError",
    "Origin",
    "Paths",
    "PrecisionAudit",
    "Probe",
    "Replay",
    "Run",
    "Scalar",
    "Sensitivity",
    "ShownUnit",
    "Signs",
    "SingularValues",
    "Solved",
    "Spectrum",
    "UnitPaths",
    "WindowAudit",
    "Written",
    "adjoint",
    "compare",
    "coverage",
    "critical_gain",
    "decay",
    "fixed_points",
    "flossing",
    "forecast",
    "inspect",
    "jacobian_norms",
    "keeping_bias",
    "lyapunov",
    "monitor",
    "monitored",
    "paths",
    "precision_audit",
    "recurrent_gain",
    "replay",
    "selectivity",
    "sensitivity",
    "singular_values",
    "solve_horizon",
    "spectrum",
    "timescales",
    "window_audit",
    "writable",
]
