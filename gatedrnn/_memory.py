"""How much memory there is, in bytes: of this machine, and of the device that JAX computes on."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_bytes() -> int:
    """Physical memory, or the container's limit where that is lower; endless where the system does not tell."""
    limits = [_physical_bytes()]
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)


def _physical_bytes() -> int:
    """What POSIX tells, or Windows."""
    if hasattr(os, "sysconf"):
        try:
            found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):  # the system does not know these names
            found = 0
    else:
        found = _windows_bytes()
    return found if found > 0 else sys.maxsize


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX, https://learn.microsoft.com/windows/win32/api/sysinfoapi/ns-sysinfoapi-memorystatusex."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("physical", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 6),
    )


def _windows_bytes() -> int:
    kernel = getattr(getattr(ctypes, "windll", None), "kernel32", None)
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    return int(status.physical) if kernel and kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 0


def device_bytes() -> int:
    """What JAX may take of the memory of the device that it computes on; the machine's, where that is a CPU."""
    from gatedrnn._device import default_device  # here, as commands ask for the machine's before JAX is loaded

    stats: Any = default_device().memory_stats()  # None on a CPU
    return int((stats or {}).get("bytes_limit", 0)) or machine_bytes()


def beyond_memory(need: int) -> str:
    """Why arrays of `need` bytes do not fit on the device, for the end of a sentence; "" where they do."""
    there = device_bytes()
    return f"about {readable(min(need, 10**100))}, on a device with {readable(there)}" if need > there else ""


def readable(count: float) -> str:
    """A number of bytes as people write it: 1.5 GB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"
