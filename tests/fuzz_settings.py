"""How much is tried, and from where; FUZZ_SEED begins elsewhere."""

import os

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

SEED = os.environ.get("FUZZ_SEED")


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
