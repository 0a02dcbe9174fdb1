"""The updates of a training on its devices: as many per call as take about a second, each test timed apart."""

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gatedrnn._jax import explicit_axes
from gatedrnn.methods.sharded import AnyMesh, Sharded, automatic
from gatedrnn.train._losses import Metrics
from gatedrnn.train._metrics import Row
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, advance, measure

CALL_SECONDS = 1.0


class Progress(NamedTuple):
    """What `fit` tells while it runs.

    Attributes:
        step: updates made.
        steps: updates asked for.
        steps_per_second: of the last call.
        loss: mean training loss since the last test, over the seeds; NaN before the first update.
        rows: the last test's, one per seed; empty before the first.
    """

    step: int
    steps: int
    steps_per_second: float
    loss: float
    rows: tuple[Row, ...]


class Loop:
    """The state on the device, and the two programs that change and test it."""

    def __init__(
        self, setup: Setup, state: TrainState, rows: list[Row], place: NamedSharding | None, batches: int
    ) -> None:
        self._setup, self._rows = setup, rows
        self._advance, self._measure = _programs(place, batches)
        self.seconds, self.pace, self.speed = 0.0, 1, 0.0
        began = time.perf_counter()
        state = state if place is None else jax.device_put(state, place)
        self.state = jax.block_until_ready(self._advance(setup, state, jnp.array(0)))  # compiles, and runs no step
        self.compile_seconds = time.perf_counter() - began
        self._compiled_test = False
        self.step = int(self.state.step[0])

    def run(self, until: int) -> None:
        count = min(self.pace, until - self.step)
        began = time.perf_counter()
        self.state = jax.block_until_ready(self._advance(self._setup, self.state, jnp.array(count)))
        taken = time.perf_counter() - began
        self.seconds, self.step, self.speed = self.seconds + taken, self.step + count, count / taken
        self.pace = max(1, min(2 * count, int(CALL_SECONDS * self.speed)))

    def test(self, seeds: Sequence[int]) -> list[Row]:
        """Rows of a test."""
        began = time.perf_counter()
        found = jax.tree.map(np.asarray, self._measure(self._setup, self.state.params))
        taken = time.perf_counter() - began
        if self._compiled_test:
            self.seconds += taken
        else:  # the first one is nearly all compilation
            self.compile_seconds, self._compiled_test = self.compile_seconds + taken, True
        losses = self.state.mean_loss
        self.state = self.state.tested()
        return [
            Row(self.step, seed, float(loss), *(float(a[i]) if found.share[i] else np.nan for a in found[:2]))
            for i, (seed, loss) in enumerate(zip(seeds, losses, strict=True))
        ]

    def progress(self, steps: int, seeds: int) -> Progress:
        last = tuple(self._rows[-seeds:])
        since = self.step - (last[0].step if last else 0)
        loss = float(np.mean(self.state.mean_loss if since else [row.train_loss for row in last]))
        return Progress(self.step, steps, self.speed, loss, last)


def place_of(setup: Setup, mesh: AnyMesh | None) -> tuple[NamedSharding | None, NamedSharding | None]:
    """Where the state is before and after every call: seeds spread, or all of it on each device that shares a batch.

    The second is where the caller finds it, if a mesh of explicit axes is set there: whole on each device.
    """
    spec = PartitionSpec() if mesh is None else PartitionSpec(mesh.axis_names)
    if mesh is None and isinstance(setup.method, Sharded):
        mesh = setup.method.over(setup.batch)
    if not isinstance(mesh, Mesh):
        return None, None
    return NamedSharding(automatic(mesh), spec), NamedSharding(mesh, PartitionSpec()) if explicit_axes() else None


def within(place: NamedSharding | None) -> contextlib.AbstractContextManager[Any]:
    """Where axes are not part of types, whatever mesh the caller has set."""
    mesh = None if place is None else place.mesh
    return jax.set_mesh(mesh) if isinstance(mesh, Mesh) else contextlib.nullcontext()


@functools.cache
def _programs(place: NamedSharding | None, batches: int) -> tuple[Callable[..., TrainState], Callable[..., Metrics]]:
    """`advance` and `measure`, compiled for a state in its place; each device runs the seeds that it has."""
    run: Callable[..., Any] = advance
    on: Callable[..., Any] = functools.partial(measure, batches=batches)
    if place is not None and len(place.spec):
        seeds, every = place.spec, PartitionSpec()
        run = jax.shard_map(run, mesh=place.mesh, in_specs=(every, seeds, every), out_specs=seeds, check_vma=False)
        on = jax.shard_map(on, mesh=place.mesh, in_specs=(every, seeds), out_specs=seeds, check_vma=False)
    # A state that comes back elsewhere, or in the same place by another name, would be compiled for once more.
    return jax.jit(run, donate_argnums=1, out_shardings=place), jax.jit(on)
