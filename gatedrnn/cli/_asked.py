"""What a model is asked of a file: its steps as the model reads them, the question, and words for it."""

import math
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gatedrnn import models, plots
from gatedrnn._check import fail
from gatedrnn.cli._options import split_column
from gatedrnn.cli._stretches import Stretches, read_bytes, read_rows, stretches, trained_length
from gatedrnn.flow._audited import check_memory, sizes
from gatedrnn.flow.inspect import check_fits
from gatedrnn.linear import accumulation_dtype


class Asked(NamedTuple):
    """What an inspection is made of.

    Attributes:
        params: the model's weights, in float32 or wider.
        question: a `gr.models.Question`.
        longer: what the recurrence reads in a longer run, [T', B', D], or None.
        trained: the length of the training's sequences, or None.
        reading: words and numbers for the report, as JSON.
        notes: what came out otherwise than asked.
    """

    params: Any
    question: Any
    longer: Any
    trained: int | None
    reading: dict[str, Any]
    notes: list[str]


def asked_of(loaded: Any, what: Any, horizon: int, batch: int, shown: int, back: int) -> Asked:
    """Reads the file and asks.

    Raises:
        ValueError: the model does not fit the file, an option does not fit either, or memory does not do.
    """
    model, about = loaded.model, loaded.about
    params = _wide(loaded.params)
    data, units = _read(what, model, about)
    kind, trained = ("byte" if units is None else "row"), trained_length(about)
    cut = stretches(len(data), horizon, batch, what.at, trained, kind)
    if back >= cut.steps:
        raise fail("back", f"below the steps that are read, {cut.steps:,}", f"{back:,}")
    _check_memory(model, params, cut)
    before, after = cut.of(data)
    output = 0 if units is None else _predicted(units, what.predict)
    xs, targets = _given(before, after, units)
    asked = models.question(model, params, xs, targets, output)
    far = cut.far(data)
    longer = None if far is None else model.features(params, _given(far, far, units)[0])
    start, stop = max(cut.steps - back - shown, 0), cut.steps - back
    at, seen = cut.starts[0] + cut.steps, before[start:stop, 0]
    answer, loss = float(asked.answers[0]), float(asked.value)
    if not math.isfinite(loss):
        raise fail("model", "one whose loss over what is read is finite", f"{loss}")
    reading = {
        "cell": model.cell.name,
        "source": os.path.basename(split_column(what.series)[0] if units else what.text),
        "at": at,
        "starts": cut.starts,
        "first": cut.starts[0] + start,
        "loss": loss,
        **(
            _text(seen, after[-1, 0], at, answer, loss)
            if units is None
            else _series(seen, units, output, at, (answer, float(targets[-1, 0, output])))
        ),
    }
    return Asked(params, asked, longer, trained, reading, cut.notes)


def _read(what: Any, model: Any, about: Any) -> tuple[np.ndarray, Any]:
    """Bytes [N] and no units, or rows [N, C] and theirs."""
    return (read_bytes(what.text, model, about), None) if what.text is not None else read_rows(what, model, about)


def _wide(params: Any) -> Any:
    """The weights in float32 or wider, in which everything is measured."""
    for path, leaf in jax.tree.leaves_with_path(params):
        if not np.isfinite(np.asarray(leaf, np.float64)).all():
            place = jax.tree_util.keystr(path, simple=True, separator=".")
            raise fail("model", "of finite weights", f"NaN or infinity in {place}")
    return jax.tree.map(lambda a: a.astype(accumulation_dtype(a.dtype)), params)


def _given(before: np.ndarray, after: np.ndarray, units: Any) -> tuple[Any, Any]:
    """Inputs and targets as a training has them."""
    if units is None:
        return jnp.asarray(before.astype(np.int32)), jnp.asarray(after.astype(np.int32))
    return jnp.asarray(before), jnp.asarray(after[..., list(units.predicted)])


def _check_memory(model: Any, params: Any, cut: Stretches) -> None:
    """Before anything is run: raises ValueError where the inspection, or the longer run, would not fit."""
    batch, width = len(cut.starts), model.embedding_size or model.input_size
    carry = jax.eval_shape(lambda params: model.cell.initial_carry(params, batch), params.cell)
    check_fits("horizon", carry, params, (cut.steps, batch, width))
    check_memory(
        "text" if model.embedding_size else "series",
        [cut.reach * len(cut.longer) * (3 * sizes(carry) // batch + 8 * width)],
    )


def _predicted(units: Any, name: str | None) -> int:
    """The place of a column among those that are predicted."""
    known = [units.names[place] for place in units.predicted]
    if name is not None and name not in known:
        raise fail("predict", f"one of the predicted columns {', '.join(map(repr, known[:20]))}", repr(name))
    return 0 if name is None else known.index(name)


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _text(seen: np.ndarray, follows: Any, at: int, answer: float, loss: float) -> dict[str, Any]:
    """Of what was read in bytes, and the byte that followed."""
    (letter,) = plots.letters_of(bytes([int(follows)]))
    return {
        "kind": "text",
        "read": plots.letters_of(seen.tobytes()),
        "answer": f"the log probability of {letter!r} at byte {at:,}, {_minus(f'{answer:.3g}')} nats",
        "rows": ["what it adds"],
        "rows_mean": "The first row: by how much each letter, compared with an average one, raises (red) or lowers "
        "(blue) the log probability, to first order; colours on a log scale.",
        "loss_unit": f"nats per byte ({loss / np.log(2):.3g} bits)",
    }


def _series(seen: np.ndarray, units: Any, output: int, at: int, pair: tuple[float, float]) -> dict[str, Any]:
    """Of what was read in rows, in the columns' own units where there is one."""
    place = units.predicted[output]
    value, was = (each * units.deviation[place] + units.mean[place] for each in pair)  # predicted, and there
    curves = units.unscaled(seen) if len(units.names) == 1 else seen
    return {
        "kind": "series",
        "read": curves.tolist(),
        "answer": f"what is predicted of {units.names[place]} at row {at:,}, {_minus(f'{value:.6g}')} where "
        f"{_minus(f'{was:.6g}')} is",
        "rows": list(units.names),
        "rows_mean": "The first rows: by how much the prediction would rise (red) or fall (blue) with each value, both "
        "in standard deviations; colours on a log scale.",
        "loss_unit": "squared error of standardised values",
    }
