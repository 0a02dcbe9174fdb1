"""An interrupt that Python drops ends a training all the same, at its next report."""

import signal
import sys

import pytest

from gatedrnn.cli import _app, _interrupt


class Dropping:
    """Python cannot pass on what its destructor raises."""

    def __del__(self):
        _interrupt._remember(signal.SIGINT, None)


def test_one_that_is_dropped_is_raised_again(monkeypatch):
    monkeypatch.setattr(_interrupt, "_received", [])
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: dropped.append(found.exc_type))
    _interrupt.raise_lost()  # nothing came
    Dropping()
    assert dropped == [KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt):
        _interrupt.raise_lost()


@pytest.mark.parametrize("ignored", [False, True])
def test_one_that_is_ignored_stays_so(ignored, monkeypatch):
    """As of a job in the background."""
    set_to = []
    found = signal.SIG_IGN if ignored else signal.default_int_handler
    monkeypatch.setattr(signal, "getsignal", lambda number: found)
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_to.append((number, handler)))
    _interrupt.watch()
    assert set_to == ([] if ignored else [(signal.SIGINT, _interrupt._remember)])


def test_one_while_a_module_is_loaded(monkeypatch, capsys):
    """Which is an ImportError then; without an interrupt that stays what it is."""
    for came, wanted in (([], ImportError), ([signal.SIGINT], SystemExit)):
        monkeypatch.setattr(_interrupt, "_received", came)
        with pytest.raises(wanted) as ended, _app._plain_errors():
            raise ImportError("while initializing the extension")
    assert ended.value.code == 130
    assert capsys.readouterr().err == "gatedrnn: interrupted while a module was loaded.\n"
