"""Laws of cells and methods: strangers' cells and methods, with public names only; refusals where a law is broken."""

import dataclasses
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

D, H, T, B = 3, 4, 6, 2
LENGTH = T * (D + H)


# Cells that strangers bring.


class MGUGates(NamedTuple):
    """The forget gate and what could be written."""

    forget: jax.Array
    candidate: jax.Array


def zero_like(width_of, states):
    """`initial_carry` of a cell whose width and dtype are those of a weight."""

    def initial_carry(params, batch_size=None):
        weight, width = width_of(params)
        return states(*(gr.linear.zeros(width, weight.dtype, batch_size) for _ in states._fields))

    return initial_carry


def dense(gates, states, unit=()):
    """`init`, `initial_carry`, `project` and `recur` of a cell with G dense gates and weights per unit."""

    def init(key, input_size, hidden_size, *, dtype=jnp.float32):
        key, *keys = jax.random.split(key, 1 + len(unit))
        params = gr.initializers.gate_weights(
            *(key, gates, input_size, hidden_size),
            input_init=gr.initializers.gaussian(),
            recurrent_init=gr.initializers.orthogonal(),
            dtype=dtype,
        )
        drawn = (jax.random.normal(k, (hidden_size,), dtype) for k in keys)
        return params._replace(unit=dict(zip(unit, drawn, strict=True)))

    def recur(weights, h):
        return gr.linear.split(gr.linear.product(h, weights["w"]), gates)

    width = lambda params: (params.recurrent["w"], params.recurrent["w"].shape[0])
    return init, zero_like(width, states), lambda weights, xs: gr.linear.affine(weights, xs, gates), recur


def mgu_gates(x, h, _):
    """The candidate sees the state through the gate, after the product."""
    forget = jax.nn.sigmoid(x[0] + h[0])
    return MGUGates(forget, jnp.tanh(x[1] + forget * h[1]))


def mgu_pointwise(x, h, carry):
    """h' = (1 - f) h + f n."""
    forget, candidate = mgu_gates(x, h, carry)
    return gr.RNNState((1 - forget) * carry.h + forget * candidate)


MGU = gr.Cell("mgu", MGUGates._fields, *dense(2, gr.RNNState), mgu_pointwise, mgu_gates, keeps="1 - forget")


def coupled(x, h, carry):
    """What is forgotten makes room for what is written: i = 1 - f."""
    forget, output = jax.nn.sigmoid(x[0] + h[0]), jax.nn.sigmoid(x[2] + h[2])
    c = forget * carry.c + (1 - forget) * jnp.tanh(x[1] + h[1])
    return gr.LSTMState(output * jnp.tanh(c), c)


COUPLED = gr.Cell("coupled", ("forget", "candidate", "output"), *dense(3, gr.LSTMState), coupled)


def peephole_gates(x, h, carry, unit):
    """Gates look at the cell state, each unit's at its own; the output gate at what it will be."""
    input = jax.nn.sigmoid(x[0] + h[0] + unit["i"] * carry.c)
    forget = jax.nn.sigmoid(x[1] + h[1] + unit["f"] * carry.c)
    candidate = jnp.tanh(x[2] + h[2])
    c = forget * carry.c + input * candidate
    return gr.LSTMGates(input, forget, candidate, jax.nn.sigmoid(x[3] + h[3] + unit["o"] * c))


def peephole_pointwise(x, h, carry, unit):
    """As the LSTM."""
    gates = peephole_gates(x, h, carry, unit)
    c = gates.forget * carry.c + gates.input * gates.candidate
    return gr.LSTMState(gates.output * jnp.tanh(c), c)


PEEPHOLE = gr.Cell(
    *("peephole", gr.lstm.gates, *dense(4, gr.LSTMState, "ifo"), peephole_pointwise, peephole_gates),
)


def indrnn_init(key, input_size, hidden_size, *, dtype=jnp.float32):
    """A recurrent weight per unit."""
    key_w, key_u = jax.random.split(key)
    w = gr.initializers.gaussian()(key_w, (input_size, hidden_size), dtype)
    u = jax.random.uniform(key_u, (hidden_size,), dtype)
    return gr.Params({"w": w, "b": jnp.zeros(hidden_size, dtype)}, {"u": u})


INDRNN = gr.Cell(
    "indrnn",
    ("candidate",),
    indrnn_init,
    zero_like(lambda params: (params.recurrent["u"], params.recurrent["u"].size), gr.RNNState),
    lambda weights, xs: gr.linear.affine(weights, xs, 1),
    lambda weights, h: (h * jnp.broadcast_to(weights["u"], h.shape),),
    lambda x, h, carry: gr.RNNState(jax.nn.relu(x[0] + h[0])),
)


