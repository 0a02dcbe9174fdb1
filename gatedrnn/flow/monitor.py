"""A training step that looks at itself: measurements every n steps, and a guard against what is not finite.

step = gr.flow.monitor(step, probe, every=100, log="run.jsonl")
"""

from collections.abc import Callable
from typing import Any, Literal

import jax

from gatedrnn._check import check_size, fail, shown
from gatedrnn._jax import concrete
from gatedrnn.flow._given import Beside, called, parted
from gatedrnn.flow._lines import Lines, board, scalars
from gatedrnn.flow._origin import Origin, origin
from gatedrnn.flow._state import (
    Held,
    Ways,
    before,
    broken,
    built_alike,
    changed,
    check_restorable,
    handed_back,
    hold,
    restored,
    spared,
)
from gatedrnn.flow._watched import check_probe, of_all, of_rows, plain

Guard = Literal["stop", "skip"]


class NonFiniteError(FloatingPointError):
    """A training step gave a number that is not finite.

    Attributes:
        step: the number of the step.
        path: the place of the first such array in what the step returned (or, where it changes its arguments, in them).
        origin: where in the recurrence it arose, a `gr.flow.Origin`; None where that is finite throughout, and the
            number comes from elsewhere, such as the optimiser or another layer.
        good: the arguments of the step as they were before it, the last good state among them; those by name last.
    """

    def __init__(self, step: int, path: str, origin: Origin | None, good: tuple[Any, ...]) -> None:
        arose = "outside of the recurrence, which is finite throughout" if origin is None else f"in {origin}"
        super().__init__(f"Step {step} gave `{path}`, which is not finite; it arose {arose}.")
        self.step, self.path, self.origin, self.good = step, path, origin, good


def monitor(
    step: Callable[..., Any],
    probe: Callable[..., Any],
    *,
    every: int = 100,
    log: Any = None,
    tensorboard: Any = None,
    guard: Guard | None = "stop",
    rows: int = 4,
    exponents: int = 1,
    first: int = 0,
) -> "Monitor":
    """Wraps a training step, which is called as before and returns what it returned.

    Before every n-th call the recurrence is measured, with the weights and the batch that the step is about to use:
    how the gradient of your own loss decays with the lag, the leading Lyapunov exponents, how open the gates are, and
    the norm of the gradient in every weight. `probe` says where in the step's arguments all that is; no derivative is
    yours to take.

        step = gr.flow.monitor(step, lambda state, batch: (
            gr.lstm, state.params["cell"], batch.xs, lambda ys: loss(state.params["readout"], ys, batch.targets)
        ), log="run.jsonl")

    After every call the guard looks at all that the step returned, and at arguments that it changed, as modules of
    flax nnx are; it waits for the answer before it hands them on. Where a floating number is not finite which the state
    before had finite, the recurrence is run again with a look at every step, and `NonFiniteError` says where it arose.
    A number that is NaN or infinite from the beginning, such as a best loss so far, breaks nothing.

    Args:
        step: `(*arguments) -> results`, outside of `jax.jit` (what is inside of it may well be jitted): of arrays, a
            flax `TrainState`, nnx modules and optimisers, modules of equinox, or a loop of updates in one. Arguments
            may be given by name. Arrays may be donated, at every call the same: of those a copy is held while the step
            runs; at the first call, of every array.
        probe: what takes the same arguments, `-> Probe`, or a tuple `(cell, params, xs, loss)` with
            `loss(ys) -> value []`. It is traced, as by `jax.jit`, but for what is no array, such as functions.
        every: n; calls 0, n, 2 n, ... are measured.
        log: a file of JSON lines, to which records are added; `gr.flow.monitored` reads it.
        tensorboard: a folder for TensorBoard; needs tensorboardX, or torch and tensorboard.
        guard: `"stop"` raises; `"skip"` gives back the state as it was before the step, takes note of it in the log,
            and goes on; None looks at nothing. To skip, the results must be a new value of one of the arguments, or
            hold such values: in a tuple, a dict or the like. Which argument that is shows in what the next call is
            given, which must be those arrays themselves and no copies; until then it is the first that is built alike.
        rows: of the batch, whose profile, exponents and gates are measured; the gradient in the weights is of all.
        exponents: how many; 0 for none.
        first: the number of the first call, where a training goes on.

    Returns:
        A `Monitor`, to be called in the place of `step`.

    Raises:
        ValueError: an argument is not as described; `tensorboard` is asked for and not installed.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> params, xs = gr.gru.init(jax.random.key(0), 2, 8), jnp.ones((50, 3, 2))
        >>> loss = lambda ys: jnp.mean((ys[-1] - 0.5) ** 2)
        >>> @jax.jit
        ... def step(params, xs):
        ...     value, gradient = jax.value_and_grad(lambda p: loss(gr.unroll(gr.gru, p, xs)[1]))(params)
        ...     return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value
        >>> step = gr.flow.monitor(step, lambda params, xs: (gr.gru, params, xs, loss), every=10, log="run.jsonl")
        >>> for _ in range(20):
        ...     params, value = step(params, xs)
        >>> [record["step"] for record in gr.flow.monitored("run.jsonl")], sorted(step.last["gates"])
        ([0, 10], ['candidate', 'reset', 'update'])
    """
    if guard not in (None, "stop", "skip"):
        raise fail("guard", "'stop', 'skip' or None", shown(guard))
    if not callable(step):
        raise fail("step", "a function", shown(step))
    if not callable(probe):
        raise fail("probe", "a function of the step's arguments", shown(probe))
    return Monitor(
        step,
        probe,
        check_size("every", every),
        None if log is None else Lines(log, "log"),
        None if tensorboard is None else board(tensorboard),
        guard,
        check_size("rows", rows),
        check_size("exponents", exponents, 0),
        check_size("first", first, 0),
    )


