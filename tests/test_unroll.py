"""unroll: every cell by every method equals the papers' loops, values and gradients, and obeys sequences' laws."""

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
from hypothesis import given, settings, strategies as st
from jax.flatten_util import ravel_pytree
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H = 11, 3, 3, 4
LENGTH = T * (D + H)  # additions behind the last output
FOREIGN = gr.Cell.from_step("lstm", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm, "foreign": FOREIGN}
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
    """Segments need the three functions that a foreign step does not have."""
    return entry.cell != "foreign" or entry.method in ANY_CELL


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


@each_entry(method=set(METHODS) - {"autodiff"})
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
    assert len(REGISTRY) == 3 * 7 * 6 * 3 + 2 * 6 * 3
    for cell, method in {(entry.cell, entry.method) for entry in REGISTRY}:
        ends = [
            np.asarray(evaluate(Entry(cell, method, variant, dtype))[0][0].h, np.float64)[0]
            for variant in FLAGS
            for dtype in DTYPES
        ]
        assert all((a != b).any() for a, b in itertools.combinations(ends, 2))
    mask, reset = (np.asarray(flag) for flag in problem(gr.rnn).flags.values())
    assert (reset & ~mask).any() and (reset & mask)[1:].any() and not mask[:, 2].any()


@each_cell
@each_method
def test_reset_is_a_fresh_start(cell, method):
    """What follows a reset of every row is what a new sequence gives."""
    params, xs, carry, _, _ = problem(cell)
    reset = jnp.zeros((T, B), bool).at[4].set(True)
    got, ys = unroll(cell, params, xs, carry, reset=reset, method=method)
    assert_close((got, ys[4:]), unroll(cell, params, xs[4:], method=method), "float32", LENGTH)


@each_cell
def test_reset_restarts_from_the_initial_carry(cell):
    """A learned initial carry is what a sequence and every reset begin with, and learns from them by either method."""
    params, xs, _, flags, (_, dys) = problem(cell)
    first = lambda params, batch_size=None: jax.tree.map(
        lambda zero: zero + jnp.broadcast_to(params.input["b"][:H], zero.shape), cell.initial_carry(params, batch_size)
    )
    learned = dataclasses.replace(cell, initial_carry=first)
    reset = jnp.zeros((T, B), bool).at[4].set(True)
    end, ys = unroll(learned, params, xs, reset=reset)
    assert_close((end, ys[4:]), unroll(cell, params, xs[4:], first(params, B)), "float32", LENGTH)
    assert_close(ys[:4], unroll(learned, params, xs[:4])[1], "float32", LENGTH)
    got, want = (
        gradient(learned, method, params, xs, None, flags, dys, False) for method in (gr.Segmented(4), gr.Autodiff())
    )
    assert_close(got, want, "float32", LENGTH)


@each_cell
@each_method
def test_masked_step_is_a_deleted_step(cell, method):
    """Masked steps may as well not be there, their resets included; their outputs are zero."""
    params, xs, carry, flags, _ = problem(cell)
    keep = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1], bool)
    reset = flags["reset"].at[~keep].set(True)
    mask = jnp.broadcast_to(jnp.asarray(keep)[:, None], (T, B))
    got, ys = unroll(cell, params, xs, carry, mask=mask, reset=reset, method=method)
    assert not ys[~keep].any()
    want = unroll(cell, params, xs[keep], carry, reset=reset[keep], method=method)
    assert_close((got, ys[keep]), want, "float32", LENGTH)


@each_cell
@each_method
def test_split_sequence_is_a_whole_one(cell, method):
    """The carry is all that one part hands to the next."""
    params, xs, carry, flags, _ = problem(cell)
    first, second = ({name: flag[part] for name, flag in flags.items()} for part in (slice(None, 5), slice(5, None)))
    middle, ys_first = unroll(cell, params, xs[:5], carry, **first, method=method)
    end, ys_second = unroll(cell, params, xs[5:], middle, **second, method=method)
    want = unroll(cell, params, xs, carry, **flags, method=method)
    assert_close((end, jnp.concatenate([ys_first, ys_second])), want, "float32", LENGTH)


