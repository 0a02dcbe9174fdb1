"""Recurrent networks over long horizons in JAX, and the instrument that measures whether gradient still arrives."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gatedrnn._public import *
else:  # JAX takes a second to load, which `gatedrnn --help` and whoever looks for a version need not wait for

    def __getattr__(name: str) -> Any:
        if name == "train":
            return importlib.import_module("gatedrnn.train")
        public = vars(importlib.import_module("gatedrnn._public"))  # its own imports ask here, too, before it is whole
        globals().update({known: public[known] for known in ("__all__", *public.get("__all__", ())) if known in public})
        if name in globals():
            return globals()[name]
        raise AttributeError(f"module 'gatedrnn' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
