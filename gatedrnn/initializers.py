"""Starting values: orthogonal or Gaussian weights, and gate biases that set a time scale.

orthogonal(gain)      gain * Q, Q^T Q = I              the recurrence neither shrinks nor stretches
identity(scale)       scale * I                        each unit keeps itself
gaussian(gain)        N(0, gain^2 / fan_in)
chrono(T_max)         log U(1, T_max - 1)              gate time scales uniform up to T_max steps
writable(n, T)        -b (1 - x . d)                   n units that one direction writes and that keep it, for each
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._check import LARGEST, check_array, check_callable, check_floating, check_number, check_size, fail, shown
from gatedrnn._forms import Params
from gatedrnn._jax import concrete
from gatedrnn._writable import Writable as Writable, writable as writable
from gatedrnn.linear import accumulation_dtype

Initializer = Callable[..., Array]
"""`(key, shape, dtype) -> array`, as in `jax.nn.initializers`, whose values serve here too."""

LARGEST_GAIN = 1e18  # its square is a float32


def orthogonal(gain: float = 1.0) -> Initializer:
    """A matrix `gain * Q` with orthonormal rows or columns.

    A recurrence that starts from it keeps the norm of its gradient (gain 1) as long as its units stay linear.

    Args:
        gain: the common singular value.

    Returns:
        An initializer `(key, shape [N, M], dtype) -> [N, M]`.

    Raises:
        ValueError: `gain` is no finite number.

    References:
        Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks", 2014, https://arxiv.org/abs/1312.6120
    """
    return _drawn_wide(jax.nn.initializers.orthogonal(check_number("gain", gain)))


def gaussian(gain: float = 1.0) -> Initializer:
    """Independent normal entries of variance `gain^2 / fan_in`; its spectral radius tends to `gain`.

    Args:
        gain: ratio of output to input standard deviation. `gaussian(1)` is LeCun's normal initialisation.

    Returns:
        An initializer `(key, shape [fan_in, M], dtype) -> [fan_in, M]`.

    Raises:
        ValueError: `gain` is no finite number from 0 to 1e18.
    """
    variance = check_number("gain", gain, least=0, most=LARGEST_GAIN) ** 2
    return _drawn_wide(jax.nn.initializers.variance_scaling(variance, "fan_in", "normal"))


def identity(scale: float = 1.0) -> Initializer:
    """The matrix `scale * I`: nothing is drawn, and equal keys or not, all matrices are equal.

    Args:
        scale: of what a unit gives to itself; below 1 it forgets.

    Returns:
        An initializer `(key, shape [N, M], dtype) -> [N, M]`.

    Raises:
        ValueError: `scale` is no finite number.

    References:
        Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015,
        https://arxiv.org/abs/1504.00941
    """
    scale = check_number("scale", scale)

    def draw(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        rows, columns = shape
        return scale * jnp.eye(rows, columns, dtype=accumulation_dtype(dtype))

    return _drawn_wide(draw)


def _drawn_wide(initializer: Initializer) -> Initializer:
    """Draws in float32 or wider, then rounds: QR has no 16-bit form, and equal keys give equal draws."""

    def draw(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return initializer(key, shape, accumulation_dtype(dtype)).astype(dtype)

    return draw


def chrono(t_max: float) -> Initializer:
    """Biases whose gates, at rest, have time scales uniform between 1 and `t_max` steps: log U(1, t_max - 1).

    Args:
        t_max: the longest dependency expected, in steps; above 2.

    Returns:
        An initializer `(key, shape, dtype) -> shape`.

    Raises:
        ValueError: `t_max` is not above 2, or beyond float32.

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188
    """
    t_max = check_number("chrono", t_max, above=2, most=float(jnp.finfo(jnp.float32).max))

    def draw(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        wide = accumulation_dtype(dtype)
        return jnp.log(jax.random.uniform(key, shape, wide, 1.0, t_max - 1.0)).astype(dtype)

    return _drawn_wide(draw)


def gate_weights(
    key: Array,
    gates: int,
    input_size: int,
    hidden_size: int,
    *,
    input_init: Initializer,
    recurrent_init: Initializer,
    dtype: DTypeLike,
) -> Params:
    """Draws an independent block per gate and sets them side by side, so that an orthogonal block stays orthogonal.

    Returns:
        `Params` with `w [D, G * H]`, `b [G * H]` (zeros) for the input and `w [H, G * H]` for the recurrence.

    Raises:
        ValueError: a size is not a whole number of at least 1, or `dtype` is not a floating type.
    """
    key_input, key_recurrent = jax.random.split(key)
    w = gate_blocks("input_init", input_init, key_input, gates, input_size, hidden_size, dtype)
    u = gate_blocks("recurrent_init", recurrent_init, key_recurrent, gates, hidden_size, hidden_size, dtype)
    return Params({"w": w, "b": jnp.zeros(gates * hidden_size, dtype)}, {"w": u})


def gate_blocks(
    argument: str,
    initializer: Initializer,
    key: Array,
    gates: int,
    input_size: int,
    hidden_size: int,
    dtype: DTypeLike,
) -> Array:
    """One of the two matrices of `gate_weights`, [input_size, G * H]; `argument` is what `init` calls its initializer.

    Raises:
        ValueError: as there.
    """
    input_size = check_size("input_size", input_size, most=LARGEST)
    hidden_size = check_size("hidden_size", hidden_size, most=LARGEST)
    check_floating("dtype", dtype)
    check_callable(argument, "a function (key, shape, dtype) -> array, such as orthogonal()", initializer, 3)
    keys = jax.random.split(key, gates)
    return jnp.concatenate([initializer(k, (input_size, hidden_size), dtype) for k in keys], axis=1)


def fill_bias(params: Params, gates: int, index: int, values: Any, argument: str = "bias") -> Params:
    """Sets the bias of gate `index` to `values [H]` (or one number); the other gates keep theirs.

    Raises:
        ValueError: `values` are no real numbers, of another shape, or not finite in the dtype of the weights; the
            message calls them `argument`.
    """
    b = params.input["b"].reshape(gates, -1)  # [G, H]
    expected = f"a finite number of {b.dtype.name}, or [H] = {b.shape[1:]} of them"
    array = check_array(argument, expected, values)
    real = jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)
    if not real or array.shape not in ((), b.shape[1:]):
        raise fail(argument, expected, shown(values))
    with np.errstate(over="ignore"):
        array = array.astype(b.dtype)
    if concrete(array) and not jnp.isfinite(array).all():
        raise fail(argument, expected, shown(values))
    b = b.at[index].set(array)
    return params._replace(input={**params.input, "b": b.ravel()})
