"""Whatever JAX's own elementwise functions and their derivatives are made of in this version passes for elementwise."""

import jax
import jax.numpy as jnp
import pytest

from gatedrnn._elementwise import mixing

UNARY = {
    jnp: """abs arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh exp exp2 expm1 floor log log10 log1p
        log2 negative positive reciprocal round sign sin sinc sinh sqrt square tan tanh trunc""",
    jax.nn: """celu elu gelu hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid mish relu relu6 selu sigmoid silu
        soft_sign softplus sparse_plus sparse_sigmoid squareplus""",
    jax.scipy.special: "digamma erf erfc erfinv expit gammaln i0e i1e log_ndtr logit ndtr",
}
BINARY = "add arctan2 copysign divide hypot logaddexp maximum minimum mod multiply power subtract"
FUNCTIONS = [getattr(module, name) for module, names in UNARY.items() for name in names.split()]


def derived(function):
    """The values, and what `vjp` makes of ones."""

    def both(*arrays):
        out, pull = jax.vjp(function, *arrays)
        return out, pull(jnp.ones_like(out))

    return both


def first_mixing(function, *arrays):
    """The first primitive of a function that mixes elements, or None."""
    jaxpr = jax.make_jaxpr(function)(*arrays).jaxpr
    return mixing(jaxpr, jaxpr.invars)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_of_one_array(function):
    """A primitive that a new JAX puts in the place of an old one fails here by its name."""
    assert first_mixing(derived(function), jnp.full((2, 3), 0.5)) is None


@pytest.mark.parametrize("name", BINARY.split())
def test_of_two_arrays(name):
    """The same, of both arguments."""
    assert first_mixing(derived(getattr(jnp, name)), jnp.full((2, 3), 0.5), jnp.full((2, 3), 0.25)) is None


def halved(a):
    """A loop whose length does not depend on the data, and which differentiates."""
    return jax.lax.fori_loop(0, 3, lambda _, a: jnp.tanh(0.5 * a), a)


def remembered(a):
    """A loop that stacks what it went through; the sum over the stack is not of units."""
    return jax.lax.scan(lambda a, _: (jnp.sin(a), a), a, None, length=3)[0]


@pytest.mark.parametrize("function", [halved, remembered, jax.checkpoint(jnp.tanh), jax.jit(jnp.sin)])
def test_of_what_calls_others(function):
    """Loops over steps of their own, and what is computed again on the way back."""
    assert first_mixing(derived(function), jnp.full((2, 3), 0.5)) is None


def cumulated(a):
    """A loop over the first axis."""
    return jax.lax.scan(lambda total, row: (total + row, total + row), jnp.zeros(a.shape[1:]), a)[1]


def late(a):
    """What mixes is constant until the loop has run once."""
    return jax.lax.fori_loop(0, 3, lambda _, pair: (pair[0] + jnp.sum(pair[1]), pair[0]), (a, jnp.zeros_like(a)))[0]


def swapped(a):
    """A stack whose axes are exchanged."""
    stacked = jax.lax.scan(lambda a, _: (a, a), a, None, length=a.shape[0])[1]
    return jax.lax.scan(lambda c, row: (c, row.T @ row), 0.0, stacked)[1]


@pytest.mark.parametrize(
    "function",
    [
        *(jax.nn.softmax, jax.nn.standardize, jnp.cumsum, jnp.sort, jnp.flip),
        *(cumulated, late, swapped, jax.checkpoint(jax.nn.softmax), lambda a: jax.lax.map(jnp.cumsum, a)),
    ],
)
def test_of_what_mixes(function):
    """So that the list does not grow into one of everything."""
    assert first_mixing(function, jnp.full((2, 3), 0.5)) is not None
