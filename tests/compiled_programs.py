"""Compiled programs, read: which operations stand in which loop."""

import re

PRODUCTS = re.compile("dot|matmul")
TRANSCENDENTAL = re.compile("tanh|exp|log|pow")  # exponential, logistic, power, and custom calls to them


class Program:
    """The text of a compiled program, by computation."""

    def __init__(self, text):
        self.lines = {
            name: body.splitlines()
            for name, body in re.findall(r"^(?:ENTRY )?%(\S+) \([^\n]*\{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
        }

    def operations(self, computation):
        """The names of its operations and of those that it calls, each as often as it is called."""
        found = []
        for line in self.lines[computation]:
            (name,) = re.findall(r"^ *(?:ROOT )?%\S+ = (?:\(.*?\)|\S+) ([\w-]+)\(", line)
            found += [*re.findall(r'custom_call_target="([^"]*)"', line), *([] if name == "custom-call" else [name])]
            for called in re.findall(r"=\{?(%[\w.-]+(?:, %[\w.-]+)*)", line):
                found += (operation for one in called.split(", ") for operation in self.operations(one[1:]))
        return found

    def innermost(self):
        """The operations of every loop's body that has no loop in it."""
        bodies = {
            name for lines in self.lines.values() for line in lines for name in re.findall("body=%([^, ]+)", line)
        }
        return [found for found in map(self.operations, sorted(bodies)) if "while" not in found]


def count(kind, operations):
    """How many of the operations are of this kind."""
    return sum(bool(kind.search(name)) for name in operations)
