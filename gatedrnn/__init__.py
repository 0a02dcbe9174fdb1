"""Recurrent networks over long horizons in JAX, and the instrument that measures whether gradient still arrives."""

import importlib.util
import pkgutil
from typing import TYPE_CHECKING, Any

from gatedrnn._version import __version__ as __version__

if TYPE_CHECKING:
    from gatedrnn._public import *
else:  # JAX takes a second to load, which `gatedrnn --help` and whoever looks for a version need not wait for

    def __getattr__(name: str) -> Any:
        if importlib.util.find_spec(f"gatedrnn.{name}"):  # by itself: the package's own files ask, too
            return importlib.import_module(f"gatedrnn.{name}")
        public = vars(importlib.import_module("gatedrnn._public"))
        globals().update(public["cells"].CELLS)  # each under its name
        globals().update({known: public[known] for known in ("__all__", *public["__all__"]) if known in public})
        if name in globals():
            return globals()[name]
        raise AttributeError(f"module 'gatedrnn' has no attribute {name!r}")

    def __dir__() -> list[str]:
        found = (file.name for file in pkgutil.iter_modules(__spec__.submodule_search_locations))
        rooms = {name for name in found if not name.startswith("_")}
        return sorted(rooms | {*__getattr__("__all__")} | {name for name in globals() if name.startswith("__")})
