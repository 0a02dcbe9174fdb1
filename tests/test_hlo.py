"""The compiled gradient of Segmented: one product per step and direction, and a reverse loop that is linear."""

import re

import jax
import jax.numpy as jnp
from unroll_problems import each_cell, problem

import gatedrnn as gr

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


def loops(cell, method):
    """(products, transcendental operations) of every innermost loop of the compiled gradient."""
    params, xs, carry, _, _ = problem(cell, T=40, B=8, D=8, H=32)
    loss = lambda *arguments: jnp.sum(gr.unroll(cell, *arguments, method=method)[1] ** 2)
    program = Program(jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(params, xs, carry).compile().as_text())
    return [(count(PRODUCTS, found), count(TRANSCENDENTAL, found)) for found in program.innermost()]


@each_cell
def test_one_product_per_step_and_a_linear_reverse_loop(cell):
    """Forward one product and the gates, backward one product alone; the LSTM's c is replayed without a product."""
    found = loops(cell, gr.Segmented(length=10))
    with_products = [loop for loop in found if loop[0]]
    assert [products for products, _ in with_products] == [1, 1]
    assert sorted(gates > 0 for _, gates in with_products) == [False, True]
    assert len(found) - len(with_products) == (cell.name == "lstm")


@each_cell
def test_autodiff_has_more_in_its_loops(cell):
    """The reading of the program bites: Autodiff's reverse loop has the weights' product in it as well."""
    assert sorted(products for products, _ in loops(cell, gr.Autodiff()))[-1] > 1