@each_cell
@each_method
def test_reversed_is_flipped(cell, method):
    """reverse=True is the flipped sequence with its outputs flipped back."""
    params, xs, carry, flags, _ = problem(cell)
    got = unroll(cell, params, xs, carry, **flags, reverse=True, method=method)
    end, ys = unroll(cell, params, xs[::-1], carry, **jax.tree.map(lambda a: a[::-1], flags), method=method)
    assert_close(got, (end, ys[::-1]), "float32", LENGTH)


@each_cell
@each_method
def test_empty_sequence(cell, method):
    """T = 0 returns the initial carry and no outputs; the gradient is the identity on the carry, zero elsewhere."""
    given = problem(cell, T=0)
    for flags in ({}, given.flags):
        run = lambda *arguments, flags=flags: gr.unroll(cell, *arguments, **flags, method=method)
        (end, ys), vjp = jax.vjp(run, given.params, given.xs, given.carry)
        chex.assert_trees_all_equal(end, given.carry)
        assert ys.shape == (0, B, H)
        dparams, dxs, dcarry = vjp((given.cotangents[0], ys))
        chex.assert_trees_all_equal(dcarry, given.cotangents[0])
        assert dxs.shape == given.xs.shape
        assert not any(leaf.any() for leaf in jax.tree.leaves(dparams))
    end, ys = gr.unroll(cell, given.params, given.xs[:, 0], method=method)
    chex.assert_trees_all_equal(end, cell.initial_carry(given.params))
    assert ys.shape == (0, H)


@each_cell
@each_method
def test_empty_row_keeps_its_carry(cell, method):
    """A row of padding alone returns the initial carry bit for bit, and zero outputs."""
    params, xs, carry, flags, _ = problem(cell)
    for options in ({"mask": flags["mask"]}, flags, {**flags, "reverse": True}):
        end, ys = unroll(cell, params, xs, carry, **options, method=method)
        chex.assert_trees_all_equal(*(jax.tree.map(lambda part: part[2], tree) for tree in (end, carry)))
        assert not ys[:, 2].any()


@functools.partial(jax.jit, static_argnames="reverse")
def gradient(cell, method, params, xs, carry, flags, weights, reverse):
    """Outputs where `weights [T, B, H]` are not zero, the last carry, and the gradients of their weighted sum."""

    def loss(params, xs, carry):
        end, ys = gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method)
        ys = jnp.where(weights != 0, ys, 0)
        return sum(map(jnp.sum, end)) + jnp.sum(weights * ys), (end, ys)

    return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, xs, carry)


@each_cell
@each_method
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("poison", [np.nan, -np.inf, 1e30], ids=["nan", "inf", "huge"])
def test_padding_and_the_past_are_never_read(cell, method, reverse, poison):
    """Poison there changes no later output and no gradient of a loss on them; the gradient at the poison is zero.

    In the order of processing: row 0 is padded at 3 to 5, row 1 has poison at 2 and at 4 and a reset at 6, row 2 begins
    with a poisoned carry and has a reset at 1.
    """
    params, xs, carry, _, (_, weights) = problem(cell)
    mask, reset, past, poisoned = np.ones((T, B), bool), *np.zeros((3, T, B), bool)
    mask[3:6, 0] = False
    reset[6, 1] = reset[1, 2] = True
    past[:6, 1] = past[:1, 2] = True
    poisoned[3:6, 0] = poisoned[[2, 4], 1] = True
    if reverse:
        mask, reset, past, poisoned = (a[::-1] for a in (mask, reset, past, poisoned))
    flags = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
    weights = jnp.where(past[..., None], 0, weights)
    results = []
    for value in (0.5, poison):
        bad_xs = jnp.where(poisoned[..., None], jnp.float32(value), xs)
        bad_carry = jax.tree.map(lambda part, value=value: part.at[2].set(value), carry)
        results.append(gradient(cell, method, params, bad_xs, bad_carry, flags, weights, reverse))
    (clean, values), (got, bad_values) = results
    assert_close(bad_values, values, "float32", LENGTH)
    assert_close(got, clean, "float32", LENGTH)
    _, dxs, dcarry = got
    assert not dxs[past | ~mask].any()
    assert not any(part[1:].any() for part in dcarry)
    assert all(part[0].all() for part in dcarry)


