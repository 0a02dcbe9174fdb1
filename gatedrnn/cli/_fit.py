"""The training of `train` and `race`: shown as it goes; a loss that is no longer finite is put down to an option."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gatedrnn._check import fail
from gatedrnn.cli._interrupt import raise_lost
from gatedrnn.cli._prepare import Run
from gatedrnn.cli._progress import showing
from gatedrnn.cli._settings import Settings


class Unstable(ValueError):
    """No seed's loss is finite any more: `gr.train.Diverged` in the words of the options.

    Attributes:
        learned: whether an earlier test found one that was.
    """

    def __init__(self, settings: Settings, loss: str, learned: bool) -> None:
        got = f"{settings.rate:g}, with which {settings.cell}, {settings.init} init, has {loss}"
        super().__init__(str(fail("rate", "small enough for the loss to stay finite", got)))
        self.learned = learned


def fit(settings: Settings, run: Run, label: str, *, begun: Callable[[], None] = lambda: None, **files: Any) -> Any:
    """`gr.train.fit` with these settings, under a label; `begun` is called once it has refused nothing.

    Raises:
        Unstable: no seed's training loss is finite any more.
    """
    import gatedrnn as gr

    learned, waiting = False, True
    with showing(label, run.setup.task.chance(settings.horizon)) as on_progress:

        def tell(progress: gr.train.Progress) -> None:
            nonlocal learned, waiting
            raise_lost()
            if waiting:
                waiting = False
                begun()
            learned = learned or any(math.isfinite(row.test_loss) for row in progress.rows)
            on_progress(progress)

        try:
            return gr.train.fit(
                run.setup,
                steps=settings.steps,
                seeds=settings.numbers,
                target=settings.target,
                test_every=settings.test_every,
                test_batches=settings.test_batches,
                mesh=run.mesh,
                on_progress=tell,
                **files,
            )
        except gr.train.Diverged as error:
            raise Unstable(settings, f"a loss of {error.loss} at step {error.step:,}", learned) from None


def check_last(settings: Settings, fitted: Any) -> None:
    """Raises Unstable where the last test found no finite loss, as after few updates that are far too large."""
    finite = [math.isfinite(row.test_loss) for row in fitted.rows]
    if finite and not any(finite[-settings.seeds :]):
        last = fitted.rows[-1]
        raise Unstable(settings, f"a test loss of {last.test_loss} at step {last.step:,}", any(finite))


@contextlib.contextmanager
def freeing(settings: Settings, folder: Path, metrics: Path) -> Iterator[None]:
    """A new training that is refused or diverges takes its files away, so that another can be tried in the same folder.

    It leaves them where it had learned, and has a checkpoint from before its end: work that can be gone on with.
    """
    from gatedrnn.train import _checkpoints

    place = folder / "checkpoints"
    made = [part for part in (place, metrics.parent, *metrics.parent.parents) if not part.exists()]
    try:
        yield
    except ValueError as error:
        done, diverged = _checkpoints.steps(place), isinstance(error, Unstable)
        learned = isinstance(error, Unstable) and error.learned and any(0 < step < settings.steps for step in done)
        if learned or (done and not diverged):
            raise
        for step in done:
            _checkpoints.remove(place, step)
        (folder / "run.json").unlink(missing_ok=True)
        if diverged:  # what was refused has not written there
            metrics.unlink(missing_ok=True)
        for part in made:
            with contextlib.suppress(OSError):  # it holds something else
                part.rmdir()
        raise