def heads_init(key, input_size, hidden_size, *, dtype=jnp.float32):
    """Two heads of half the units; U is [2, H / 2, 4 * H / 2]."""
    params = gr.lstm.init(key, input_size, hidden_size, dtype=dtype)
    return params._replace(recurrent=jax.random.normal(key, (2, hidden_size // 2, 2 * hidden_size), dtype) / 2)


HEADS = gr.Cell(
    "two heads",
    gr.lstm.gates,
    heads_init,
    zero_like(lambda params: (params.recurrent, 2 * params.recurrent.shape[1]), gr.LSTMState),
    gr.lstm.project,
    gr.PerHead(lambda w, h: gr.linear.split(gr.linear.product(h, w), 4)),
    gr.lstm.pointwise,
    gr.lstm.activations,
    keeps="forget",
)
STRANGERS = {cell.name: cell for cell in (MGU, COUPLED, PEEPHOLE, INDRNN, HEADS)}
each_stranger = pytest.mark.parametrize("cell", STRANGERS.values(), ids=STRANGERS)


# The same in NumPy, one step of float64 for one row.


def sigma(a):
    """Logistic."""
    return 1 / (1 + np.exp(-a))


def loop(cell, params, xs):
    """Outputs [T, H] of a cell above over xs [T, D], from its equations."""
    n, h, c = np, np.zeros(H), np.zeros(H)
    w, b = params.input["w"], params.input["b"]
    ys = []
    for x in xs:
        g = n.split(x @ w + b, len(cell.gates))
        if cell is MGU:
            u = n.split(params.recurrent["w"], 2, axis=1)
            f = sigma(g[0] + h @ u[0])
            h = (1 - f) * h + f * n.tanh(g[1] + f * (h @ u[1]))
        elif cell is INDRNN:
            h = n.maximum(g[0] + params.recurrent["u"] * h, 0)
        elif cell is COUPLED:
            u = n.split(params.recurrent["w"], 3, axis=1)
            f = sigma(g[0] + h @ u[0])
            c = f * c + (1 - f) * n.tanh(g[1] + h @ u[1])
            h = sigma(g[2] + h @ u[2]) * n.tanh(c)
        elif cell is PEEPHOLE:
            p, u = params.unit, n.split(params.recurrent["w"], 4, axis=1)
            i, f = sigma(g[0] + h @ u[0] + p["i"] * c), sigma(g[1] + h @ u[1] + p["f"] * c)
            c = f * c + i * n.tanh(g[2] + h @ u[2])
            h = sigma(g[3] + h @ u[3] + p["o"] * c) * n.tanh(c)
        else:
            whole = [n.zeros((H, H)) for _ in g]
            for head in range(2):
                units = slice(2 * head, 2 * head + 2)
                for gate, block in enumerate(n.split(params.recurrent[head], 4, axis=1)):
                    whole[gate][units, units] = block
            i, f, a, o = (gate + h @ u for gate, u in zip(g, whole, strict=True))
            c = sigma(f) * c + sigma(i) * n.tanh(a)
            h = sigma(o) * n.tanh(c)
        ys.append(h)
    return n.stack(ys)


@each_stranger
def test_a_strangers_cell_keeps_the_laws(cell):
    """Every law, at the least sizes and at others."""
    laws = ("fit", "affine", "elementwise", "keeps", "batch", "mask", "reset", "gradient")
    assert gr.check_cell(cell) == laws
    assert gr.check_cell(cell, input_size=1, hidden_size=6) == laws


@each_stranger
def test_a_strangers_cell_computes_its_equations(cell):
    """Against the loop above; the gradient of every weight against differences of the loop."""
    with jax.enable_x64(True):
        params = cell.init(jax.random.key(1), D, H, dtype=jnp.float64)
        xs = jax.random.normal(jax.random.key(2), (T, D), jnp.float64)
        plain, rows = jax.tree.map(np.array, params), np.asarray(xs)
        ys = gr.unroll(cell, params, xs)[1]
        assert_close(ys, loop(cell, plain, rows), "float64", LENGTH)
        got = jax.grad(lambda params: jnp.sum(jnp.sin(gr.unroll(cell, params, xs)[1])))(params)
    for path, leaf in jax.tree.leaves_with_path(plain):
        want = np.zeros_like(leaf)
        for place in np.ndindex(leaf.shape):
            moved = []
            for step in (1e-6, -1e-6):
                leaf[place] += step
                moved.append(np.sin(loop(cell, plain, rows)).sum())
                leaf[place] -= step
            want[place] = (moved[0] - moved[1]) / 2e-6
        found = {jax.tree_util.keystr(p): a for p, a in jax.tree.leaves_with_path(got)}
        np.testing.assert_allclose(found[jax.tree_util.keystr(path)], want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "kind", "shape"),
    [(gr.lstm, "dense", (H, H)), (INDRNN, "diagonal", (H,)), (HEADS, "block-diagonal", (2, H // 2, H // 2))],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_method_can_ask_for_u(cell, kind, shape):
    """Which kind it is, and U itself; its transpose is that of the tangent map."""
    params = cell.init(jax.random.key(0), D, H)
    h, *dgates = jax.random.normal(jax.random.key(1), (1 + len(cell.gates), B, H))
    found = gr.recurrence(cell, params, h)
    assert (found.kind, found.u[0].shape, len(found.u)) == (kind, shape, len(cell.gates))
    _, pull = jax.vjp(lambda h: tuple(cell.recur(params.recurrent, h)), h)
    assert_close(found.transposed(dgates), pull(tuple(dgates))[0], "float32", H)


def test_what_a_gate_reads_is_what_pointwise_reads():
    """The gates' values of the peephole cell, of which the output gate looks at the new cell state."""
    params = PEEPHOLE.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, D))
    gates = gr.gate_activations(PEEPHOLE, params, xs)
    state = gr.LSTMState(jnp.zeros(H), jnp.zeros(H))
    for t, x in enumerate(xs):
        c = gates.forget[t] * state.c + gates.input[t] * gates.candidate[t]
        want = gr.LSTMState(gates.output[t] * jnp.tanh(c), c)
        state, _ = PEEPHOLE.step(params, state, x)
        assert_close(state, want, "float32", LENGTH)


# Cells that break a law.


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


@pytest.mark.parametrize(("law", "cell"), BROKEN.values(), ids=BROKEN)
def test_a_broken_law_is_refused_when_the_cell_is_first_used(law, cell):
    """By `Segmented` and by `check_cell`, each in one sentence that names the law; `Autodiff` needs none of them."""
    params = cell.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    with pytest.raises(ValueError, match=rf"`cell` must be one whose .* is {law}.*Autodiff\(\)"):
        gr.unroll(cell, params, xs)
    with pytest.raises(ValueError, match=rf"'?gru'?, which breaks \d of them: .*{law}: "):
        gr.check_cell(cell)


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


def weights(cell, **sizes):
    """Of a cell of the house, D = 3 and H = 4 unless said otherwise."""
    return cell.init(jax.random.key(0), sizes.get("D", D), sizes.get("H", H))


def with_bias(params, bias):
    """Other biases."""
    return params._replace(input={**params.input, "b": bias})


def with_unit(params, unit):
    """Other weights per unit."""
    return params._replace(unit=unit)


NOTHING = gr.Params({"w": jnp.ones((D, 0)), "b": jnp.ones(0)}, {"w": jnp.ones((0, 0))})
SHORT = with_unit(PEEPHOLE.init(jax.random.key(0), D, H), {name: jnp.ones(2) for name in "ifo"})
FEWER = dataclasses.replace(gr.gru, recur=lambda w, h: gr.gru.recur(w, h)[:2])
MORE = dataclasses.replace(gr.rnn, recur=lambda w, h: 2 * gr.rnn.recur(w, h))
MISFITS = {
    "a gate too few": (FEWER, weights(gr.gru), "`project` gives 3 gates and `recur` 2"),
    "a gate too many": (MORE, weights(gr.rnn), "`project` gives 1 gates and `recur` 2"),
    "gru in lstm": (gr.lstm, weights(gr.gru), r"recurrent.w float32\[4, 16\]; got .*recurrent.w float32\[4, 12\]"),
    "lstm in gru": (gr.gru, weights(gr.lstm), r"input.b float32\[12\].*; got input.b float32\[16\]"),
    "lstm in rnn": (gr.rnn, weights(gr.lstm), r"recurrent.w float32\[4, 4\]; got .*recurrent.w float32\[4, 16\]"),
    "rnn in lstm": (gr.lstm, weights(gr.rnn), r"recurrent.w float32\[4, 16\]; got .*recurrent.w float32\[4, 4\]"),
    "a bias of size 1": (gr.lstm, with_bias(weights(gr.lstm), jnp.ones(1)), r"input.b float32\[16\].*float32\[1\]"),
    "a bias of a matrix": (gr.rnn, with_bias(weights(gr.rnn), jnp.ones((1, 4))), r"float32\[4\].*float32\[1, 4\]"),
    "a dict": (gr.lstm, weights(gr.lstm)._asdict(), "gatedrnn.Params, the weights of the cell 'lstm'; got a dict"),
    "a pair": (gr.lstm, tuple(weights(gr.lstm))[:2], "gatedrnn.Params, .*; got a tuple"),
    "a number": (gr.rnn, with_bias(weights(gr.rnn), 1.0), r"`params.input\['b'\]` must be an array; got a float"),
    "no units": (gr.rnn, NOTHING, "at least one hidden unit"),
    "no weights": (gr.gru, weights(gr.gru)._replace(recurrent={}), "recurrent.b .*recurrent.w .*; got input.b"),
    "peepholes of another size": (PEEPHOLE, SHORT, r"unit.f float32\[4\].*unit.f float32\[2\]"),
    "peepholes of a cell without": (gr.lstm, with_unit(weights(gr.lstm), jnp.ones(H)), "`step` stops at TypeError"),
}  # fmt: skip


@pytest.mark.parametrize(("cell", "params", "message"), MISFITS.values(), ids=MISFITS)
@pytest.mark.parametrize("method", [gr.Segmented(), gr.Autodiff()], ids=["segmented", "autodiff"])
def test_weights_that_are_not_the_cells(cell, params, message, method):
    """One sentence that names `params`, what was expected and what came; so do the analyses."""
    for use in (lambda *given: gr.unroll(*given, method=method), gr.flow.adjoint, gr.gate_activations):
        with pytest.raises(ValueError, match=message) as caught:
            use(cell, params, jnp.ones((T, B, D)))
        assert str(caught.value).startswith("`params")
        assert "\n" not in str(caught.value)


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


# A method that a stranger brings.


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Loop:
    """A plain loop over the steps, unrolled by Python."""

    def __call__(self, cell, params, sequence, outputs):
        """Step by step, in the sequence's direction."""
        step = gr.guarded_step(cell, params, sequence.initial)
        times = range(sequence.xs.shape[0])
        carry, ys = sequence.carry, {}
        for t in reversed(times) if sequence.reverse else times:
            flags = (None if flag is None else flag[t] for flag in (sequence.mask, sequence.reset))
            carry, ys[t] = step(carry, (sequence.xs[t], *flags))
        if not ys:
            return carry, outputs.of(sequence, jnp.zeros((0, *carry.h.shape)))
        return carry, outputs.of(sequence, jnp.stack([ys[t] for t in times]))


METHOD_LAWS = ("values", "gradients", "last", "readout", "mask", "reset", "direction", "empty")
METHODS = {
    "loop": Loop(),
    "loop in checkpoints": gr.Checkpointed(3, Loop()),
    "segmented": gr.Segmented(),
    "segments of 2": gr.Segmented(2),
    "checkpointed": gr.Checkpointed(2),
    "nested": gr.Checkpointed(4, gr.Checkpointed(2, gr.Autodiff())),
    "sharded": gr.Sharded(jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",)), method=Loop()),
    "a window over all": gr.Truncated(100),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_keeps_the_laws(method):
    """Also on strangers' cells."""
    assert gr.check_method(method) == METHOD_LAWS
    assert gr.check_method(method, cells=[PEEPHOLE, HEADS]) == METHOD_LAWS


@dataclasses.dataclass(frozen=True)
class Lazy(Loop):
    """Breaks laws: ignores the direction, and reads masked steps."""

    def __call__(self, cell, params, sequence, outputs):
        """The loop over a sequence without flags."""
        plain = dataclasses.replace(sequence, mask=None, reverse=False)
        return super().__call__(cell, params, plain, outputs)


jax.tree_util.register_static(Lazy)


def test_check_method_says_which_law_fails():
    """A method that forgets flags and direction; one whose gradients are others; one that is none."""
    with pytest.raises(ValueError, match="values: .*; mask: .*; direction: "):
        gr.check_method(Lazy())
    with pytest.raises(ValueError, match=r"Truncated\(window=2.* breaks 1 of them: gradients: "):
        gr.check_method(gr.Truncated(2))
    for wrong in ("segmented", gr.Segmented, {}):
        with pytest.raises(ValueError, match="`method` must be "):
            gr.check_method(wrong)


# What else a stranger's cell is used for.


def test_a_strangers_cell_is_trained_saved_and_compared(tmp_path):
    """Without a line of the library being changed."""
    setup = gr.train.Setup(gr.tasks.adding, MGU, horizon=8, hidden_size=5, batch=2)
    fitted = gr.train.fit(setup, steps=2, test_every=1, folder=tmp_path / "run")
    gr.models.save(tmp_path, setup.model, fitted.params(), {"task": "adding"})
    loaded = gr.load(tmp_path, cells=[MGU])
    assert loaded.model == setup.model
    jax.tree.map(np.testing.assert_array_equal, loaded.params, fitted.params())
    noise = jax.random.normal(jax.random.key(0), (50, 1, 2))
    found = gr.flow.compare([MGU, gr.lstm], noise, hidden_size=4, seeds=1)
    assert {run.cell for run in found.runs} == {"mgu", "lstm"}
    assert {each.gate for each in found.gate_maps} == {"1 - forget", "forget"}
    assert any(re.search("mgu.*no option of its `init`", note) for note in found.notes)
