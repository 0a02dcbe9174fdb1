"""Random problems and their gradients, a cell that is spied on, meshes, readouts, and loops of compiled programs."""

import dataclasses
import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from core_problems import B, D, H, T, losses
from jax.sharding import AxisType, Mesh

import gatedrnn as gr
from gatedrnn._contract import check_fit, check_laws
from gatedrnn._forms import PerRow


class Problem(NamedTuple):
    """What `unroll` takes, and cotangents of what it returns."""

    params: gr.Params
    xs: np.ndarray  # [T, B, D]
    carry: tuple  # [B, H] each
    flags: dict  # mask and reset, [T, B]
    cotangents: tuple  # of the carry, [B, H] each, and of ys, [T, B, H]


@pytest.fixture(scope="session")
def problem():
    """(cell, dtype, T, B, D, H, seed) -> random numbers; row 1 is padded, row 2 empty.

    Resets stand at the first step and at masked ones. The carry and the cotangents of a 16-bit problem are float32.
    """

    def draw(cell, dtype="float32", T=T, B=B, D=D, H=H, seed=0):
        rng = np.random.default_rng(seed)
        mask, reset = rng.random((T, B)) < 0.8, rng.random((T, B)) < 0.3
        mask[T // 2 :, 1:2], mask[:, 2:3], reset[:1, :1] = False, False, True
        flags = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
        wider = max(dtype, "float32", key=lambda name: jnp.dtype(name).itemsize)
        with jax.enable_x64(dtype == "float64"):
            narrow, wide = (functools.partial(jnp.asarray, dtype=d) for d in (dtype, wider))
            params = jax.tree.map(narrow, gr.Params(*reference.weights(cell.name, D, H, rng)))
            state = lambda: jax.tree.map(lambda a: wide(rng.normal(size=a.shape)), cell.initial_carry(params, B))
            cotangents = state(), wide(rng.normal(size=(T, B, H)))
            return Problem(params, narrow(rng.normal(size=(T, B, D))), state(), flags, cotangents)

    return draw


@pytest.fixture(scope="session")
def gradient():
    """(cell, method, params, xs, carry, flags, weights, reverse) -> gradients, and (last carry, outputs).

    Outputs where `weights [T, B, H]` are not zero; gradients of their weighted sum and that of the last carry.
    """

    @functools.partial(jax.jit, static_argnames="reverse")
    def both(cell, method, params, xs, carry, flags, weights, reverse):
        def loss(params, xs, carry):
            end, ys = gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method)
            ys = jnp.where(weights != 0, ys, 0)
            return sum(map(jnp.sum, end)) + jnp.sum(weights * ys), (end, ys)

        return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, xs, carry)

    return both


@pytest.fixture(scope="session")
def spied(problem):
    """(cell) -> the cell, its laws proved already, and the list of the shapes of h at which its `recur` is traced."""

    def spy_on(cell):
        shapes = []

        class Spy(PerRow):
            def __call__(self, weights, rows):
                shapes.append(rows.shape)
                return super().__call__(weights, rows)

        spy = dataclasses.replace(cell, recur=Spy(cell.recur.function))
        params, xs = problem(cell).params, jnp.ones((1, D))
        check_fit(spy, params, xs)
        check_laws(spy, params, xs)
        shapes.clear()
        return spy, shapes

    return spy_on


@pytest.fixture(scope="session")
def meshes():
    """() -> the same two devices, made anew: as they come, with explicit axes, and as the second of two axes."""
    return lambda: {
        "plain": (Mesh(np.array(jax.devices()), ("batch",)), None),
        "explicit": (jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,)), None),
        "named axis": (jax.make_mesh((1, 2), ("model", "batch"), axis_types=(AxisType.Explicit,) * 2), ("batch",)),
        "both axes": (jax.make_mesh((1, 2), ("model", "batch"), axis_types=(AxisType.Auto,) * 2), None),
    }


@pytest.fixture(scope="session")
def pulled_back():
    """(run, *arguments) -> what `run` returns, and the gradients of a random combination of it in every argument."""

    def pull(run, *arguments):
        def both(*arguments):
            out, vjp = jax.vjp(run, *arguments)
            rng = np.random.default_rng(1)
            return out, vjp(jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), out))

        return jax.jit(both)(*arguments)

    return pull


@pytest.fixture(scope="session")
def problem_with_readout(problem):
    """(cell, T, B) -> a problem, and a readout's weights and targets."""

    def draw(cell, T=T, B=B):
        rng = np.random.default_rng(2)
        normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
        weights, targets = {"w": normal(H, 2), "b": normal(2)}, {"pair": normal(T, B, 2), "one": normal(T, B)}
        return problem(cell, T=T, B=B), weights, targets

    return draw


@pytest.fixture(scope="session")
def asked():
    """(cell, method, outputs, flags, reverse, targets) -> what `unroll` makes of the outputs.

    A function of params, xs, carry and the readout's weights.
    """

    def make(cell, method, outputs, flags, reverse, targets):
        def run(params, xs, carry, weights):
            chosen = gr.Readout(losses, weights, targets) if outputs == "readout" else outputs
            return gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method, outputs=chosen)

        return run

    return make


@pytest.fixture(scope="session")
def innermost_loops():
    """(text) -> of every loop without a loop in it, how many products and how many transcendental operations it has.

    The text is that of a compiled program; an operation counts as often as it is called.
    """
    products = re.compile("dot|matmul")
    transcendental = re.compile("tanh|exp|log|pow")  # exponential, logistic, power, and custom calls to them
    count = lambda kind, operations: sum(bool(kind.search(name)) for name in operations)

    def operations(lines, computation):
        """The names of its operations and of those that it calls."""
        found = []
        for line in lines[computation]:
            (name,) = re.findall(r"^ *(?:ROOT )?%\S+ = (?:\(.*?\)|\S+) ([\w-]+)\(", line)
            found += [*re.findall(r'custom_call_target="([^"]*)"', line), *([] if name == "custom-call" else [name])]
            for called in re.findall(r"=\{?(%[\w.-]+(?:, %[\w.-]+)*)", line):
                found += (operation for one in called.split(", ") for operation in operations(lines, one[1:]))
        return found

    def read(text):
        computations = re.findall(r"^(?:ENTRY )?%(\S+) \([^\n]*\{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
        lines = {name: body.splitlines() for name, body in computations}
        bodies = {name for body in lines.values() for line in body for name in re.findall("body=%([^, ]+)", line)}
        loops = [operations(lines, body) for body in sorted(bodies)]
        return [(count(products, loop), count(transcendental, loop)) for loop in loops if "while" not in loop]

    return read
