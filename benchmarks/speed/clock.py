"""One way to run what is compiled, and one way to take a time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Program:
    """What is compiled, and its arguments; a call runs it and waits."""

    compiled: jax.stages.Compiled
    arguments: Sequence[Any]

    def __call__(self) -> object:
        return jax.block_until_ready(self.compiled(*self.arguments))


def milliseconds(run: Callable[[], object]) -> float:
    """Of one call, which has to wait for what it computes."""
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def repeated(run: Callable[[], object], calls: int) -> list[float]:
    """Milliseconds of so many calls, after one that is not counted."""
    run()
    return [milliseconds(run) for _ in range(calls)]
