"""unroll: every cell by every method equals the papers' loops, values and gradients."""

import dataclasses
import functools
import itertools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from core_problems import FOREIGN, LENGTH, B, T
from hypothesis import given, settings, strategies as st
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
CELLS = {**gr.cells.CLASSICS, "foreign": FOREIGN}
METHODS = {
    "autodiff": gr.Autodiff(),
    "segmented": gr.Segmented(),
    "segmented_4": gr.Segmented(length=4),
    "checkpointed": gr.Checkpointed(length=4),
    "checkpointed_autodiff": gr.Checkpointed(length=4, method=gr.Autodiff()),
    "nested": gr.Checkpointed(length=6, method=gr.Checkpointed(length=2)),
    "truncated": gr.Truncated(window=2 * T),  # one window: nothing is cut
}
ANY_CELL = {"autodiff", "checkpointed_autodiff"}  # the methods that need no more than `step`
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
    """Segments need the three functions that a cell with a step alone does not have."""
    return CELLS[entry.cell].factored or entry.method in ANY_CELL


REGISTRY = tuple(filter(applies, itertools.starmap(Entry, itertools.product(CELLS, METHODS, FLAGS, DTYPES))))


def each_entry(**names):
    """Parametrises over the entries whose fields have the given names."""
    entries = [entry for entry in REGISTRY if all(getattr(entry, field) in names[field] for field in names)]
    return pytest.mark.parametrize("entry", entries, ids="-".join)


@pytest.fixture(scope="module")
def problem_of(problem):
    """(entry) -> its problem, with the flags of its variant; unbatched ones have one row."""

    def draw(entry):
        full = problem(CELLS[entry.cell], entry.dtype, B=1 if entry.variant == "unbatched" else B)
        return full._replace(flags={name: full.flags[name] for name in FLAGS[entry.variant]})

    return draw


@pytest.fixture(scope="module")
def evaluate(problem_of):
    """(entry) -> its `(carry, ys)` and its gradients in params, xs and carry; unbatched ones with their axis restored.

    Each entry is evaluated once.
    """

    @functools.cache
    def run(entry):
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

    return run


@pytest.fixture(scope="module")
def differences(problem_of):
    """(name, variant) -> gradients by central differences of the NumPy loop: params, xs and carry; each once."""

    @functools.cache
    def gradients(name, variant):
        entry = Entry(name, "autodiff", variant, "float64")
        with jax.enable_x64(True):
            given = problem_of(entry)
            (*dcarry,), dys = jax.tree.map(np.asarray, given.cotangents)
            arguments = jax.tree.map(np.array, (given.params, given.xs, given.carry))
            flags = jax.tree.map(np.asarray, given.flags)

        def loss():
            run = reference.LOOPS[name](*arguments, **flags, reverse=variant == "reversed")
            return sum(np.vdot(a, b) for a, b in zip((*dcarry, dys), (*run.carry, run.ys), strict=True))

        return jax.tree.map(lambda leaf: reference.central_difference(loss, leaf), arguments)

    return gradients


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_entry()
def test_values_equal_the_papers(entry, evaluate, problem_of):
    """Carry and outputs against the NumPy loop; float32 for 16-bit weights and inputs."""
    (carry, ys), _ = evaluate(entry)
    given, cell = problem_of(entry), CELLS[entry.cell]
    want = reference.LOOPS[cell.name](
        given.params, given.xs, given.carry, **given.flags, reverse=entry.variant == "reversed"
    )
    assert type(carry) is type(given.carry)
    assert {leaf.dtype for leaf in (*carry, ys)} == {jnp.dtype("float32" if entry.dtype == "bfloat16" else entry.dtype)}
    assert_close((tuple(carry), ys), (want.carry, want.ys), entry.dtype, LENGTH)


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_entry(method=set(METHODS) - {"autodiff"})
def test_gradients_equal_autodiff(entry, evaluate):
    """Every leaf of params, xs and carry."""
    want = evaluate(entry._replace(method="autodiff"))[1]
    chex.assert_trees_all_equal_dtypes(evaluate(entry)[1], want)
    assert_close(evaluate(entry)[1], want, entry.dtype, LENGTH)


