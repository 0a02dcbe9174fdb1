"""By what something was computed: packages and device."""

import platform
from importlib import metadata
from typing import Any

import jax


def versions() -> dict[str, str]:
    """Of the packages that numbers come from, and of Python."""
    return {name: metadata.version(name) for name in ("gatedrnn", "jax", "jaxlib", "numpy")} | {
        "python": platform.python_version()
    }


def device() -> dict[str, Any]:
    """Platform, kind and number of devices."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}
