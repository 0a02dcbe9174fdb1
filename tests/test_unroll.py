"""unroll: every cell by every method equals the papers' loops, in values and gradients, and obeys the laws of sequences."""

import dataclasses
import functools
import itertools
from typing import NamedTuple

import chex
import gatedrnn as gr
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings, strategies as st
from tolerances import assert_close, tolerance

T, B, D, H = 11, 3, 3, 4
LENGTH = T * (D + H)  # additions behind the last output
FOREIGN = gr.Cell.from_step("lstm", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm, "foreign": FOREIGN}
METHODS = {"autodiff": gr.Autodiff(), "segmented": gr.Segmented(), "segmented_4": gr.Segmented(length=4)}
FLAGS = {  # which flags each variant passes
    "plain": (),
    "masked": ("mask",),
    "reset": ("reset",),
    "both": ("mask", "reset"),
    "reversed": ("mask", "reset"),
    "unbatched": ("mask", "reset"),
}
DTYPES = ("float32", "float64", "bfloat16")


class Entry(NamedTuple):
    """One row of the registry, by name."""

    cell: str
    method: str
    variant: str
    dtype: str


def applies(entry):
    """Segments need the three functions that a foreign step does not have."""
    return entry.cell != "foreign" or entry.method == "autodiff"


REGISTRY = tuple(filter(applies, itertools.starmap(Entry, itertools.product(CELLS, METHODS, FLAGS, DTYPES))))


def each_entry(**names):
    """Parametrises over the entries whose fields have the given names."""
    entries = [entry for entry in REGISTRY if all(getattr(entry, field) in names[field] for field in names)]
    return pytest.mark.parametrize("entry", entries, ids="-".join)


each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)
each_method = pytest.mark.parametrize("method", [gr.Autodiff(), gr.Segmented(length=4)], ids=["autodiff", "segmented"])
unroll = jax.jit(gr.unroll, static_argnames="reverse")


class Problem(NamedTuple):
    """What `unroll` takes, and cotangents of what it returns."""

    params: gr.Params
    xs: np.ndarray  # [T, B, D]
    carry: tuple  # [B, H] each
    flags: dict  # mask and reset, [T, B]
    cotangents: tuple  # of the carry, [B, H] each, and of ys, [T, B, H]


