"""Laws of cells: a broken one is refused in one sentence when the cell is first used, and so are weights of others."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stranger_cells import MGU
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.methods import auto

D, H, T, B = 3, 4, 6, 2
LENGTH = T * (D + H)


def norm(a):
    """Layer norm, without weights."""
    centred = a - a.mean(-1, keepdims=True)
    return centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)


@jax.custom_vjp
def spread(a):
    """The identity, whose gradient mixes units."""
    return a


spread.defvjp(lambda a: (a, None), lambda _, d: (jnp.broadcast_to(d.mean(-1, keepdims=True), d.shape),))


@jax.custom_jvp
def lifted(a):
    """The identity, whose tangent mixes units."""
    return a


lifted.defjvp(lambda primals, tangents: (primals[0], jnp.flip(tangents[0], -1)))


def running(a):
    """The sum of all rows so far."""
    return jax.lax.scan(lambda total, row: (total + row, total + row), jnp.zeros(a.shape[1:], a.dtype), a)[1]


RECUR = {
    "tanh": lambda weights, h: tuple(map(jnp.tanh, gr.gru.recur(weights, h))),
    "square": lambda weights, h: gr.gru.recur(weights, h**2),
    "product": lambda weights, h: gr.gru.recur(weights, h * h),
    "layer norm": lambda weights, h: gr.gru.recur(weights, norm(h)),
    "norm after": lambda weights, h: tuple(map(norm, gr.gru.recur(weights, h))),
    "relu": lambda weights, h: gr.gru.recur(weights, jax.nn.relu(h)),
    "choice": lambda weights, h: gr.gru.recur(weights, jnp.where(h > 0, h, 2 * h)),
}
POINTWISE = {
    "softmax": lambda x, h, c: gr.GRUState(jax.nn.softmax(x[0] + h[0])),
    "mean": lambda x, h, c: gr.GRUState(jnp.tanh(x[0] + h[0] - (x[0] + h[0]).mean(-1, keepdims=True))),
    "mean of all": lambda x, h, c: gr.GRUState(jnp.tanh(x[0] + h[0]) - c.h.mean()),
    "cumsum": lambda x, h, c: gr.GRUState(jnp.tanh(jnp.cumsum(x[0] + h[0], -1))),
    "layer norm": lambda x, h, c: gr.GRUState(jnp.tanh(norm(x[0] + h[0]))),
    "neighbour": lambda x, h, c: gr.GRUState(jnp.tanh(x[0] + jnp.roll(h[0], 1, -1))),
    "mirror": lambda x, h, c: gr.GRUState(jnp.tanh(x[0] + jnp.flip(h[0], -1))),
    "a loop over rows": lambda x, h, c: gr.GRUState(jnp.tanh(running(x[0] + h[0]))),
    "order": lambda x, h, c: gr.GRUState(jnp.sort(jnp.tanh(x[0] + h[0]), -1)),
    "inside jit": lambda x, h, c: gr.GRUState(jax.jit(jax.nn.softmax)(x[0] + h[0])),
    "backward": lambda x, h, c: gr.GRUState(spread(jnp.tanh(x[0] + h[0]))),
    "tangent": lambda x, h, c: gr.GRUState(lifted(jnp.tanh(x[0] + h[0]))),
}
BROKEN = {
    **{f"{name} in recur": ("affine", dataclasses.replace(gr.gru, recur=f)) for name, f in RECUR.items()},
    **{
        f"{name} in pointwise": ("elementwise", dataclasses.replace(gr.gru, pointwise=f, activations=None, keeps=""))
        for name, f in POINTWISE.items()
    },
}


@pytest.mark.thinned(3)
@pytest.mark.parametrize(("law", "cell"), BROKEN.values(), ids=BROKEN)
def test_a_broken_law_is_refused_when_the_cell_is_first_used(law, cell):
    """By `Segmented` and by `check_cell`, each in one sentence that names the law; `Autodiff` needs none of them."""
    params = cell.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    with pytest.raises(ValueError, match=rf"`cell` must be one whose .* is {law}.*Autodiff\(\)"):
        gr.unroll(cell, params, xs)
    with pytest.raises(ValueError, match=rf"'?gru'?, which breaks \d of them: .*{law}: "):
        gr.check_cell(cell)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", [name for name in BROKEN if "backward" not in name and "tangent" not in name])
def test_a_cell_that_breaks_a_law_has_the_right_gradient_by_its_step(name):
    """Autodiff's, and that of the same cell with `step` alone, against differences in float64."""
    cell = BROKEN[name][1]
    alone = gr.Cell.from_step("own", cell.step, init=cell.init, initial_carry=cell.initial_carry)
    with jax.enable_x64(True):
        params = cell.init(jax.random.key(0), D, H, dtype=jnp.float64)
        xs, way = jax.random.normal(jax.random.key(1), (2, T, B, D), jnp.float64)
        loss = lambda xs, cell=cell: jnp.sum(jnp.sin(gr.unroll(cell, params, xs, method=gr.Autodiff())[1] + xs.mean()))
        want = (loss(xs + 1e-6 * way) - loss(xs - 1e-6 * way)) / 2e-6
        for one in (cell, alone):
            np.testing.assert_allclose(jnp.vdot(jax.grad(loss)(xs, one), way), want, rtol=1e-6)


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    "change",
    [
        {"project": lambda weights, x: gr.gru.project(weights, x - x.mean(0))},
        {"project": lambda weights, x: gr.gru.project(weights, jnp.cumsum(x, 0))},
        {"recur": lambda weights, h: gr.gru.recur(weights, h - h.mean(0))},
        {"recur": lambda weights, h: gr.gru.recur(weights, jnp.flip(h, 0))},
    ],
)
def test_no_row_sees_another(change):
    """The first axis of what `project` and `recur` are given is D or H, never the batch or time."""
    cell = dataclasses.replace(gr.gru, **change)
    assert "gradient" in gr.check_cell(cell)
    params = cell.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    together = gr.unroll(cell, params, xs, method=gr.Segmented(4))[1]
    for row in range(B):
        carry, ys = cell.initial_carry(params), []
        for x in xs[:, row]:
            gates = (cell.project.function(params.input, x), cell.recur.function(params.recurrent, carry.h))
            carry = cell.pointwise(*gates, carry)
            ys.append(carry.h)
        assert_close(together[:, row], jnp.stack(ys), "float32", LENGTH)


