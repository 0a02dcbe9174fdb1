"""Long-horizon tasks: generated on the device with a known chance loss and required memory, or drawn from real data.

batch = gr.tasks.adding(key, batch, steps)        Batch(xs [T, B, D], targets [T, B], mask [T, B])

Files of text and of series are read in `text` and `series`, and nowhere else.
"""

from gatedrnn.tasks import sentences, series, text
from gatedrnn.tasks._adding import adding, adding_1997
from gatedrnn.tasks._copying import copy, variable_copy
from gatedrnn.tasks._digits import digits
from gatedrnn.tasks._languages import anbn, parity
from gatedrnn.tasks._mixture import mixture
from gatedrnn.tasks._order import temporal_order, temporal_order_3
from gatedrnn.tasks._recall import delayed_recall, noisy_latch
from gatedrnn.tasks._task import Baseline, Batch, Task, check_task
from gatedrnn.tasks.sentences import agreement, agreement_with

__all__ = [
    "Baseline",
    "Batch",
    "Task",
    "adding",
    "adding_1997",
    "agreement",
    "agreement_with",
    "anbn",
    "check_task",
    "copy",
    "delayed_recall",
    "digits",
    "mixture",
    "noisy_latch",
    "parity",
    "sentences",
    "series",
    "temporal_order",
    "temporal_order_3",
    "text",
    "variable_copy",
]
