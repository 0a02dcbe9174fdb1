"""Rules of a diagnosis on made-up numbers, at their boundaries."""

import dataclasses
import math

import pytest

from gatedrnn.flow.forecast import Forecast, Signs
from gatedrnn.train._course import Course
from gatedrnn.train._diagnosis import findings
from gatedrnn.train._evidence import Evidence, Tried, bias_for, bias_of, foretold, headline
from gatedrnn.train._measured import Measured

WELL = Measured(
    gradient=-0.5,
    reach=math.inf,
    scales=(10.0, 900.0),
    units=3,
    ratio=7.0,
    norms=(0.5, 0.4, 0.6, 0.5),
    signal={"cell.input.w": 2.0, "readout.b": None},
    saturated={"reset": 0.0},
    frozen={"reset": 0.0},
    weight=0.2,
)
STUCK = Course("plateau", 400, 0.17, 0.17, 0.165, 100, None, 400, 1e-5, 1e-4, 1e-5)
PLATEAU = Evidence(
    course=STUCK,
    without_memory=0.168,
    lag=500,
    horizon=1000,
    batch=16,
    rule="adam",
    rate=0.01,
    clip=1.0,
    made=400,
    budget=400,
    test_every=50,
    target=None,
    generated=True,
    keeps="update",
    first=WELL,
    last=WELL,
)
TRIED = (Tried({"init": "chrono"}, -0.3, 0), Tried({"init": "writable"}, -0.7, 8))


def on(base=PLATEAU, *, way=None, last=None, first=None, **changes):
    """The evidence with some numbers changed."""
    changes |= {} if way is None else {"course": base.course._replace(**way)}
    changes |= {} if last is None else {"last": base.last._replace(**last)}
    changes |= {} if first is None else {"first": base.first._replace(**first)}
    return dataclasses.replace(base, **changes)


LEFT = on(way={"place": "left", "loss": 0.1, "train_loss": 0.1, "best": 0.1, "best_at": 400, "left_at": 200})
DIVERGED = on(way={"place": "diverged", "loss": math.inf, "finite_at": 350}, made=300)
ABOVE = on(way={"place": "above", "loss": 180.0, "train_loss": 150.0, "best": 0.19, "best_at": 50}, rate=3.0)


def names(evidence):
    """Of the findings."""
    return [each.name for each in findings(evidence)]


@pytest.mark.parametrize(
    ("evidence", "wanted"),
    [
        (PLATEAU, ["unexplained"]),
        (on(last={"gradient": -3.0}), ["unexplained"]),
        (on(last={"gradient": -3.01}), ["vanishing"]),
        (on(last={"gradient": -math.inf}), ["vanishing"]),
        (on(last={"gradient": -9.0}, way={"trend": -2.5e-4, "error": 1e-4}), ["vanishing"]),
        (on(last={"gradient": -31.0}, lag=None), ["unexplained"]),
        (on(last={"gradient": 3.0}), ["unexplained"]),
        (on(last={"gradient": 3.01}), ["exploding"]),
        (on(last={"units": 0}), ["unwritable"]),
        (on(last={"units": None, "ratio": None}), ["unexplained"]),
        (on(rate=0.2 / 400), ["unexplained"]),
        (on(rate=0.19 / 400), ["slow"]),
        (on(rate=0.19 / 400, rule="rmsprop"), ["unexplained"]),
        (on(rate=0.39 / 400, rule="sgd"), ["slow"]),  # times a norm of 0.5
        (on(rate=0.41 / 400, rule="sgd"), ["unexplained"]),
        (on(rate=1.0, clip=4e-4, rule="sgd"), ["clipped"]),
        (on(rate=1.0, clip=6e-4, rule="sgd"), ["unexplained"]),
        (on(rate=1.0, clip=4e-4, rule="adam"), ["unexplained"]),
        (on(last={"frozen": {"reset": 0.5}}), ["unexplained"]),
        (on(last={"frozen": {"reset": 0.51}}), ["saturated"]),
        (on(last={"frozen": {"reset": 0.9}}, first={"frozen": {"reset": 0.6}}), ["unexplained"]),  # made so
        (on(last={"signal": {"a": 0.5, "b": 0.1}}), ["unexplained"]),
        (on(last={"signal": {"a": 0.49, "b": 0.1}}), ["noisy"]),
        (on(last={"signal": {"a": None}}), ["unexplained"]),
        (on(last={"gradient": -9.0, "units": 0}, rate=1e-6), ["slow", "vanishing", "unwritable"]),
        (on(way={"best": 0.11}), ["fell back"]),
        (on(way={"best": 0.12}), ["unexplained"]),
        (LEFT, ["unexplained"]),
        (on(LEFT, last={"gradient": -3.01, "units": 0}), ["vanishing"]),
        (on(LEFT, last={"gradient": -3.01}, way={"trend": -2.5e-4, "error": 1e-4}), ["falling"]),
        (on(LEFT, way={"trend": -2.5e-4, "error": 1e-4}), ["falling"]),
        (on(LEFT, way={"trend": -2.4e-4, "error": 1e-4}), ["unexplained"]),  # by less than a hundredth in forty
        (on(LEFT, way={"trend": -2.5e-4, "error": 1.3e-4}), ["unexplained"]),  # not sure
        (on(LEFT, way={"step": math.log(0.79) / 50}), ["falling"]),
        (on(LEFT, way={"step": math.log(0.81) / 50}), ["unexplained"]),
        (on(LEFT, way={"step": math.log(0.5) / 50, "best_at": 350}), ["unexplained"]),
        (on(LEFT, generated=False, way={"best": 0.09, "best_at": 250, "train_loss": 0.09}), ["overfits"]),
        (on(LEFT, generated=True, way={"best": 0.09, "best_at": 250, "train_loss": 0.09}), ["unexplained"]),
        (on(LEFT, generated=False, way={"best": 0.092, "best_at": 250, "train_loss": 0.09}), ["unexplained"]),
        (on(LEFT, generated=False, way={"best": 0.09, "best_at": 250, "train_loss": 0.092}), ["unexplained"]),
        (on(LEFT, way={"best": 0.06, "best_at": 250}), ["fell back"]),
        (on(LEFT, way={"place": "learned"}), ["learned"]),
        (on(way={"place": "untested"}), ["untested"]),
        (DIVERGED, ["diverged"]),
        (dataclasses.replace(DIVERGED, last=None), ["diverged"]),
        (ABOVE, ["above"]),
        (on(ABOVE, failed_at=2, stable=0.5, last={"gradient": -9.0, "units": 0}), ["above"]),
        (on(ABOVE, generated=False), ["above"]),
        (on(ABOVE, generated=False, way={"train_loss": 1.68}), ["overfits"]),
        (on(ABOVE, generated=False, way={"train_loss": 1.69}), ["above"]),
        (on(ABOVE, generated=False, way={"train_loss": 1.68}, failed_at=2), ["above"]),
        (on(ABOVE, generated=False, way={"train_loss": 1.68, "best_at": 400}), ["unexplained"]),
    ],
)
def test_rules(evidence, wanted):
    """Each at its boundary, one after the other where several hold."""
    assert names(evidence) == wanted
    for each in findings(evidence):
        assert each.says.endswith(".") and "nan" not in each.says
    assert headline(evidence).endswith(".")


