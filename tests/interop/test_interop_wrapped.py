"""Wrapped modules, run as they are, agree with the converted ones and with a stranger's equations written out."""

import importlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H = 7, 2, 3, 5


class Wrapped(NamedTuple):
    """A cell converted, wrapped, and wrapped once more."""

    ours: tuple
    theirs: tuple
    again: tuple


def linen():
    nn, interop = pytest.importorskip("flax.linen"), importlib.import_module("gatedrnn.interop.flax")
    module, x = nn.GRUCell(H), jnp.ones((B, D))
    variables = module.init(jax.random.key(0), jnp.zeros((B, H)), x)
    wrap = lambda: interop.wrap_linen(module, variables, D)
    return Wrapped(interop.from_linen(module, variables), wrap(), wrap())


def nnx():
    nnx, interop = pytest.importorskip("flax.nnx"), importlib.import_module("gatedrnn.interop.flax")
    module = nnx.GRUCell(D, H, rngs=nnx.Rngs(0))
    wrap = lambda: interop.wrap_nnx(module, D)
    return Wrapped(interop.from_nnx(module), wrap(), wrap())


def haiku():
    hk, interop = pytest.importorskip("haiku"), importlib.import_module("gatedrnn.interop.haiku")
    make = lambda: hk.GRU(H)
    weights = hk.transform(lambda x: make()(x, jnp.zeros((B, H)))).init(jax.random.key(0), jnp.ones((B, D)))
    wrap = lambda: interop.wrap_haiku(make, weights)
    return Wrapped(interop.from_haiku(weights), wrap(), wrap())


def equinox():
    eqx, interop = pytest.importorskip("equinox"), importlib.import_module("gatedrnn.interop.equinox")
    module = eqx.nn.GRUCell(D, H, key=jax.random.key(0))
    wrap = lambda: interop.wrap_equinox(module, jnp.zeros(H))
    return Wrapped(interop.from_equinox(module), wrap(), wrap())


@pytest.mark.parametrize(
    "framework",
    [nnx, *(pytest.param(each, marks=pytest.mark.slow) for each in (linen, haiku, equinox))],
    ids=lambda framework: framework.__name__,
)
def test_agrees_with_the_converted_cell(framework, inputs):
    """Outputs with flags, gradients in xs, adjoint and exponents; wrapped twice, it is one cell."""
    made = framework()
    assert made.theirs[0] == made.again[0] and hash(made.theirs[0]) == hash(made.again[0])
    xs = jnp.float32(inputs)
    rng = np.random.default_rng(2)
    flags = {"mask": jnp.asarray(rng.random((T, B)) < 0.8), "reset": jnp.asarray(rng.random((T, B)) < 0.2)}

    def measured(cell, params):
        run = lambda xs: gr.unroll(cell, params, xs, **flags)[1]
        ys, pull = jax.vjp(run, xs)
        probe = jax.tree.map(jnp.ones_like, cell.initial_carry(params, B))  # of what y_t reads, the two know otherwise
        adjoint = gr.flow.adjoint(cell, params, xs, dcarry=probe).log10_norm["state"]
        return ys, pull(jnp.cos(ys)), adjoint, gr.flow.lyapunov(cell, params, xs, k=3)

    assert_close(measured(*made.theirs), measured(*made.ours), "float32", T * (D + H))
    ys = gr.unroll(*made.theirs, xs[:, 0])[1]
    assert_close(ys, gr.unroll(*made.ours, xs[:, 0])[1], "float32", T * (D + H))
    slope = jax.grad(lambda params: gr.unroll(made.theirs[0], params, xs)[1].sum())(made.theirs[1])
    assert jax.tree.structure(slope) == jax.tree.structure(made.theirs[1])
    assert all(np.any(leaf) for leaf in jax.tree.leaves(slope))
    with pytest.raises(ValueError, match=r"^The weights of a wrapped module are its own"):
        made.theirs[0].init(jax.random.key(0), D, H)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype("float64"), made.theirs[1])
        assert {a.dtype.name for a in jax.tree.leaves(made.theirs[0].initial_carry(wide, B))} == {"float64"}


@pytest.mark.slow
def test_formats(inputs):
    """A wrapped cell runs in float64, too: the gradient there is that of the converted one to the last digits."""
    made = nnx()
    audit, other = (gr.flow.precision_audit(*each, jnp.float32(inputs), dtypes=["float32"]) for each in made[:2])
    np.testing.assert_allclose(audit.log10_norm, other.log10_norm, atol=1e-12)
    assert 0 < audit.state["float32"].max() < 1e-6


def test_a_module_of_ones_own():
    """Two parts, an output that is neither, an array of whole numbers: h' = a h + x, c' = c + h', y = h' + 2 c'."""
    eqx, interop = pytest.importorskip("equinox"), importlib.import_module("gatedrnn.interop.equinox")

    class Sums(eqx.Module):
        a: jax.Array
        order: jax.Array
        function: object = eqx.field(static=True)

        def __call__(self, x, state):
            h = self.function(self.a * state["h"] + x[self.order])
            return {"c": state["c"] + h, "h": h}

    module = Sums(jnp.array([0.5, 2.0]), jnp.array([1, 0]), jnp.asarray)
    state = {"c": jnp.zeros(2), "h": jnp.ones(2)}
    cell, params = interop.wrap_equinox(module, state, output=lambda state: state["h"] + 2 * state["c"])
    xs = np.random.default_rng(0).normal(size=(4, 3, 2))
    c, h, want = np.zeros((3, 2)), np.ones((3, 2)), []
    for x in xs:
        h = np.array([0.5, 2.0]) * h + x[:, ::-1]
        c = c + h
        want.append(h + 2 * c)
    end, ys = gr.unroll(cell, params, jnp.float32(xs))
    assert_close((ys, end), (jnp.float32(want), {"c": jnp.float32(c), "h": jnp.float32(h)}), "float32", 8)
    exponents = gr.flow.lyapunov(cell, params, jnp.float32(xs), k=4)
    np.testing.assert_allclose(exponents.sum(-1), np.log(0.5 * 2.0), atol=1e-5)
    assert len(jax.tree.leaves(params)) == 1


def test_refusals():
    """What is no cell, or has no weights."""
    interop = importlib.import_module("gatedrnn.interop.flax")
    equinox = importlib.import_module("gatedrnn.interop.equinox")
    nnx = importlib.import_module("flax.nnx")
    for wrap in (interop.wrap_linen, lambda module, _, size: interop.wrap_nnx(module, size)):
        with pytest.raises(ValueError, match=r"^`module` must be an nnx?\.RNNCellBase"):
            wrap(object(), {}, 3)
    with pytest.raises(ValueError, match=r"^`input_size` must be "):
        interop.wrap_nnx(nnx.GRUCell(D, H, rngs=nnx.Rngs(0)), 0)
    with pytest.raises(ValueError, match=r"^`module` must be one with weights"):
        equinox.wrap_equinox(equinox.eqx.nn.Identity(), jnp.zeros(2))
