"""Series of several columns: which ones are meant, how each is scaled, what is predicted, and how that is scored."""

import jax
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks import series
from gatedrnn.tasks._columns import split_names

CSV = 'day,a,"b,c","say ""x""",b,c\n' + "".join(f"{i},{i * i},{-i},{i % 3},{7 - i},{2 * i}\n" for i in range(30))
DAYS = np.arange(30.0)
COLUMNS = {"day": DAYS, "a": DAYS**2, "b,c": -DAYS, 'say "x"': DAYS % 3, "b": 7 - DAYS, "c": 2 * DAYS}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "data.csv").write_text(CSV)
    return tmp_path / "data.csv"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,day", ["a", "day"]),
        ("1,0", ["a", "day"]),
        (" a , day ", ["a", "day"]),
        ('"b,c",a', ["b,c", "a"]),
        ('a, "b,c"', ["a", "b,c"]),
        ('"say ""x""",a', ['say "x"', "a"]),
    ],
)
def test_names_as_in_a_line_of_csv(file, text, names):
    """[N, C] in the order in which they are asked for."""
    found = series.read_named(file, text)
    assert found.names == tuple(names)
    np.testing.assert_array_equal(found.values, np.stack([COLUMNS[name] for name in names], axis=1))
    np.testing.assert_array_equal(series.read_series(file, names), found.values)


