"""How much is tried, and from where (FUZZ_SEED begins elsewhere); what a refusal must be; what nothing may exceed."""

import contextlib
import os
import re
import signal
import tracemalloc

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

SEED = os.environ.get("FUZZ_SEED")
ROOM = 2**31  # bytes, beyond what a process has


def bounded(examples):
    """A test that draws from `data`, the same examples every time."""

    def decorate(test):
        test = settings(
            derandomize=SEED is None,
            deadline=None,
            database=None,
            max_examples=examples,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )(given(data=st.data())(test))
        return test if SEED is None else seed(int(SEED))(test)

    return decorate


def refusal(error):
    """Its one sentence, which begins with an argument's name."""
    sentence = str(error)
    assert re.match(r"`\w+[^`]*`", sentence) and "\n" not in sentence and len(sentence) < 2_000, sentence
    return sentence


def attempted(function):
    """What it gives, and None; or None, and the sentence with which it is refused."""
    try:
        return function(), None
    except ValueError as error:
        return None, refusal(error)


@contextlib.contextmanager
def limited(seconds=20):
    """What waits for ever, or fills the memory, fails inside, and takes nothing else with it."""

    def late(*_):
        raise AssertionError(f"not done after {seconds} s")

    with _room(), contextlib.ExitStack() as ends:
        ends.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, late))
        ends.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield


@contextlib.contextmanager
def _room():
    """Where the process can be told how much it has: no more than that and `ROOM`."""
    if not os.path.exists("/proc/self/statm"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def memory(most):
    """At most so many bytes at once; NumPy's arrays count."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= most, f"{peak:,} bytes"
