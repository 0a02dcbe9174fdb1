"""Every example in a docstring is run, and prints what it says it prints, to the letter."""

import doctest
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import gatedrnn as gr

MODULES = ["gatedrnn", *(module.name for module in pkgutil.walk_packages(gr.__path__, "gatedrnn."))]
PEERS = ("torch", "keras", "haiku", "equinox", "onnx")


def prompts(name):
    """How often `>>>` stands in a module's source, whether or not it can be imported or the finder sees it."""
    path = Path(importlib.util.find_spec(name).origin)
    return len(re.findall("^ *>>> ", path.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, request, tmp_path, monkeypatch):
    """The module can be imported; all of its examples are found and run, in a folder of their own."""
    if name.startswith(("gatedrnn.interop.", "gatedrnn.modules.")) and any(peer in name for peer in PEERS):
        request.getfixturevalue("peers")
    if name == "gatedrnn.interop.keras":
        request.getfixturevalue("keras_broadcasts")
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    runner, said = doctest.DocTestRunner(verbose=False, optionflags=0), []
    for example in doctest.DocTestFinder().find(module):
        runner.run(example, out=said.append)
    assert runner.failures == 0, "".join(said)
    assert runner.tries == prompts(name)


def test_there_are_examples():
    """No fewer than there were when this was written: a docstring may change its example, and not lose it."""
    assert sum(map(prompts, MODULES)) >= 97
