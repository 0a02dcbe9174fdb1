"""How many of the machine's cores this process may use."""

import os


def schedulable_cores() -> int:
    """Cores that the system schedules this process on; all, where it does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
