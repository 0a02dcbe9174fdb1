"""One tree's half of `against`: prepares a case when told to, then makes one timed call whenever it is asked.

python -P benchmarks/speed/worker.py DEVICES    with the tree first on PYTHONPATH

It runs with the `gatedrnn` of another commit, so it imports nothing of the benchmarks and of gatedrnn only what is
public. It first tells of itself; then one line of JSON goes in for every line that comes out:

    {"cell": NAME, "given": FILE, "found": FILE}    -> null; inputs are read, outputs and gradients written as .npz
    "forward" or "gradient"                         -> milliseconds of one call
"""

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gatedrnn as gr

Call = Callable[[], object]


def main() -> None:
    devices = int(sys.argv[1])
    jax.config.update("jax_num_cpu_devices", devices)
    answers, sys.stdout = sys.stdout, sys.stderr
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    cells = [name for name, value in vars(gr).items() if isinstance(value, gr.Cell)]
    say({"version": gr.__version__, "tree": str(Path(gr.__file__).resolve().parents[1]), "cells": cells})
    calls: dict[str, Call] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, str):
            start = time.perf_counter()
            calls[asked]()
            say(1e3 * (time.perf_counter() - start))
        else:
            calls = prepared(getattr(gr, asked["cell"]), asked["given"], devices)
            leaves = jax.tree.leaves([call() for call in calls.values()])
            np.savez(asked["found"], *map(np.asarray, leaves))
            say(None)


def prepared(cell: gr.Cell, given: str, devices: int) -> dict[str, Call]:
    """`unroll` and the gradient of the mean of its squared outputs, compiled for inputs that stand in a file.

    Raises:
        ValueError: the cell's weights are not those in the file.
    """
    with np.load(given) as arrays:
        xs, *leaves = arrays.values()
    _, batch, width = xs.shape

    def drawn(key: jax.Array) -> Any:
        params = cell.init(key, width, leaves[-1].shape[-1])
        return params, cell.initial_carry(params, batch)

    like, structure = jax.tree.flatten(jax.eval_shape(drawn, jax.random.key(0)))
    if [leaf.shape for leaf in like] != [leaf.shape for leaf in leaves]:
        raise ValueError(f"{cell.name} has weights of other shapes in the two trees.")
    params, carry = jax.tree.unflatten(structure, leaves)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("batch",))
    place = lambda a, *spec: jax.device_put(a, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec)))
    on_batch = lambda a: place(a, "batch")
    arguments = (jax.tree.map(place, params), place(xs, None, "batch"), jax.tree.map(on_batch, carry))
    unroll = functools.partial(gr.unroll, method=gr.Sharded(mesh)) if devices > 1 else gr.unroll
    run = lambda params, xs, carry: unroll(cell, params, xs, carry)[1]
    loss = lambda *given: jnp.mean(run(*given) ** 2)
    programs = {"forward": run, "gradient": jax.grad(loss, argnums=(0, 1, 2))}
    return {
        kind: waiting(jax.jit(program).lower(*arguments).compile(), arguments) for kind, program in programs.items()
    }


def waiting(program: jax.stages.Compiled, arguments: tuple[Any, ...]) -> Call:
    """A call that ends when all that it computes is there."""
    return lambda: jax.block_until_ready(program(*arguments))


if __name__ == "__main__":
    main()
