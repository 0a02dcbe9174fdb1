"""`jax.export` of unroll where the number of steps and rows is a symbol."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from tolerances import assert_close

import gatedrnn as gr

D, H, T, B = 3, 4, 11, 4
each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@each_cell
def test_export_with_symbols(cell):
    """T and B are symbols: one program, from a file, for any sequence; values and gradients by the default method."""
    params = cell.init(jax.random.key(0), D, H)
    steps, batch = export.symbolic_shape("T, B")
    like = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct(shape, dtype)
    flags = {"mask": like(steps, batch, dtype=bool), "reset": like(steps, batch, dtype=bool)}

    def run(params, xs, flags):
        loss = lambda params: jnp.sin(gr.unroll(cell, params, xs, **flags)[1]).sum()
        return gr.unroll(cell, params, xs, **flags), jax.grad(loss)(params)

    exported = export.export(jax.jit(run))(jax.tree.map(lambda a: like(*a.shape), params), like(steps, batch, D), flags)
    program = export.deserialize(exported.serialize())
    for t, b in ((1, 1), (7, 3), (150, 2)):
        rng = np.random.default_rng(t)
        given = (params, rng.normal(size=(t, b, D)).astype("float32"))
        drawn = {name: rng.random((t, b)) < 0.7 for name in flags}
        assert_close(program.call(*given, drawn), jax.jit(run)(*given, drawn), "float32", t * (D + H))


@pytest.mark.slow
def test_export_of_pieces_with_symbols():
    """What is run again is one piece; what cuts gradients at known steps is refused."""
    params, xs = gr.rnn.init(jax.random.key(0), D, H), jax.random.normal(jax.random.key(1), (T, B, D))
    steps, batch = export.symbolic_shape("T, B")
    last = lambda method: lambda xs: gr.unroll(gr.rnn, params, xs, method=method, outputs="last")[1].sum()
    write = lambda method: export.export(jax.jit(jax.grad(last(method))))(
        jax.ShapeDtypeStruct((steps, batch, D), xs.dtype)
    )
    assert_close(write(gr.Checkpointed()).call(xs), jax.grad(last(gr.Autodiff()))(xs), "float32", T * (D + H))
    with pytest.raises(ValueError, match="`xs` must be of a number of steps that is known, .*; got T = T"):
        write(gr.Truncated(4))
