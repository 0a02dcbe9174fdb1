"""What `gatedrnn train` makes of its options: devices, and the initialisation of a cell."""

import jax
import pytest

import gatedrnn as gr
from gatedrnn.cli import _prepare
from gatedrnn.cli._settings import Settings


@pytest.mark.parametrize(
    ("given", "devices"),
    [
        ({"seeds": 4}, 4),  # one each
        ({"seeds": 3}, 3),
        ({"seeds": 6, "batch": 3}, 3),  # two each, of four
        ({"batch": 64}, 4),  # its rows
        ({"batch": 18}, 2),  # eight at least
        ({"batch": 15}, 1),
        ({"batch": 64, "window": 5}, 1),
        ({"batch": 64, "seeds": 2, "backward": "checkpointed"}, 2),
        ({"batch": 64, "devices": 1}, 1),
        ({"batch": 2, "devices": 2}, 2),
    ],
    ids=str,
)
def test_every_core_that_gains(given, devices):
    """Of four; those that were asked for, whatever they gain."""
    assert _prepare._devices(Settings(task="adding", **given), 4) == devices


def test_a_run_goes_on_with_the_devices_it_began_with(monkeypatch):
    """On fewer cores, too; one that begins has no more devices than cores."""
    asked = []
    monkeypatch.setattr(_prepare, "schedulable_cores", lambda: 2)
    monkeypatch.setattr(jax.config, "update", lambda *given: asked.append(given))
    for begun in (True, False):
        _prepare.ask_for_devices(Settings(task="adding", seeds=4, devices=4), begun)
    assert asked == [("jax_num_cpu_devices", 4), ("jax_num_cpu_devices", 2)]


def test_units_made_writable(there, tiny, check_refused):
    """`--init writable`: a quarter of the units, at least one for each input; of cells that can."""
    for hidden, units in ((9, 1), (32, 4)):
        setup = _prepare.prepare(Settings(task="adding", init="writable", hidden=hidden, horizon=50, devices=1)).setup
        assert dict(setup.cell_options) == {"writable": gr.initializers.writable(units, 50)}
    line = ("train", "adding", *tiny, "--init", "writable", "--out", "refused")
    check_refused((*line, "--cell", "rnn"), "`init` must be default for the cell rnn; got 'writable'.")
    check_refused((*line, "--cell", "lem"), "`init` must be default or chrono for the cell lem; got 'writable'.")
    check_refused(
        (*line, "--hidden", "1"), "`hidden` must be as many as there are inputs, at least; got 1, with 2 inputs"
    )
