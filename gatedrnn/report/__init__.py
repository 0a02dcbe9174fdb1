"""The report: one comparison in, its verdicts in words and one self-contained HTML page out.

Every number and every judgement in the text is computed from the measurements. Names are only repeated, with one
exception: the usual story about RNN, GRU and LSTM is a claim about names, so it is checked under those names.
"""

from gatedrnn.report._configurations import Configuration, Run
from gatedrnn.report._findings import Finding, findings
from gatedrnn.report._page import html
from gatedrnn.report._save import save
from gatedrnn.report._verdicts import verdict, verdicts

__all__ = ["Configuration", "Finding", "Run", "findings", "html", "save", "verdict", "verdicts"]