@pytest.mark.parametrize(("text", "name"), [('"b,c"', "b,c"), ("a", "a"), (None, "day"), ("4", "b")])
def test_one_name(file, text, name):
    """[N]; and [N, 1] from a list of one."""
    found = series.read_named(file, text)
    assert found.names == (name,)
    np.testing.assert_array_equal(found.values, COLUMNS[name])
    assert series.read_series(file, [name]).shape == (30, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b,c", "`series` must be in quotes where it is one name, .*; got 'b,c', which may be one column of"),
        ("a,rain", "`series` must be a column, one of .*; got 'rain' for"),
        ("a,a", "`series` must be columns of which none is given twice; got 'a'"),
        ("a,1", "`series` must be columns of which none is given twice; got '1'"),
        ("a,,day", "`series` must be names of columns between commas"),
        ('"a,day', "`series` must be names of columns between commas"),
    ],
)
def test_what_is_ambiguous_or_missing(file, text, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        series.read_named(file, text)


@pytest.mark.parametrize("names", [[], [1], ["a", None], 3, {"a": 1}.values()])
def test_names_that_are_none(file, names):
    with pytest.raises(ValueError, match="^`column` must be a name, or names of columns"):
        series.read_series(file, names)


def test_split_names():
    assert split_names("x") == ["x"] and split_names("") == [""]


def test_arrays(tmp_path):
    """NPY by number, NPZ by name, and arrays of other lengths refused."""
    np.save(tmp_path / "a.npy", np.arange(60).reshape(20, 3))
    np.testing.assert_array_equal(series.read_named(tmp_path / "a.npy", "2,0").values[:2], [[2, 0], [5, 3]])
    np.savez(tmp_path / "a.npz", x=np.arange(20), y=np.arange(20) * 2, short=np.arange(3))
    np.testing.assert_array_equal(series.read_named(tmp_path / "a.npz", "y,x").values[:2], [[0, 0], [2, 1]])
    with pytest.raises(ValueError, match="^`series` must be columns of one length; got 3 and 20 in"):
        series.read_named(tmp_path / "a.npz", "y,short")


def table(length=60):
    rng = np.random.default_rng(0)
    return np.stack([rng.normal(size=length) * 3 + 5, rng.gamma(2.0, size=length), -(np.arange(length) ** 2.0)], axis=1)


@pytest.mark.parametrize("target", [None, "b", ["c", "a"], ("b", "c")])
def test_a_batch(target):
    """Every column by its own training part; targets are the next values, in the order of the columns."""
    values = table()
    task = series.prediction(values, columns=("a", "b", "c"), target=target)
    scaled = (values - values[:48].mean(0)) / values[:48].std(0)
    places = sorted("abc".index(name) for name in (target or "abc"))
    for here, part in ((task, scaled[:48]), (task.held_out, scaled[48:])):
        batch = jax.tree.map(np.asarray, here(jax.random.key(0), 5, 7))
        assert batch.xs.shape == (7, 5, 3) and batch.mask.all()
        for b in range(5):
            start = int(np.abs(part - batch.xs[0, b]).sum(1).argmin())
            np.testing.assert_allclose(batch.xs[:, b], part[start : start + 7], rtol=1e-4, atol=1e-5)
            want = part[start + 1 : start + 8][:, places]
            np.testing.assert_allclose(batch.targets[:, b].reshape(7, -1), want, rtol=1e-4, atol=1e-5)
    assert (task.input_size, task.output_size, task.chance(7)) == (3, len(places), 1.0)
    gr.tasks.check_task(task, steps=5)


def test_the_loss_is_the_mean_over_the_columns():
    """By hand, from the outputs of the model."""
    setup = gr.train.Setup(series.prediction(table()), gr.gru, horizon=6, hidden_size=4, batch=3)
    params = setup.model.init(jax.random.key(1))
    batch = setup.task(jax.random.key(0), 3, 6)
    metrics = gr.train.evaluate(setup.model, setup.task, params, batch, setup.method)
    errors = np.asarray(setup.model(params, batch.xs)[1] - batch.targets, np.float64)
    assert float(metrics.loss) == pytest.approx(np.square(errors).mean(), rel=1e-5)
    assert float(metrics.accuracy) == pytest.approx((np.abs(errors) < setup.task.tolerance).mean(), rel=1e-5)


@pytest.mark.slow
def test_one_column_twice_over():
    """[N, 1] trains as [N] does."""
    values = table()[:, 0]
    rows = [
        gr.train.fit(
            gr.train.Setup(series.prediction(v), gr.rnn, horizon=5, hidden_size=3, batch=2), steps=4, test_every=2
        ).rows
        for v in (values, values[:, None])
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": ["a", "b"]}, "`columns` must be 3 different names"),
        ({"columns": ["a", "a", "b"]}, "`columns` must be 3 different names"),
        (
            {"columns": ["a", "b", "c"], "target": "d"},
            "`target` must be different ones of the columns 'a', 'b', 'c'; got 'd'",
        ),
        ({"target": ["0", "0"]}, "`target` must be different ones"),
        ({"target": []}, "`target` must be different ones"),
    ],
)
def test_refused(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        series.prediction(table(), **given)
    with pytest.raises(ValueError, match="^`series` must be values"):
        series.prediction(np.zeros((30, 2, 2)))


def test_units_there_and_back():
    """Standardised by the training part, in each column's own units, and back."""
    values = table()
    units = series.units(values, columns=("a", "b", "c"), target="b")
    np.testing.assert_allclose(units.mean, values[:48].mean(0), rtol=1e-12)
    np.testing.assert_allclose(units.deviation, values[:48].std(0), rtol=1e-12)
    assert (units.names, units.predicted) == (("a", "b", "c"), (1,))
    np.testing.assert_allclose(units.scaled(values)[:48].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(units.unscaled(units.scaled(values)), values, rtol=1e-9, atol=1e-9)
    assert type(units).read({"columns": units.described()}) == units
    with pytest.raises(ValueError, match=r"^`values` must be \[N, C\] with the 3 columns"):
        units.scaled(values[:, :2])


def test_windows_of_several_columns():
    """For measurements of gradient flow: [T, B, C]."""
    values = table()
    found = series.standardised_windows(values, 20, 3)
    assert found.shape == (20, 3, 3)
    np.testing.assert_allclose(found[:, 0], ((values - values.mean(0)) / values.std(0))[:20], rtol=1e-12)
