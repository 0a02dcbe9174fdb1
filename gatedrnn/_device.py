"""The device that JAX computes on where nothing else is asked for."""

from typing import Any

import jax


def default_device() -> Any:
    """As `jax_default_device` has it, which may be a platform's name; else the first that belongs to this process."""
    chosen: Any = getattr(jax.config, "jax_default_device", None)
    if isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return chosen or jax.local_devices()[0]


def platform() -> str:
    """Its platform: "cpu", "gpu" or "tpu"; of others, as JAX calls them."""
    return str(default_device().platform)
