"""The shell completes the command's words, without JAX, and the script for that is printed for each shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatedrnn._cores import schedulable_cores
from gatedrnn._registry import CELLS
from gatedrnn.cli._settings import TASKS

COMMANDS = ["compare", "diagnose", "forecast", "generate", "inspect", "race", "train"]
PROJECT = Path(__file__).parents[2]
WITHOUT_JAX = "import sys; sys.modules['jax'] = None; from gatedrnn.cli import main; main()"  # its import fails


@pytest.fixture
def asked():
    """(instruction, **environment) -> what the command answers the shell; an import of JAX would fail."""

    def ask(instruction, **environment):
        environment = os.environ | environment | {"_GATEDRNN_COMPLETE": instruction, "PYTHONPATH": str(PROJECT)}
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_JAX], env=environment, capture_output=True, text=True, check=True
        )
        assert not done.stderr
        return done.stdout

    return ask


@pytest.fixture
def offered(asked):
    """(words, incomplete) -> what a line goes on with."""

    def offer(*words):
        line = {"COMP_WORDS": " ".join(["gatedrnn", *words]), "COMP_CWORD": str(len(words))}
        return asked("complete_bash", **line).split()

    return offer


@pytest.mark.parametrize(
    ("shell", "mark"),
    [
        ("bash", "complete -o default -F _gatedrnn_completion gatedrnn"),
        ("zsh", "compdef _gatedrnn_completion gatedrnn"),
        ("fish", "complete --command gatedrnn"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName gatedrnn"),
        ("pwsh", "Register-ArgumentCompleter -Native -CommandName gatedrnn"),
    ],
)
def test_each_shell_has_a_script(asked, shell, mark):
    """It names the command, from `python -m gatedrnn` as well."""
    assert mark in asked(f"source_{shell}")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([""], COMMANDS),
        (["tr"], ["train"]),
        (["train", ""], TASKS),
        (["train", "permuted"], ["permuted-digits"]),
        (["train", "--cell", ""], CELLS),
        (["train", "adding", "--cell", "l"], ["lstm", "lem"]),
        (["train", "adding", "--init", ""], ["default", "chrono", "writable"]),
        (["train", "adding", "--method", ""], ["auto", "segmented", "checkpointed", "autodiff"]),
        (["train", "adding", "--rule", "a"], ["adam"]),
        (["train", "adding", "--devices", ""], [str(number) for number in range(1, schedulable_cores() + 1)]),
        (["compare", "--cells", "rnn,"], [f"rnn,{name}" for name in CELLS if name != "rnn"]),
        (["race", "--cells", ""], CELLS),
        (["compare", "--dtype", ""], ["float32", "float64", "bfloat16"]),
        (["compare", "--text", ""], []),  # the shell offers files
        (["--ver"], ["--version"]),
    ],
    ids=" ".join,
)
def test_words_are_completed(offered, words, wanted):
    """Commands, tasks, cells, and what an option can be."""
    assert offered(*words) == list(wanted)


def test_nothing_of_the_line_is_run(offered):
    """Options that print and stop do not, while a line is completed."""
    assert offered("--version", "") == COMMANDS


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_understands_its_script(tmp_path, asked):
    """The function that it defines, called as bash does for `gatedrnn train --cell i<Tab>`."""
    command = tmp_path / "gatedrnn"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gatedrnn "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "completion.sh"
    script.write_text(asked("source_bash"))
    typed = "COMP_WORDS=(gatedrnn train --cell i); COMP_CWORD=3; _gatedrnn_completion gatedrnn; echo ${COMPREPLY[@]}"
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    line = ["bash", "--norc", "-c", f"source '{script}'; complete -p gatedrnn; {typed}"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "complete -o default -F _gatedrnn_completion gatedrnn\nindrnn\n"
    assert not done.stderr