class Monitor:
    """A training step under observation, as `monitor` makes it.

    Attributes:
        count: the number of the next call.
        last: the last measurements, as in the log; empty before there are any.
        skipped: the numbers of the steps that were skipped.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        probe: Callable[..., Any],
        every: int,
        log: Lines | None,
        writer: Any,
        guard: Guard | None,
        rows: int,
        exponents: int,
        first: int,
    ) -> None:
        self._step, self._probe, self._every, self._guard = step, probe, every, guard
        self._log, self._writer = log, writer
        self._spared: list[list[bool | None]] = []  # whether the step leaves the arrays of its arguments alive
        self._excused: frozenset[str] | None = None  # places that were not finite from the beginning
        self._ways: Ways = {}  # what of the results is the state, once the step has been given it back
        self._given: Any = ()  # the last results, until that is known

        def look(arrays: list[Any], beside: Beside) -> Any:
            return of_all(check_probe(beside.call(probe, arrays)), rows)

        def look_at_rows(dys: Any, arrays: list[Any], beside: Beside) -> Any:
            return of_rows(check_probe(beside.call(probe, arrays)), dys, rows, exponents)

        self._of_all, self._of_rows = jax.jit(look, static_argnums=1), jax.jit(look_at_rows, static_argnums=2)
        self.count = first
        self.last: dict[str, Any] = {}
        self.skipped: list[int] = []

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        given, names = (*arguments, *named.values()), tuple(named)
        if not concrete(given):
            raise TypeError("`step` must be called outside of `jax.jit`; got arrays that are being traced.")
        if self.count % self._every == 0:
            arrays, beside = parted(given, names)
            found, dys = self._of_all(arrays, beside)
            self._write(plain(found | self._of_rows(dys, arrays, beside)))
        if self._guard is None:
            results = self._step(*arguments, **named)
        else:
            held = hold(given, self._spared)
            if self._guard == "skip" and not self._ways:
                self._ways, self._given = handed_back(self._given, held), ()
            results = self._guarded(self._step(*arguments, **named), held, given, names)
        self.count += 1
        return results

    def _write(self, found: dict[str, Any]) -> None:
        self.last = {"step": self.count, **found}
        if self._log is not None:
            self._log.add(self.last)
        if self._writer is not None:
            for place, value in scalars(found):
                self._writer.add_scalar(place, value, self.count)
            self._writer.flush()

    def _guarded(self, results: Any, held: Held, arguments: tuple[Any, ...], names: tuple[str, ...]) -> Any:
        """The results, or what is to be returned in their place."""
        self._spared = spared(held)
        now = {"results": results, "arguments": changed(held, arguments)}
        if self._excused is None:
            ways = built_alike(results, held)
            if self._guard == "skip":
                check_restorable(held, arguments, ways)
            begun = {"results": before(results, held, ways), "arguments": dict(enumerate(held.values()))}
            self._excused = frozenset(broken(begun))
        bad = [place for place in broken(now) if place not in self._excused]
        if bad:
            results = self._refused(bad[0], results, held, arguments, names)
        if self._guard == "skip" and not self._ways:
            self._given = results
        return results

    def _refused(self, place: str, results: Any, held: Held, arguments: tuple[Any, ...], names: tuple[str, ...]) -> Any:
        """Raises, or gives back the state as it was before the step."""
        good = held.values()
        found = NonFiniteError(self.count, place, origin(check_probe(called(self._probe, good, names))), good)
        if self._guard == "stop":
            raise found
        self.skipped.append(self.count)
        if self._log is not None:
            self._log.add({"step": self.count, "event": "skipped", "why": str(found)})
        return restored(results, held, arguments, self._ways or built_alike(results, held))
