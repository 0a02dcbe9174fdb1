"""The pictures: arrays in, figures out.

    waterfall       log10 norm of dL/dcarry against the lag, one panel per input, one line per cell and initialisation
    plateau_clock   test loss against updates, one line per cell and initialisation, beside chance
    sentence_strip  under each word, what a gate let through, what a unit held, and how much the word counts
    gate_heatmap    gate activations, units sorted by time scale against time

The imports inside are relative, so that the folder loads by itself, without jax.
"""

from ._curves import Curve
from ._gates import gate_heatmap
from ._plateau import plateau_clock
from ._records import FLOORS, KEYS, Floats, Run, in_order, log10_norms
from ._strip import Strip, sentence_strip
from ._style import DARK, LIGHT, Theme, save, svg
from ._waterfall import waterfall
from ._words import cell_title, input_title, power, steps, ten_to

__all__ = [
    "DARK",
    "FLOORS",
    "KEYS",
    "LIGHT",
    "Curve",
    "Floats",
    "Run",
    "Strip",
    "Theme",
    "cell_title",
    "gate_heatmap",
    "in_order",
    "input_title",
    "log10_norms",
    "plateau_clock",
    "power",
    "save",
    "sentence_strip",
    "steps",
    "svg",
    "ten_to",
    "waterfall",
]
