"""What an inspection says in plain words, each line with the number that it rests on."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gatedrnn import plots
from gatedrnn._words import capital, counted
from gatedrnn.report._words import joined, number

Record = Mapping[str, Any]

LEAVES = 2.0  # times as many numbers outside their range as in training, and the states are called others


class Line(NamedTuple):
    """A word or two for what was measured, and a sentence or two."""

    name: str
    text: str


def lines(record: Record) -> list[Line]:
    """The findings of an inspection, in the order of a reader's questions; what was not measured has none.

    Args:
        record: `gatedrnn.flow.Inspection.record()`, with `reading` beside it where a model has read a file.
    """
    measures: dict[str, Callable[[Record], str]] = {
        "loss": _loss,
        "looks back": _looks_back,
        "gradient": _gradient,
        "paths": _paths,
        "unit": _unit,
        "layers": _layers,
        "time scales": _timescales,
        "window": _window,
        "formats": _formats,
        "exponent": _exponent,
        "states": _states,
    }
    found = [Line(name, say(record)) for name, say in measures.items()]
    return [line for line in found if line.text]


def unit_name(place: str, unit: int) -> str:
    """`unit 12`, or `unit 12 of layer 2`: layers are counted from 1, units from 0, as in the weights."""
    return f"unit {unit}" + (f" of {place_name(place)}" if place else "")


def place_name(place: str) -> str:
    """`layer 2` for the place `1` of a stack; any other place as it is."""
    return f"layer {int(place) + 1}" if place.isdecimal() else place


def _loss(record: Record) -> str:
    reading = record.get("reading")
    if reading is None:
        return ""
    where = f"over {_stretches(record['batch'])} of {_steps(record['horizon'])}"
    return f"{number(reading['loss'], 4)} {reading['loss_unit']}, the mean {where}."


def _looks_back(record: Record) -> str:
    steps = record["looks_back"]
    middle, low, high = (float(pick(steps)) for pick in (np.median, np.min, np.max))
    if high == 0:
        return "The answer depends on nothing that was read."
    spread = f" ({low:,.0f} to {high:,.0f} in {_stretches(len(steps))})" if low < high else ""
    text = f"The answer looks back {_steps(middle)}{spread}: 99 % of its sensitivity lies there."
    cut = middle > 0.9 * record["horizon"] > 1
    return text + (f" It may be more: {_steps(record['horizon'])} were read." if cut else "")


def _gradient(record: Record) -> str:
    decay, horizon = record["decay"], record["horizon"]
    half = decay["half_life"]
    rate = "" if half is None else f"; fitted over all {horizon:,}, by half every {plots.steps(half)}"
    if decay["lag_below_1e3"] == 0:  # below its own start it is where that is no number
        return "None arrives at any step."
    if decay["word"] == "exploding":
        return f"It grows on its way back, to {plots.power(decay['highest'])} times its start within {_steps(horizon)}."
    if decay["lag_below_1e3"] is None:
        return f"It stays within a factor of 1,000 of its start over {_steps(horizon)}{rate}."
    return f"It falls to a thousandth within {_steps(decay['lag_below_1e3'])}{rate}."


def _paths(record: Record) -> str:
    found = record["at_keeper"]
    if found is None:
        return ""
    whole, direct, rest = (_power(found[kind]) for kind in ("whole", "direct", "rest"))
    own = f"{direct} along units by themselves, {rest} across the recurrent weights"
    return f"{capital(_steps(found['lag']))} back its norm is {whole}: {own}."


def _unit(record: Record) -> str:
    found = record["keeper"]
    if found is None:
        return ""
    name, share = capital(unit_name(found["place"], found["unit"])), _percent(found["share"])
    scale = math.inf if found["timescale"] is None else found["timescale"]
    here = f"{name} has the most of it there, {share}"
    low = -math.inf
    own = (low if found["direct"] is None else found["direct"]) >= (low if found["rest"] is None else found["rest"])
    if not own or scale <= 0:
        return f"{here}, and has it through the recurrent weights."
    gate = record["keeps"][found["place"]]
    by = f"its {plots.gate_title(gate)}" if gate and not gate.startswith("1 -") else "what it keeps of itself"
    kept = math.exp(-1 / scale) if scale < math.inf else 1.0
    return f"{here}, and has it through {by}: {_kept(kept)} at a step, {_times(scale)}."


def _layers(record: Record) -> str:
    found = (record["at_keeper"] or {}).get("layers") or {}
    shares = [f"{_percent(share or 0.0)} in {place_name(place)}" for place, share in found.items()]
    return f"Of its square {_steps(record['at_keeper']['lag'])} back: {joined(shares)}." if len(shares) > 1 else ""


def _timescales(record: Record) -> str:
    scales = [
        (math.inf if scale is None else scale, place, unit)
        for place, found in record["timescales"].items()
        for unit, scale in enumerate(found)
    ]
    if not scales:
        return ""
    slowest, place, unit = max(scales, key=lambda each: each[0])
    middle = float(np.median([scale for scale, *_ in scales]))
    most = "for ever" if math.isinf(slowest) else f"for {_about(slowest)}"
    return f"{capital(unit_name(place, unit))} keeps what it holds {most}, half of all for {plots.steps(middle)}."


def _window(record: Record) -> str:
    windows, found = record["windows"]["windows"], record["windows"]["weights"]["all"]
    smallest = found["smallest_window"]
    if smallest is not None:
        return f"One of {_steps(smallest)} keeps 99 % of the gradient of the loss, in direction and size."
    cosine, ratio = (number(found[name][-1] or 0.0, 2) for name in ("cosine", "norm_ratio"))
    largest = f"one of {_steps(windows[-1])} has a cosine of {cosine} with it, and {ratio} of its norm"
    return f"None that was tried keeps 99 % of the gradient of the loss: {largest}."


def _formats(record: Record) -> str:
    found = record["precision"]
    never, share = found["horizon"] + 1, _percent(found["tolerance"])
    said = []
    for name, each in found["formats"].items():
        lag = float(np.median(each["parted_lag"]))
        apart = f"less than {share} everywhere" if lag >= never else f"more than {share} from {_steps(lag)} back on"
        unheld = min(each["unheld_lag"])
        lost = f", and from {_steps(unheld)} on it is beyond what the format holds" if unheld < never else ""
        said.append(f"In {name} the gradient is off {apart}{lost}.")
    return " ".join(said)


def _exponent(record: Record) -> str:
    value, error = record["spectrum"]["exponents"][0], record["spectrum"]["error"][0]
    if value is None:
        return "A disturbance of the state is gone after a step."
    spread = "" if error is None else f" ± {number(error, 2)}"
    size = f"{number(value)}{spread} nats per step"
    if error is not None and abs(value) <= 2 * error:
        return f"{size}: whether a disturbance of the state grows or shrinks is not told."
    way = "doubles" if value > 0 else "halves"
    return f"{size}: a disturbance of the state {way} in {_about(math.log(2) / abs(value))}."


def _states(record: Record) -> str:
    found = record["coverage"]
    if found is None or found["outside_beyond"] is None:
        return ""
    beyond, within = found["outside_beyond"], found["outside_trained"]
    verdict = "it leaves" if beyond > LEAVES * within else "it stays among"
    times = f"{_steps(found['steps'])}, {found['steps'] / found['trained']:.3g} times those of a training sequence"
    numbers = f"{_percent(beyond)} of its numbers are outside their range, against {_percent(within)}"
    return f"Over {times}, {verdict} the states of the first {found['trained']:,}: {numbers}."


def _about(steps: float) -> str:
    """A number of steps that need not be whole: 1 step, 3.19 steps."""
    told = plots.steps(steps)
    return f"{told} step" if told == "1" else f"{told} steps"


def _steps(count: float) -> str:
    return counted(round(count), "step")


def _stretches(count: int) -> str:
    return f"{count:,} stretch" + ("" if count == 1 else "es")


def _times(scale: float) -> str:
    return "for ever" if math.isinf(scale) else f"a time scale of {_about(scale)}"


def _kept(factor: float) -> str:
    """With as many digits as tell it from 1."""
    if factor == 1:
        return "1"
    return f"{factor:.{2 if factor <= 0.9 else min(-math.floor(math.log10(1 - factor)), 12)}f}"


def _percent(share: float) -> str:
    return f"{number(100 * share, 2 if share < 0.995 else 3)} %"


def _power(log10: float | None) -> str:
    return "0" if log10 is None else plots.power(log10)