@each_cell
@each_method
@pytest.mark.parametrize("with_reset", [False, True])
def test_nan_is_not_hidden(cell, method, with_reset):
    """A NaN in an input that counts reaches every later output of its row, up to a reset, and no other row."""
    params, xs, carry, _, _ = problem(cell)
    reset = jnp.zeros((T, B), bool).at[7, 0].set(True) if with_reset else None
    end, ys = unroll(cell, params, xs.at[3, 0, 1].set(jnp.nan), carry, reset=reset, method=method)
    want = np.zeros((T, B, H), bool)
    want[3 : 7 if with_reset else T, 0] = True
    np.testing.assert_array_equal(jnp.isnan(ys), want)
    np.testing.assert_array_equal(jnp.isnan(end.h), want[-1])


@each_cell
@each_method
def test_vmap(cell, method):
    """Over sequences it is the batch; over params, one run after the other. Gradients too."""
    params, xs, carry, flags, cotangents = problem(cell)
    one = lambda xs, carry, flags: gr.unroll(cell, params, xs, carry, **flags, method=method)
    got = jax.jit(jax.vmap(one, (1, 0, 1), (0, 1)))(xs, carry, flags)
    assert_close(got, unroll(cell, params, xs, carry, **flags, method=method), "float32", LENGTH)

    others = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf, leaf / 2]), params)
    one = lambda params: gradient(cell, method, params, xs, carry, flags, cotangents[1], False)
    members = [one(jax.tree.map(lambda leaf, i=i: leaf[i], others)) for i in range(3)]
    assert_close(jax.vmap(one)(others), jax.tree.map(lambda *leaves: jnp.stack(leaves), *members), "float32", LENGTH)


def spied(cell):
    """The cell, and the list of the shapes of h at which its `recur` is traced."""
    shapes = []

    def recur(params, h):
        shapes.append(h.shape)
        return cell.recur(params, h)

    return dataclasses.replace(cell, recur=recur), shapes


@each_cell
def test_segments_are_single_products(cell):
    """Backward, `recur` meets whole segments, the rest of T and unit vectors; Autodiff sees one step at a time."""
    params, xs, carry, _, _ = problem(cell)
    spy, shapes = spied(cell)
    loss = lambda method: jax.make_jaxpr(jax.grad(lambda xs: gr.unroll(spy, params, xs, carry, method=method)[1].sum()))
    loss(gr.Autodiff())(xs)
    assert set(shapes) == {(B, H)}
    loss(gr.Segmented(length=4))(xs)
    rows = {(4 * B, H), (T % 4 * B, H)}  # of the weight gradients
    assert set(shapes) == {(B, H), (4, B, H), (T % 4, B, H), *rows, (H, H)}


@each_cell
def test_saved_for_the_backward_pass(cell):
    """Beside its arguments Segmented keeps the outputs, and the carry at each segment's start: nothing with gates."""
    params, xs, carry, _, _ = problem(cell, T=64)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    saved = lambda method: count(
        jax.vjp(lambda *arguments: gr.unroll(cell, *arguments, method=method), params, xs, carry)[1]
    )
    arguments = count((params, xs)) + 2 * count(carry)  # the carry, and the zeros to reset to
    starts = 64 // 8 * count(carry)
    assert saved(gr.Segmented(length=8)) <= arguments + 64 * B * H + starts < saved(gr.Autodiff())


@each_cell
def test_nothing_is_traced_twice(cell):
    """Equal cells, methods and shapes share one trace, under an outer jit and without it; other ones do not."""
    chex.clear_trace_counter()
    limited = jax.jit(chex.assert_max_traces(n=1)(lambda *arguments: gradient.__wrapped__(*arguments, reverse=False)))
    spy, shapes = spied(cell)
    counts = []
    for seed in range(3):
        params, xs, carry, flags, (_, dys) = problem(cell, seed=seed)
        limited(dataclasses.replace(cell), gr.Segmented(length=4), params, xs, carry, flags, dys)
        eager = lambda xs, params=params, carry=carry: gr.unroll(
            dataclasses.replace(spy), params, xs, carry, method=gr.Segmented(length=4)
        )
        jax.vjp(eager, xs)[1](eager(xs))
        counts.append(len(shapes))
    assert 0 < counts[0] == counts[1] == counts[2]
    with pytest.raises(AssertionError, match="traced"):
        limited(cell, gr.Segmented(length=5), params, xs, carry, flags, dys)
    assert gr.Segmented(length=4) == gr.Segmented(length=4) != gr.Segmented()
    assert hash(gr.Segmented(length=4)) == hash(gr.Segmented(length=4))
    assert gr.Autodiff() == gr.Autodiff() != gr.Autodiff(unroll=2)
    assert hash(gr.Autodiff()) == hash(gr.Autodiff())


