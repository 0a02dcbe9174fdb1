"""`gatedrnn compare` in a process of its own, and inside this one."""

import functools
import os
import subprocess
import sys
import sysconfig

import commands

invoke = functools.partial(commands.invoke, "compare")


def command(*arguments, cwd, program=None, **environment):
    """Runs the installed command (or `program`, Python code) in a process of its own."""
    executable = (
        [os.path.join(sysconfig.get_path("scripts"), "gatedrnn")]
        if program is None
        else [sys.executable, "-c", program]
    )
    env = {**os.environ, "COLUMNS": "80", **environment}
    return subprocess.Popen(
        [*executable, "compare", *arguments],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process):
    """Waits for a process: its exit status, standard output and standard error."""
    out, err = process.communicate()
    return process.returncode, out, err