def scaled(a):
    """A cell that reads the number `a` from around it."""
    return dataclasses.replace(
        gr.rnn, activations=None, pointwise=lambda x, h, _: gr.RNNState(jnp.tanh(x[0] + a * h[0]))
    )


def test_a_cell_that_reads_more_than_its_weights():
    """Of a number of a transformation around it the gradient is that of the same number among the weights."""
    params = gr.rnn.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    times = lambda a: jnp.sum(
        jnp.sin(gr.unroll(gr.rnn, params._replace(recurrent={"w": a * params.recurrent["w"]}), xs)[1])
    )
    loss = lambda a, method=None: jnp.sum(jnp.sin(gr.unroll(scaled(a), params, xs, method=method)[1]))
    want = jax.grad(times)(0.7)
    for method in (None, gr.Checkpointed(4)):
        gradient = jax.grad(functools.partial(loss, method=method))
        assert_close((jax.jit(gradient)(0.7), jax.vmap(gradient)(jnp.full(1, 0.7))[0]), (want, want), "float32", T * H)
    assert_close(jax.grad(loss)(0.7), want, "float32", T * H)
    told = []
    jax.jit(lambda a: told.append(gr.explain(scaled(a), params, xs)[0]))(0.7)
    assert (told[0].gradient, told[0].why) == ("scan", auto.AROUND)
    assert gr.explain(scaled(jnp.float32(0.7)), params, xs)[0].gradient == "segments"  # a number that is there
    for method in (gr.Segmented(), gr.Fused(interpret=True)):
        with pytest.raises(ValueError, match=r"`cell` must be one that reads no value .*Autodiff\(\)`; got 'rnn'"):
            jax.jit(functools.partial(loss, method=method))(0.7)


@pytest.mark.parametrize("kind", [jnp.int32, bool, jax.random.key])
def test_a_carry_of_other_than_numbers_is_refused(kind):
    """Before anything is run, with flags or without."""
    state = lambda rows: jax.random.split(jax.random.key(0), rows) if kind is jax.random.key else jnp.zeros(rows, kind)
    cell = gr.Cell.from_step(
        *("counting", lambda a, carry, x: (carry, carry["h"] + x)),
        init=lambda key, input_size, hidden_size: jnp.ones(hidden_size),
        initial_carry=lambda a, batch_size=None: {"h": jnp.zeros((batch_size, D)), "n": state((batch_size,))},
    )
    with pytest.raises(ValueError, match="`cell` must be one whose carry is of floating arrays; got .* of 'counting'"):
        gr.unroll(cell, jnp.ones(D), jnp.ones((T, B, D)))


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keeps": "output"}, "keeps: .* of the largest entry apart"),
        ({"horizon_option": "horizon"}, "fit: .*unexpected keyword argument 'horizon'"),
        ({"gates": ("a", "b", "c")}, "fit: `params` must be .*`gates` names 3"),
        ({"gates": ("forget", "input", "candidate", "output")}, r"fit: `activations` names \('input'"),
        ({"initial_carry": lambda p, b=None: gr.lstm.initial_carry(p, b)._replace(c=jnp.ones((1, 1)))}, "fit: "),
        ({"step": lambda p, c, x: gr.lstm.step(p, c, x - x.mean(0, keepdims=True))}, "batch: .* apart"),
        ({"pointwise": lambda x, h, c: c._replace(c=c.c.astype("bfloat16"))}, "fit: .*bfloat16"),
        ({"pointwise": lambda x, h, c: tuple(gr.lstm.pointwise(x, h, c))}, "fit: "),
    ],
)  # fmt: skip
def test_check_cell_says_which_law_fails(change, message):
    """A promise about gates, options or shapes that is not kept."""
    keeps = {} if "keeps" in change or "gates" not in change else {"keeps": ""}
    with pytest.raises(ValueError, match=f"`cell` must be one that keeps the laws; got lstm, .*{message}"):
        gr.check_cell(dataclasses.replace(gr.lstm, **keeps, **change))


def test_a_gate_that_is_not_there_cannot_keep():
    """When the cell is made."""
    with pytest.raises(ValueError, match="`keeps` must be one of .*; got 'update'"):
        dataclasses.replace(gr.lstm, keeps="update")
    assert MGU.keeps == "1 - forget"


def test_a_cell_with_a_step_alone_keeps_the_laws_it_can():
    """Those that ask for no gates; a cell that is none is refused."""
    alone = gr.Cell.from_step("own", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)
    assert gr.check_cell(alone) == ("fit", "batch", "mask", "reset")
    forgetful = gr.Cell.from_step(
        *("own", lambda p, carry, x: (carry, gr.lstm.step(p, carry, x)[1] + x.mean())),
        init=gr.lstm.init,
        initial_carry=gr.lstm.initial_carry,
    )
    with pytest.raises(ValueError, match="breaks 2 of them: batch: .*; mask: "):
        gr.check_cell(forgetful)
    with pytest.raises(ValueError, match="`cell` must be a gatedrnn.Cell"):
        gr.check_cell("lstm")