def problem(cell, dtype="float32", T=T, B=B, D=D, H=H, seed=0):
    """Random numbers; row 1 is padded, row 2 empty, and resets stand at the first step and at masked ones.

    The carry and the cotangents of a 16-bit problem are float32.
    """
    rng = np.random.default_rng(seed)
    mask, reset = rng.random((T, B)) < 0.8, rng.random((T, B)) < 0.3
    mask[T // 2 :, 1:2], mask[:, 2:3], reset[:1, :1] = False, False, True
    flags = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
    with jax.enable_x64(dtype == "float64"):
        narrow, wide = (functools.partial(jnp.asarray, dtype=d) for d in (dtype, max(dtype, "float32", key=width)))
        params = jax.tree.map(narrow, gr.Params(*reference.weights(cell.name, D, H, rng)))
        state = lambda: jax.tree.map(lambda a: wide(rng.normal(size=a.shape)), cell.initial_carry(params, B))
        cotangents = state(), wide(rng.normal(size=(T, B, H)))
        return Problem(params, narrow(rng.normal(size=(T, B, D))), state(), flags, cotangents)


def width(dtype):
    """Bytes of a number."""
    return jnp.dtype(dtype).itemsize


def problem_of(entry):
    """The problem of an entry, with the flags of its variant; unbatched ones have one row."""
    full = problem(CELLS[entry.cell], entry.dtype, B=1 if entry.variant == "unbatched" else B)
    return full._replace(flags={name: full.flags[name] for name in FLAGS[entry.variant]})


@functools.cache
def evaluate(entry):
    """The entry's `(carry, ys)` and its gradients in params, xs and carry; unbatched ones with their axis restored."""
    cell, method, reverse = CELLS[entry.cell], METHODS[entry.method], entry.variant == "reversed"
    squeeze, restore = (lambda tree: tree), (lambda tree: tree)
    if entry.variant == "unbatched":
        squeeze = lambda tree: jax.tree.map(lambda a: a.squeeze(1 if a.shape[0] == T else 0), tree)
        restore = lambda tree: jax.tree.map(lambda a: jnp.expand_dims(a, a.ndim - 1), tree)
    with jax.enable_x64(entry.dtype == "float64"):
        params, xs, carry, flags, cotangents = problem_of(entry)

        @jax.jit
        def both(params, xs, carry, flags, cotangents):
            run = lambda *arguments: gr.unroll(cell, *arguments, **flags, reverse=reverse, method=method)
            out, vjp = jax.vjp(run, params, xs, carry)
            return out, vjp(cotangents)

        out, (dparams, *rest) = both(params, *squeeze((xs, carry, flags, cotangents)))
        return restore(out), (dparams, *restore(tuple(rest)))


@functools.cache
def differences(name, variant):
    """Gradients of an entry by central differences of the NumPy loop: params, xs and carry."""
    entry = Entry(name, "autodiff", variant, "float64")
    with jax.enable_x64(True):
        given = problem_of(entry)
        (*dcarry,), dys = jax.tree.map(np.asarray, given.cotangents)
        arguments = jax.tree.map(np.array, (given.params, given.xs, given.carry))
        flags = jax.tree.map(np.asarray, given.flags)

    def loss():
        run = getattr(reference, name)(*arguments, **flags, reverse=variant == "reversed")
        return sum(np.vdot(a, b) for a, b in zip((*dcarry, dys), (*run.carry, run.ys), strict=True))

    return jax.tree.map(lambda leaf: reference.central_difference(loss, leaf), arguments)


@each_entry()
def test_values_equal_the_papers(entry):
    """Carry and outputs against the NumPy loop; float32 for 16-bit weights and inputs."""
    (carry, ys), _ = evaluate(entry)
    given, cell = problem_of(entry), CELLS[entry.cell]
    want = getattr(reference, cell.name)(
        given.params, given.xs, given.carry, **given.flags, reverse=entry.variant == "reversed"
    )
    assert type(carry) is type(given.carry)
    assert {leaf.dtype for leaf in (*carry, ys)} == {jnp.dtype(max(entry.dtype, "float32", key=width))}
    assert_close((tuple(carry), ys), (want.carry, want.ys), entry.dtype, LENGTH)


@each_entry(method={"segmented", "segmented_4"})
def test_gradients_equal_autodiff(entry):
    """Every leaf of params, xs and carry."""
    want = evaluate(entry._replace(method="autodiff"))[1]
    chex.assert_trees_all_equal_dtypes(evaluate(entry)[1], want)
    assert_close(evaluate(entry)[1], want, entry.dtype, LENGTH)


@each_entry(dtype={"float64"})
def test_gradients_equal_differences(entry):
    """Every leaf of params, xs and carry."""
    (dparams, dxs, dcarry), want = evaluate(entry)[1], differences(CELLS[entry.cell].name, entry.variant)
    assert_close((dparams, dxs, dcarry), want, "difference", LENGTH)


def test_every_entry_ran():
    """The registry holds what it should, and no entry ignores its variant or its dtype."""
    assert len(REGISTRY) == 3 * 3 * 6 * 3 + 6 * 3
    for cell, method in {(entry.cell, entry.method) for entry in REGISTRY}:
        ends = [
            np.asarray(evaluate(Entry(cell, method, variant, dtype))[0][0].h, np.float64)[0]
            for variant in FLAGS
            for dtype in DTYPES
        ]
        assert all((a != b).any() for a, b in itertools.combinations(ends, 2))
    mask, reset = (np.asarray(flag) for flag in problem(gr.rnn).flags.values())
    assert (reset & ~mask).any() and (reset & mask)[1:].any() and not mask[:, 2].any()
