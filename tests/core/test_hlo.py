"""The compiled gradient of Segmented: one product per step and direction, and a reverse loop that is linear."""

import jax
import jax.numpy as jnp
import pytest

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@pytest.fixture
def compiled(problem):
    """(cell, method, T, B, flagged, reverse) -> the text of the compiled gradient."""

    def text(cell, method, T=40, B=8, flagged=False, reverse=False):
        params, xs, carry, flags, _ = problem(cell, B=max(B, 3), D=8, H=32)
        like = lambda a: jax.ShapeDtypeStruct((T, B, *a.shape[2:]), a.dtype)
        xs, flags = jax.tree.map(like, (xs, flags if flagged else {}))
        carry = jax.tree.map(lambda a: a[:B], carry)

        def loss(params, xs, carry, flags):
            return jnp.sum(gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method)[1] ** 2)

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(params, xs, carry, flags).compile().as_text()

    return text


@each_cell
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("flagged", "reverse"), [(False, False), (True, True)], ids=["plain", "flagged in reverse"])
def test_one_product_per_step_and_a_linear_reverse_loop(cell, batch, flagged, reverse, innermost_loops, compiled):
    """Forward one product and the gates, backward one product alone; the LSTM's c is replayed without a product."""
    found = innermost_loops(compiled(cell, gr.Segmented(length=10), 40, batch, flagged, reverse))
    with_products = [loop for loop in found if loop[0]]
    assert [products for products, _ in with_products] == [1, 1]
    assert sorted(gates > 0 for _, gates in with_products) == [False, True]
    assert len(found) - len(with_products) == (cell.name == "lstm")


@each_cell
def test_autodiff_has_more_in_its_loops(cell, innermost_loops, compiled):
    """The reading of the program bites: Autodiff's reverse loop has the weights' product in it as well."""
    assert sorted(products for products, _ in innermost_loops(compiled(cell, gr.Autodiff())))[-1] > 1


@each_cell
def test_the_program_does_not_grow_with_the_sequence(cell, compiled):
    """As many operations for a million steps as for two thousand, so compilation takes as long."""
    few, many = (compiled(cell, gr.Segmented(), T=steps) for steps in (2_000, 1_000_000))
    assert many.count(" = ") == few.count(" = ")
