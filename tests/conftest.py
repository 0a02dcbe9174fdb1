"""Strict promotion around every test: what the package means to broadcast or to cast, it must say."""

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_promotion():
    """Raise on implicit rank and dtype promotion."""
    with jax.numpy_dtype_promotion("strict"):
        yield
