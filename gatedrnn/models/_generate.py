"""Text from a model of symbols: each symbol is drawn from what the model expects after the last ones.

p(x_{t+1}) = softmax(y_t / temperature)
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._check import check_size, fail
from gatedrnn._jax import concrete
from gatedrnn.models._model import Model, ModelParams, read_out


def generate(
    model: Model, params: ModelParams, key: Array, prompt: Array, length: int, temperature: float | Array = 1.0
) -> Array:
    """Goes on from a prompt; under `jax.jit` and `jax.vmap`, values are taken as they come.

    Args:
        model: a model of symbols, with an embedding.
        params: its weights.
        key: a `jax.random.key`; equal keys give equal text.
        prompt: whole numbers [P], at least one.
        length: symbols to add.
        temperature: below 1 for likelier symbols; 0 takes the likeliest.

    Returns:
        int32 [`length`].

    Raises:
        ValueError: the model has no embedding, the prompt is empty or holds an unknown symbol, or a number is out of
            range.
    """
    if model.embedding_size is None or model.input_size != model.output_size:
        inputs = "features" if model.embedding_size is None else "symbols"
        got = f"{model.input_size} {inputs} and {model.output_size} outputs"
        raise fail("model", "one that predicts the next of its own symbols", got)
    length = check_size("length", length)
    if concrete(temperature) and not 0 <= temperature < float("inf"):
        raise fail("temperature", "a finite number of at least 0", temperature)
    prompt = jnp.asarray(prompt)
    if prompt.ndim != 1 or not prompt.size or not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise fail("prompt", "at least one symbol, whole numbers [P]", f"{prompt.dtype} {prompt.shape}")
    if concrete(prompt):
        unknown = [symbol for symbol in prompt.tolist() if not 0 <= symbol < model.input_size]
        if unknown:
            raise fail("prompt", f"of symbols from 0 to {model.input_size - 1}", unknown[0])
    return _generate(model, length, params, key, prompt, jnp.asarray(temperature, jnp.float32))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _generate(model: Model, length: int, params: ModelParams, key: Array, prompt: Array, temperature: Array) -> Array:
    carry, logits = model(params, prompt)

    def draw(logits: Array, key: Array) -> Array:
        likeliest = jnp.argmax(logits)
        drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6).astype(logits.dtype))
        return jnp.where(temperature > 0, drawn, likeliest).astype(jnp.int32)

    def step(state: tuple[object, Array], key: Array) -> tuple[tuple[object, Array], Array]:
        carry, symbol = state
        x = model.features(params, symbol[None])[0]  # [D]
        carry, h = model.cell.step(params.cell, carry, x)
        return (carry, draw(read_out(params.readout, h), key)), symbol

    keys = jax.random.split(key, length + 1)
    _, symbols = lax.scan(step, (carry, draw(logits[-1], keys[0])), keys[1:])
    return symbols