@pytest.mark.thinned(11)
@pytest.mark.sampled
@each_entry(dtype={"float64"})
def test_gradients_equal_differences(entry, evaluate, differences):
    """Every leaf of params, xs and carry."""
    (dparams, dxs, dcarry), want = evaluate(entry)[1], differences(CELLS[entry.cell].name, entry.variant)
    assert_close((dparams, dxs, dcarry), want, "difference", LENGTH)


def test_the_registry(problem_of, problem):
    """It holds what it should, and no two variants have one answer: what ignores its own is told from the papers."""
    assert gr.rnn.factored and gr.gru.factored and gr.lstm.factored and not FOREIGN.factored
    factored = sum(cell.factored for cell in CELLS.values())
    assert len(REGISTRY) == factored * 7 * 6 * 3 + (len(CELLS) - factored) * 2 * 6 * 3
    for name in gr.cells.CLASSICS:
        ys = {}
        for variant in FLAGS:
            given = problem_of(Entry(name, "autodiff", variant, "float32"))
            run = reference.LOOPS[name](
                given.params, given.xs, given.carry, **given.flags, reverse=variant == "reversed"
            )
            ys[variant] = run.ys[:, 0]  # [T, H], of the row that all variants have
        assert all(abs(a - b).max() > 0.1 for a, b in itertools.combinations(ys.values(), 2))
    mask, reset = (np.asarray(flag) for flag in problem(gr.rnn).flags.values())
    assert (reset & ~mask).any() and (reset & mask)[1:].any() and not mask[:, 2].any()


@pytest.mark.slow
def test_no_entry_ignores_its_dtype(evaluate, request):
    """By the default method's two ways; by every method, of every variant, with `--exhaustive`."""
    whole = request.config.getoption("exhaustive")
    methods, variants = (METHODS, FLAGS) if whole else (("autodiff", "segmented"), ("both",))
    for entry in REGISTRY:
        if entry.method in methods and entry.variant in variants and entry.dtype == DTYPES[0]:
            ends = [np.asarray(evaluate(entry._replace(dtype=dtype))[0][0].h, np.float64)[0] for dtype in DTYPES]
            assert all((a != b).any() for a, b in itertools.combinations(ends, 2))


def test_a_carry_of_several_dtypes(problem):
    """The blocks of a derivative are of one dtype; the sentence names the method that takes any, the default here."""
    mixed = lambda params, batch=None: (zero := gr.lstm.initial_carry(params, batch))._replace(
        c=zero.c.astype(jnp.bfloat16)
    )

    def narrow(gates_x, gates_h, carry):
        after = gr.lstm.pointwise(gates_x, gates_h, carry._replace(c=carry.c.astype(carry.h.dtype)))
        return after._replace(c=after.c.astype(carry.c.dtype))

    cell = dataclasses.replace(gr.lstm, initial_carry=mixed, pointwise=narrow)
    params, xs, _, _, _ = problem(gr.lstm)
    with pytest.raises(ValueError, match=r"`method` must be Autodiff\(\) for a carry of several dtypes"):
        gr.unroll(cell, params, xs, method=gr.Segmented())
    assert gr.unroll(cell, params, xs)[0].c.dtype == jnp.bfloat16


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    cell=st.sampled_from([*gr.cells.CLASSICS.values()]),
    sizes=st.fixed_dictionaries(
        {name: st.integers(1, most) for name, most in {"T": 9, "B": 3, "D": 3, "H": 4}.items()}
    ),
    length=st.integers(1, 10),
    shares=st.tuples(st.sampled_from([0.0, 0.2, 0.6, 1.0]), st.sampled_from([0.0, 0.2, 0.6, 1.0])),
    reverse=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_segmented_equals_autodiff_whatever_the_shapes(cell, sizes, length, shares, reverse, seed, problem, gradient):
    """Values and gradients, for any lengths, widths, masks and resets."""
    params, xs, carry, _, (_, dys) = problem(cell, **sizes, seed=seed)
    kept, restarted = np.random.default_rng(seed).random((2, sizes["T"], sizes["B"]))
    flags = {"mask": jnp.asarray(kept >= shares[0]), "reset": jnp.asarray(restarted < shares[1])}
    got, want = (
        gradient(cell, method, params, xs, carry, flags, dys, reverse)
        for method in (gr.Segmented(length), gr.Autodiff())
    )
    assert_close(got, want, "float32", sizes["T"] * (sizes["D"] + sizes["H"]))