ORDERS = {  # a scalar function and its argument, differentiated as Segmented does not allow
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "jacfwd": lambda f, x: jax.jacfwd(f)(x),
    "linearize": lambda f, x: jax.linearize(f, x)[1](x),
    "grad of grad": lambda f, x: jax.grad(lambda x: jnp.vdot(jax.grad(f)(x), x))(x),
    "jvp of grad": lambda f, x: jax.jvp(jax.grad(f), (x,), (x,)),
    "hessian": lambda f, x: jax.hessian(f)(x),
}


@each_cell
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("argument", [0, 1, 2], ids=["params", "xs", "carry"])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_segmented_is_first_order_reverse_mode(cell, order, argument, wrap):
    """Anything else fails with a TypeError that names the method which can."""
    arguments = problem(cell)[:3]
    flat, unravel = ravel_pytree(arguments[argument])

    def loss(x):
        given = (*arguments[:argument], unravel(x), *arguments[argument + 1 :])
        return jnp.sum(gr.unroll(cell, *given)[1] ** 2)

    with pytest.raises(TypeError, match="Autodiff"):
        wrap(functools.partial(ORDERS[order], loss))(flat)


@each_cell
def test_autodiff_has_forward_mode_and_second_derivatives(cell):
    """First and second derivative along a line against differences of the loop; both orders of the second agree."""
    with jax.enable_x64(True):
        given = problem(cell, "float64")
        flat, unravel = ravel_pytree(given[:3])
        line = jnp.asarray(np.random.default_rng(1).normal(size=flat.size)) / flat.size**0.5

        def loss(x):
            end, ys = gr.unroll(cell, *unravel(x), **given.flags, method=gr.Autodiff())
            return sum(map(jnp.vdot, (*given.cotangents[0], given.cotangents[1]), (*end, ys)))

        slope = jax.jit(lambda x: jax.jvp(loss, (x,), (line,))[1])(flat)
        along = jax.jit(lambda x: jax.jvp(jax.grad(loss), (x,), (line,))[1])(flat)
        twice = jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), line)))(flat)

        def at(step):
            run = getattr(reference, cell.name)(*unravel(flat + step * line), **given.flags)
            return sum(map(np.vdot, (*given.cotangents[0], given.cotangents[1]), (*run.carry, run.ys)))

        assert_close(slope, (at(1e-5) - at(-1e-5)) / 2e-5, "difference", LENGTH)
        assert_close(along @ line, (at(1e-3) - 2 * at(0.0) + at(-1e-3)) / 1e-6, "second difference", LENGTH)
        assert_close(along, twice, "float64", LENGTH)


@each_cell
def test_segmented_inside_other_transformations(cell):
    """Rematerialised, in another loop, by jacrev, or with an outer derivative that passes it by, it is the same."""
    params, xs, _, _, _ = problem(cell)

    def loss(xs, method=gr.Segmented(length=4)):
        return jnp.sum(gr.unroll(cell, params, xs, method=method)[1] ** 2, (0, -1))  # [B] or one number

    def total(xs):
        return loss(xs).sum()

    want = jax.jit(jax.jacrev(functools.partial(loss, method=gr.Autodiff())))(xs)  # [B, T, B, D]
    rematerialised, looped = jax.checkpoint(loss), lambda xs: jax.lax.map(total, jnp.moveaxis(xs, 1, 0))
    for same in (loss, rematerialised, looped):
        assert_close(jax.jit(jax.jacrev(same))(xs), want, "float32", LENGTH)
    scaled = jax.jit(jax.grad(lambda s: jnp.vdot(jax.grad(lambda xs: s * total(xs))(xs), xs)))
    assert_close(scaled(2.0), jnp.vdot(want.sum(0), xs), "float32", LENGTH)


