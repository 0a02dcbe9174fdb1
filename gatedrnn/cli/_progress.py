"""How a training shows that it is under way: a bar on a terminal, a line per test elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn

if TYPE_CHECKING:
    from gatedrnn.train import Progress


@contextlib.contextmanager
def showing(label: str, chance: float) -> Iterator[Callable[["Progress"], None]]:
    """Yields what `fit` calls; the chance loss stands beside the loss, so that a plateau can be told from learning."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, label, chance) as tell:
            yield tell
    else:
        yield _Lines(label, chance)


class _Lines:
    def __init__(self, label: str, chance: float) -> None:
        self._label, self._chance, self._last = label, chance, -1

    def __call__(self, progress: "Progress") -> None:
        if not progress.rows or progress.rows[0].step == self._last:
            return
        self._last = progress.rows[0].step
        tested = sum(row.test_loss for row in progress.rows) / len(progress.rows)
        print(
            f"{self._label} {self._last:,}/{progress.steps:,}: test loss {tested:.4g}, chance {self._chance:.4g}, "
            f"{progress.steps_per_second:.3g} steps/s",
            file=sys.stderr,
            flush=True,
        )


@contextlib.contextmanager
def _bar(console: Console, label: str, chance: float) -> Iterator[Callable[["Progress"], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(6),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, loss="compiling")
        began, first = time.monotonic(), -1

        def tell(progress: "Progress") -> None:
            nonlocal began, first
            if first < 0:
                began, first = time.monotonic(), progress.step
            rate = (progress.step - first) / max(time.monotonic() - began, 1e-9) or progress.steps_per_second
            left = int((progress.steps - progress.step) / rate) if rate else 0
            clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
            words = f"loss {progress.loss:.3g}, chance {chance:.3g} {rate:.3g}/s {clock}"
            bar.update(task, completed=progress.step, total=progress.steps, loss=words)

        yield tell
