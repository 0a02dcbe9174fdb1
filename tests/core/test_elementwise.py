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


@pytest.mark.parametrize("function", [jax.nn.softmax, jax.nn.standardize, jnp.cumsum, jnp.sort, jnp.flip])
def test_of_what_mixes(function):
    """So that the list does not grow into one of everything."""
    assert first_mixing(function, jnp.full((2, 3), 0.5)) is not None
