"""Ctrl-C that is not lost.

Python drops what is raised inside a destructor or a weak reference's callback, KeyboardInterrupt too. So the signal is
remembered, and a training asks before it goes on.
"""

import signal

_received: list[int] = []


def watch() -> None:
    """From here on; not where the signal is ignored, as by a job in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _remember)


def _remember(number: int, frame: object) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def received() -> bool:
    """Whether one came, whatever became of it: what loads a module written in C makes an ImportError of it."""
    return bool(_received)


def raise_lost() -> None:
    """Raises KeyboardInterrupt where one came before and was dropped."""
    if received():
        raise KeyboardInterrupt
