"""The report: one comparison, or one inspection, in, its findings in words and one self-contained HTML page out.

Every number and every judgement in the text is computed from the measurements. Names are only repeated, with one
exception: the usual story about RNN, GRU and LSTM is a claim about names, so it is checked under those names.
"""

from gatedrnn.report._configurations import Configuration, Run
from gatedrnn.report._findings import Finding, findings
from gatedrnn.report._inspected import Line, lines
from gatedrnn.report._inspection import inspection_html
from gatedrnn.report._page import html
from gatedrnn.report._save import save, save_inspection
from gatedrnn.report._verdicts import verdict, verdicts

__all__ = [
    "Configuration",
    "Finding",
    "Line",
    "Run",
    "findings",
    "html",
    "inspection_html",
    "lines",
    "save",
    "save_inspection",
    "verdict",
    "verdicts",
]
