"""The report: one comparison in, one self-contained HTML page out.

Every number and every judgement in the text is computed from the measurements. Names are only repeated, with one
exception: the usual story about RNN, GRU and LSTM is a claim about names, so it is checked under those names.
"""

from gatedrnn.report._configurations import Configuration, Run, Spread
from gatedrnn.report._findings import Finding, findings
from gatedrnn.report._page import html

__all__ = ["Configuration", "Finding", "Run", "Spread", "findings", "html"]
