"""How a measurement shows that it is under way: a bar on a terminal, lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextlib.contextmanager
def measuring(word: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error, or lines where that is no terminal; yields what a command of that word calls."""
    columns = (TextColumn("{task.description:40.40}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(word)
        return
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("compiling", total=None)
        yield lambda done, total, label: bar.update(task, completed=done, total=total, description=label)


class _Lines:
    """Prints how far it is, every five seconds and at the end."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._last = time.monotonic()

    def __call__(self, done: int, total: int, label: str) -> None:
        if done == total or time.monotonic() - self._last > 5:
            print(f"{self._word} {done:,}/{total:,}: {label}", file=sys.stderr, flush=True)
            self._last = time.monotonic()
