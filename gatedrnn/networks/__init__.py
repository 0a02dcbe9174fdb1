"""Networks of cells, which are cells themselves: layers, directions, and what lies between."""

from gatedrnn.networks._layers import width_of
from gatedrnn.networks._named import named, strangers
from gatedrnn.networks.bidirectional import BidirectionalParams, BidirectionalState, bidirectional
from gatedrnn.networks.learned import learned_carry
from gatedrnn.networks.normalised import NormalisedInput, normalised
from gatedrnn.networks.norms import Norm, layer_norm, rms_norm
from gatedrnn.networks.projected import ProjectedParams, projected
from gatedrnn.networks.regularised import regularised, weight_drop
from gatedrnn.networks.stack import StackParams, stack

__all__ = [
    "BidirectionalParams",
    "BidirectionalState",
    "Norm",
    "NormalisedInput",
    "ProjectedParams",
    "StackParams",
    "bidirectional",
    "layer_norm",
    "learned_carry",
    "named",
    "normalised",
    "projected",
    "regularised",
    "rms_norm",
    "stack",
    "strangers",
    "weight_drop",
    "width_of",
]
