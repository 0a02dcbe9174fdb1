"""Networks of cells, which are cells themselves: layers, directions, and what lies between."""

from gatedrnn.networks.bidirectional import BidirectionalParams, BidirectionalState, bidirectional
from gatedrnn.networks.norms import Norm, layer_norm, rms_norm
from gatedrnn.networks.projected import ProjectedParams, projected
from gatedrnn.networks.stack import StackParams, stack

__all__ = [
    "BidirectionalParams",
    "BidirectionalState",
    "Norm",
    "ProjectedParams",
    "StackParams",
    "bidirectional",
    "layer_norm",
    "projected",
    "rms_norm",
    "stack",
]
