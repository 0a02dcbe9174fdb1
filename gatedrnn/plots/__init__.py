"""The pictures: arrays in, figures out.

waterfall       log10 norm of dL/dcarry against the lag, one panel per input, one line per cell and initialisation
paths           whole, direct and rest of a gradient against the lag, three lines per cell
plateau_clock   test loss against updates, one line per cell and initialisation, beside chance
sentence_strip  under each word, what a gate let through, what a unit held, and how much the word counts
reading_strip   the same under each letter of a text, or value of a series, in lines as a page has them
audits          of an inspection: what counts by lag, what windows keep, where formats part, which states are met
gate_heatmap    gate activations, units sorted by time scale against time
spectrum        Lyapunov exponents with their errors, and how they converged
"""

from gatedrnn.plots._audits import audits
from gatedrnn.plots._curves import Curve
from gatedrnn.plots._gates import gate_heatmap
from gatedrnn.plots._paths import paths
from gatedrnn.plots._plateau import plateau_clock
from gatedrnn.plots._reading import Key, letters_of, reading_strip
from gatedrnn.plots._records import Run, in_order
from gatedrnn.plots._spectrum import spectrum
from gatedrnn.plots._strip import Strip, sentence_strip
from gatedrnn.plots._style import DARK, LIGHT, Theme, save, svg
from gatedrnn.plots._waterfall import waterfall
from gatedrnn.plots._words import cell_title, gate_title, input_title, power, steps, ten_to

__all__ = [
    "DARK",
    "LIGHT",
    "Curve",
    "Key",
    "Run",
    "Strip",
    "Theme",
    "audits",
    "cell_title",
    "gate_heatmap",
    "gate_title",
    "in_order",
    "input_title",
    "letters_of",
    "paths",
    "plateau_clock",
    "power",
    "reading_strip",
    "save",
    "sentence_strip",
    "spectrum",
    "steps",
    "svg",
    "ten_to",
    "waterfall",
]
