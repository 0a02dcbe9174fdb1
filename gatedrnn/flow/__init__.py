"""Gradient flow: where a loss's gradient goes, how fast perturbations grow, and how long gates keep."""

from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.timescales import timescales

__all__ = ["Adjoint", "adjoint", "lyapunov", "timescales"]