@pytest.mark.parametrize(
    ("evidence", "options", "resume", "words"),
    [
        (
            on(last={"gradient": -9.0}, tried=TRIED),
            {"init": "writable"},
            None,
            "0.2 of the gradient arrives and 8 units",
        ),
        (
            on(last={"gradient": -9.0}, tried=TRIED[:1]),
            {"init": "chrono"},
            None,
            "0.5 of the gradient arrives and 0 un",
        ),
        (
            on(last={"units": 0}, tried=(Tried({"init": "chrono"}, -4.0, 5), Tried({"init": "other"}, -1.0, 1))),
            {"init": "other"},
            None,
            "1 unit can be written",
        ),
        (on(last={"gradient": -9.0}, bias=5.04), {}, None, "a bias of 5.0 in all update gates"),
        (on(last={"gradient": -9.0}, bias=5.04, keeps="1 - forget"), {}, None, "a bias of -5.0 in all forget gates"),
        (on(rate=1e-5), {"rate": 0.003}, None, "by 1 in 400 updates at a learning rate of 0.003."),  # 1 / 400, rounded
        (
            on(rate=1e-5, first={"scales": (1.0, 2.0)}),  # by ln(500 / ln 10) - logit(exp(-1 / 2))
            {"rate": 0.01, "steps": 500},
            None,
            "by 4.95 in 500 updates",
        ),
        (on(rate=0.01, made=10, budget=10), {}, 100, "by 1 in 100 updates at a learning rate of 0.01"),
        (on(rate=0.01, made=10, budget=400), {}, 400, "by 1 in 400 updates"),  # no fewer than were asked for
        (on(rate=1.0, clip=4e-4, rule="sgd"), {"clip": 0.6}, None, "A clip of 0.6"),  # the 0.9 quantile, 0.57
        (on(last={"gradient": 4.0}, clip=None), {"clip": 0.5}, None, "Clip it"),
        (on(last={"signal": {"a": 0.4}}), {"batch": 64}, None, "batches of 64"),  # 1 / 0.5^2, four batches measured
        (on(last={"signal": {"a": 0.4}, "norms": (1.0,) * 16}), {"batch": 112}, None, "of 112"),  # 1 / 0.4^2 = 6.25
        (on(LEFT, way={"trend": -1e-3, "error": 0.0}), {}, 800, "0.05 after 1,093 updates. As many again"),  # ln 2
        (on(LEFT, target=-1.0, way={"trend": -1e-3, "error": 0.0}), {}, 800, "it is at 0.05 after 1,093 updates"),
        (
            on(LEFT, target=-1.0, way={"loss": 0.01, "trend": -1e-3, "error": 0.0}),
            {},
            800,
            "it is at 0.005 after 1,093",
        ),
        (on(LEFT, target=0.09, way={"trend": -1e-3, "error": 0.0}), {}, 550, "it is at 0.09 after 505 updates"),
        (
            on(LEFT, generated=False, way={"best": 0.09, "best_at": 250, "train_loss": 0.09}),
            {"steps": 250},
            None,
            "250",
        ),
        (on(LEFT, way={"best": 0.06, "best_at": 250}), {"rate": 0.0025}, None, "quarter"),
        (PLATEAU, {}, 800, "as many updates again"),
        (on(DIVERGED, failed_at=333, stable=0.001), {"rate": 0.001}, None, "0.001 the loss stays low, from the begin"),
        (on(DIVERGED, failed_at=333, stable=0.001, since=300), {"rate": 0.001}, None, "from update 300 on"),
        (on(DIVERGED, failed_at=333), {}, None, "With no smaller one"),
        (DIVERGED, {"rate": 0.001}, None, "a tenth"),
        (on(ABOVE, failed_at=2, stable=0.5, until=400), {"rate": 0.5}, None, "With 0.5 the loss stays low, from the b"),
        (on(ABOVE, failed_at=2, stable=0.5, until=300), {"rate": 0.5}, None, "the loss stays low, for 300 updates."),
        (on(ABOVE, failed_at=2, until=400), {}, None, "With no smaller one"),
        (on(ABOVE, until=300), {"rate": 0.3}, None, "Run again, it stays low for 300 updates: a tenth."),
        (ABOVE, {"rate": 0.3}, None, "too long to be run again: a tenth."),
    ],
)
def test_remedies(evidence, options, resume, words):
    """Computed from the numbers, by hand beside each."""
    change = findings(evidence)[0].changes[0]
    assert change.options == pytest.approx(options) if "init" not in options else change.options == options
    assert change.resume == resume
    assert words in change.says


