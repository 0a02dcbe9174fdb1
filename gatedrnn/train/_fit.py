"""A training: updates, a test now and then, a checkpoint beside it, until its end or its target."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from gatedrnn._check import LARGEST, check_flag, check_kind, check_number, check_path, check_size, fail
from gatedrnn._files import locked
from gatedrnn.models import ModelParams
from gatedrnn.train._about import digest
from gatedrnn.train._loop import Loop, Progress, place_of, within
from gatedrnn.train._metrics import Row
from gatedrnn.train._record import Record
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, check_seeds, init


class Fitted(NamedTuple):
    """What `fit` gives.

    Attributes:
        state: after the last update, [S, ...].
        rows: every test, in order of steps, then of seeds.
        reached: for each seed, the step of the first test at or below `target`; None where there was none.
        seconds: spent in updates and tests by this call, compilation not included.
        compile_seconds: spent in compilation.
    """

    state: TrainState
    rows: list[Row]
    reached: dict[int, int | None]
    seconds: float
    compile_seconds: float

    def params(self, index: int = 0) -> ModelParams:
        """The weights of one seed, by its place in `seeds`."""
        return jax.tree.map(lambda a: a[index], self.state.params)


class Diverged(ValueError):
    """No seed's training loss is finite any more.

    Attributes:
        loss: the first seed's: infinite, or no number.
        step: updates made.
    """

    def __init__(self, loss: float, step: int) -> None:
        super().__init__(loss, step)
        self.loss, self.step = loss, step

    def __str__(self) -> str:
        return str(fail("setup", "one that stays finite", f"a loss of {self.loss} at step {self.step:,}"))


def fit(
    setup: Setup,
    *,
    steps: int,
    seeds: Iterable[int] = (0,),
    params: ModelParams | None = None,
    target: float | None = None,
    test_every: int = 50,
    test_batches: int = 4,
    seconds: float | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    save_every: float = 60.0,
    metrics: str | Path | None = None,
    mesh: Mesh | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Trains, tests and keeps checkpoints.

    All seeds run at once under `vmap`, in one program that is compiled once. A run that is killed and resumed ends bit
    for bit where an uninterrupted one does, as long as the machine has as many cores: sums over a batch are split
    among them, and rounded accordingly.

    Args:
        setup: what is trained.
        steps: updates in all, those before a resumption included.
        seeds: one model and one stream of data each.
        params: weights from which every seed begins, with a fresh optimiser, such as `gr.load(path).params`; drawn by
            default. A resumed run goes on from its checkpoint: beside `resume` they are left out, or those with which
            it began.
        target: end at the first test at which every seed has reached this test loss.
        test_every: updates between tests; the last update is followed by one, too.
        test_batches: batches of held-out data per test, the same at every test.
        seconds: end at the first test that ends later than this, in seconds from the end of the first compilation, that
            of the updates; the first test's own counts. None for no limit. A run with a `folder` can be resumed, and
            has the whole time again.
        folder: where `checkpoints/` are kept; None for none.
        resume: go on from the last checkpoint in `folder`.
        force: begin anew where `folder` holds another run, and replace a file in the place of `metrics`.
        save_every: seconds between checkpoints; one more is written at the end.
        metrics: a `.csv` or `.jsonl` file for the rows; by default `metrics.csv` in `folder`, if there is one.
        mesh: devices over which the seeds are spread, in equal numbers. (To spread the batch: `Sharded(mesh)` as the
            setup's method.)
        on_progress: called after every device call.

    Returns:
        The last state, the rows, the steps at which the target was reached, and the time.

    Raises:
        ValueError: an argument is out of range; `folder` holds a run already and `resume` is not set, or holds none of
            this setup and it is; another process trains there; a file that is not this run's is in the place of
            `metrics`; a file cannot be written; `params` are no weights of the setup's model, or not those with which a
            resumed run began.
        Diverged: no seed's training loss is finite any more, though the task's targets are; the rows of that test are
            in the metrics.
    """
    check_kind("setup", Setup, setup, "gatedrnn.train.Setup(gatedrnn.tasks.adding, gatedrnn.lstm, horizon=100)")
    if mesh is not None:
        check_kind("mesh", Mesh, mesh, 'jax.make_mesh((2,), ("batch",))')
    seeds = check_seeds(seeds)
    sizes = {"steps": steps, "test_every": test_every, "test_batches": test_batches}
    steps, test_every, test_batches = (check_size(name, size, most=LARGEST) for name, size in sizes.items())
    target = None if target is None else check_number("target", target)
    seconds = None if seconds is None else check_number("seconds", seconds, above=0)
    save_every = check_number("save_every", save_every, least=0)
    resume, force = check_flag("resume", resume), check_flag("force", force)
    metrics = None if metrics is None else check_path("metrics", metrics)
    if mesh is not None and len(seeds) % mesh.size:
        raise fail("seeds", f"a number that {mesh.size} devices divide evenly", len(seeds))
    if folder is not None:
        folder = check_path("folder", folder)
        if resume and not folder.is_dir():
            raise fail("folder", "one that holds a checkpoint", f"none in {str(folder)!r}")
    elif resume:
        raise fail("folder", "one to resume from", None)
    state = init(setup, seeds, params)
    with contextlib.ExitStack() as ends:
        if folder is not None:
            ends.enter_context(locked(folder))
        described = {} if folder is None else setup.describe() | {"seeds": seeds}
        if folder is not None and params is not None:
            described["params"] = digest(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params)))
        record = Record(folder, metrics, described, state, resume, force)
        ends.callback(record.close)
        record.begin()
        place, given = place_of(setup, mesh)
        ends.enter_context(within(place))
        loop = Loop(setup, record.state, record.rows, place, test_batches)
        began = saved = time.monotonic()
        late = False
        while loop.step < steps and not late and not _settled(record.rows, seeds, target):
            until = min(steps, (loop.step // test_every + 1) * test_every)
            loop.run(until)
            if loop.step == until:
                tested = loop.test(seeds)
                record.append(tested)
                if not any(np.isfinite(row.train_loss) for row in tested):
                    setup.task.check_values(setup.task(jax.random.key(0), setup.batch, setup.horizon))
                    raise Diverged(tested[0].train_loss, until)
                late = seconds is not None and time.monotonic() - began >= seconds
            if on_progress is not None:
                on_progress(loop.progress(steps, len(seeds)))
            if time.monotonic() - saved >= save_every:
                record.save(loop.step, loop.state)
                saved = time.monotonic()
        record.save(loop.step, loop.state)
    state = loop.state if given is None else jax.device_put(loop.state, given)
    return Fitted(state, record.rows, reached(record.rows, seeds, target), loop.seconds, loop.compile_seconds)


def reached(rows: Sequence[Row], seeds: Sequence[int], target: float | None) -> dict[int, int | None]:
    """For each seed, the step of its first test at or below `target`."""
    found: dict[int, int | None] = dict.fromkeys(seeds)
    for row in reversed(rows):
        if target is not None and row.test_loss <= target:
            found[row.seed] = row.step
    return found


def _settled(rows: Sequence[Row], seeds: Sequence[int], target: float | None) -> bool:
    return target is not None and None not in reached(rows, seeds, target).values()