@each_cell
@pytest.mark.parametrize("steps", [401, 450], ids=["prime", "divisible"])
def test_default_length(cell, steps):
    """Several segments of the default length, with and without a rest."""
    params, xs, carry, flags, (_, dys) = problem(cell, T=steps)
    got, want = (
        gradient(cell, method, params, xs, carry, flags, dys, False) for method in (gr.Segmented(), gr.Autodiff())
    )
    assert_close(got, want, "float32", steps * (D + H))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    cell=st.sampled_from([gr.rnn, gr.gru, gr.lstm]),
    sizes=st.fixed_dictionaries(
        {name: st.integers(1, most) for name, most in {"T": 9, "B": 3, "D": 3, "H": 4}.items()}
    ),
    length=st.integers(1, 10),
    shares=st.tuples(st.sampled_from([0.0, 0.2, 0.6, 1.0]), st.sampled_from([0.0, 0.2, 0.6, 1.0])),
    reverse=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_segmented_equals_autodiff_whatever_the_shapes(cell, sizes, length, shares, reverse, seed):
    """Values and gradients, for any lengths, widths, masks and resets."""
    params, xs, carry, _, (_, dys) = problem(cell, **sizes, seed=seed)
    kept, restarted = np.random.default_rng(seed).random((2, sizes["T"], sizes["B"]))
    flags = {"mask": jnp.asarray(kept >= shares[0]), "reset": jnp.asarray(restarted < shares[1])}
    got, want = (
        gradient(cell, method, params, xs, carry, flags, dys, reverse)
        for method in (gr.Segmented(length), gr.Autodiff())
    )
    assert_close(got, want, "float32", sizes["T"] * (sizes["D"] + sizes["H"]))


BAD = {
    "xs width": (
        {"xs": (T, B, D + 1)},
        r"`xs` must be \[T, B, D\].* with D = 3 to match `params.input`; got \(11, 3, 4\)",
    ),
    "xs rank 1": ({"xs": (D,)}, r"`xs` must be \[T, B, D\].*; got \(3,\)"),
    "xs rank 4": ({"xs": (1, T, B, D)}, r"`xs` must be \[T, B, D\].*; got \(1, 11, 3, 3\)"),
    "xs integers": ({"xs": jnp.zeros((T, B, D), int)}, r"`xs` must be .*floating.*; got int32"),
    "mask shape": ({"mask": jnp.ones((B, T), bool)}, r"`mask` must be .*\(11, 3\).*; got .*\(3, 11\)"),
    "mask unbatched": ({"mask": jnp.ones(T, bool)}, r"`mask` must be .*\(11, 3\).*; got .*\(11,\)"),
    "mask numbers": ({"mask": (T, B)}, r"`mask` must be .*bool.*; got float32"),
    "reset shape": ({"reset": jnp.ones((T, B, 1), bool)}, r"`reset` must be .*\(11, 3\).*; got .*\(11, 3, 1\)"),
    "reset integers": ({"reset": jnp.ones((T, B), int)}, r"`reset` must be .*bool.*; got int32"),
    "carry rows": ({"carry": gr.GRUState(jnp.zeros((B + 1, H)))}, r"`carry` must be .*\(3, 4\).*; got .*\(4, 4\)"),
    "carry unbatched": ({"carry": gr.GRUState(jnp.zeros(H))}, r"`carry` must be .*\(3, 4\).*; got .*\(4,\)"),
    "carry type": ({"carry": gr.RNNState(jnp.zeros((B, H)))}, r"`carry` must be .*GRUState.*; got RNNState"),
    "carry bare": ({"carry": (B, H)}, r"`carry` must be .*GRUState"),
    "method name": ({"method": "segmented"}, r"`method` must be .*Segmented\(\).*; got 'segmented'"),
    "cell name": ({"cell": "gru"}, r"`cell` must be .*; got 'gru'"),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD)
def test_bad_arguments(wrong, message):
    """A ValueError that names the argument, what was expected and what came."""
    params, xs, _, _, _ = problem(gr.gru)
    wrong = {name: jnp.zeros(value) if type(value) is tuple else value for name, value in wrong.items()}
    with pytest.raises(ValueError, match=message):
        gr.unroll(**{"cell": gr.gru, "params": params, "xs": xs} | wrong)


def test_bad_methods():
    """A segment has at least one step, and a cell with a step alone has no segments."""
    for length in (0, -1, 2.5):
        with pytest.raises(ValueError, match=f"`length` must be .*; got {length}"):
            gr.Segmented(length=length)
    params, xs, _, _, _ = problem(FOREIGN)
    with pytest.raises(ValueError, match="`method` must be .*Autodiff"):
        gr.unroll(FOREIGN, params, xs, method=gr.Segmented())