def test_what_does_not_help_is_not_said():
    """First weights with ten times the gradient do, and with a unit; others do not."""
    tried = (Tried({"init": "chrono"}, -8.0, 0),)
    assert [each.changes for each in findings(on(last={"gradient": -9.0, "units": 0}, tried=tried))] == [(), ()]
    more = (tried[0]._replace(gradient=-7.9, units=1),)
    assert all(each.changes for each in findings(on(last={"gradient": -9.0, "units": 0}, tried=more)))


def test_what_is_said():
    """The numbers that justify it."""
    vanishing = findings(on(last={"gradient": -31.2, "scales": (1.4, 2.1)}, first={"scales": (1.0, 2.0)}, made=100))[0]
    move = math.log(10 ** (-1 / 500) / (1 - 10 ** (-1 / 500))) - math.log(math.exp(-0.5) / (1 - math.exp(-0.5)))
    assert vanishing.says == (
        "500 steps back 10^-31.2 of the gradient arrives: nothing is learned from there. Units keep their state for "
        f"1.4 steps, the longest for 2.1. The bias of the longest has to move by {move:.3g}, and can have moved by 1."
    )
    assert "between updates 350 and 400, with a learning rate of 0.01" in findings(DIVERGED)[0].says
    assert "at update 333, with" in findings(on(DIVERGED, failed_at=333))[0].says
    assert findings(on(ABOVE, failed_at=2))[0].says == (
        "The loss rose far above that without memory at update 2, with a learning rate of 3, and is not coming down "
        "any more. At update 400, the last checkpoint, the gradient's norm is 0.5; the clip is at 1."
    )
    assert "was far above that without memory before the first update" in findings(on(ABOVE, failed_at=1))[0].says
    assert "The loss is 1,071 times that without memory, with" in findings(ABOVE)[0].says
    assert headline(ABOVE).startswith("Above the answer without memory: the test loss is 180 after 400 updates; the")
    assert headline(PLATEAU).startswith("On the plateau: the test loss is 0.17 after 400 updates; the best answer")
    assert headline(LEFT).startswith("Off the plateau since update 200: the test loss is 0.1 after 400")
    assert headline(on(way={"best": 0.126})).startswith("Back on the plateau: ")
    assert foretold(PLATEAU) is None
    told = [Forecast(3 * low, low, 9 * low, 0.5, Signs(1.0, 2.0)) for low in (1_234.0, 1e28, math.inf)]
    assert [foretold(on(forecast=each)) for each in told] == [
        f"Forecast of its first weights: {words}; it has had 6,400 sequences."
        for words in (
            "off the plateau after 1,234 to 11,106 sequences",
            *["on the plateau for more than a billion sequences"] * 2,
        )
    ]


def test_biases():
    """Both ways from a time scale to a pre-activation, by the logistic function itself."""
    for steps in (1, 30, 5_000):
        assert 1 / (1 + math.exp(-bias_for(steps))) == pytest.approx(10 ** (-1 / steps), rel=1e-12)
        assert 1 / (1 + math.exp(-bias_of(steps))) == pytest.approx(math.exp(-1 / steps), rel=1e-12)
    assert (bias_of(0.0), bias_of(math.inf)) == (-math.inf, math.inf)
