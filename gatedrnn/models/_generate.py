"""Text from a model of symbols: each symbol is drawn from what the model expects after the last ones.

p(x_{t+1}) = softmax(y_t / temperature)
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._check import check_array, check_key, check_kind, check_size, fail
from gatedrnn._jax import concrete
from gatedrnn._sequence import check_causal
from gatedrnn.models._model import Model, ModelParams, read_out

MOST = float(np.finfo(np.float32).max)


def generate(
    model: Model,
    params: ModelParams,
    key: Array,
    prompt: Array,
    length: int,
    temperature: float | Array = 1.0,
    *,
    lengths: Array | None = None,
) -> Array:
    """Goes on from a prompt, or from each of several; under `jax.jit` and `jax.vmap`, values are taken as they come.

    Args:
        model: a model of symbols, with an embedding.
        params: its weights.
        key: a `jax.random.key`; equal keys give equal text. Of several prompts, number b goes on as alone under
            `jax.random.split(key, B)[b]`.
        prompt: whole numbers [P], at least one; or [B, P].
        length: symbols to add.
        temperature: below 1 for likelier symbols; 0 takes the likeliest. One for all prompts, or [B].
        lengths: of prompts [B, P] that are filled up behind, [B] whole numbers from 1 to P: number b is its first
            `lengths[b]` symbols. None where all have P.

    Returns:
        int32 [`length`]; or [B, `length`].

    Raises:
        ValueError: the model has no embedding, the prompt is empty or holds an unknown symbol, or a number is out of
            range.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> model = gr.models.Model(gr.gru, 4, 8, 4, embedding_size=3)
        >>> params, prompts = model.init(jax.random.key(0)), jnp.array([[1, 2], [3, 0]])
        >>> gr.models.generate(model, params, jax.random.key(1), prompts, 5, jnp.array([0.0, 1.0])).shape
        (2, 5)
    """
    check_kind("model", Model, model, "gatedrnn.load(path).model")
    check_kind("params", ModelParams, params, "gatedrnn.load(path).params")
    check_causal("model.cell", model.cell)
    check_key("key", key)
    if model.embedding_size is None or model.input_size != model.output_size:
        inputs = "features" if model.embedding_size is None else "symbols"
        got = f"{model.input_size} {inputs} and {model.output_size} outputs"
        raise fail("model", "one that predicts the next of its own symbols", got)
    length = check_size("length", length)
    prompt = check_array("prompt", "at least one symbol, whole numbers [P] or [B, P]", prompt)
    if prompt.ndim not in (1, 2) or not prompt.size or not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise fail("prompt", "at least one symbol, whole numbers [P] or [B, P]", f"{prompt.dtype} {prompt.shape}")
    if lengths is not None:
        lengths = _check_lengths(lengths, prompt)
        said = jnp.arange(prompt.shape[1])[None] < lengths[:, None]
        prompt = jnp.where(said, prompt, jnp.zeros_like(prompt))  # whatever stands behind a prompt
    if concrete(prompt):
        there = np.asarray(prompt)  # where 256 is no byte
        unknown = there[(there < 0) | (there >= model.input_size)]
        if unknown.size:
            raise fail("prompt", f"of symbols from 0 to {model.input_size - 1}", int(unknown[0]))
    _check_temperature(temperature, prompt.shape[:-1])
    temperature = jnp.asarray(temperature, jnp.float32)
    if prompt.ndim == 1:
        return _generate(model, length, params, key, prompt, temperature, None)
    keys, each = jax.random.split(key, len(prompt)), jnp.broadcast_to(temperature, len(prompt))
    axes = (0, 0, 0, None if lengths is None else 0)
    return jax.vmap(lambda *one: _generate(model, length, params, *one), axes)(keys, prompt, each, lengths)


def _check_lengths(lengths: Any, prompt: Array) -> Array:
    """The lengths of prompts [B, P], or ValueError."""
    expected = f"whole numbers [B] from 1 to P, for prompts [B, P] = {prompt.shape}"
    found = check_array("lengths", expected, lengths)
    if prompt.ndim != 2 or found.shape != prompt.shape[:1] or not jnp.issubdtype(found.dtype, jnp.integer):
        raise fail("lengths", expected, f"{found.dtype} {found.shape}")
    if concrete(found):
        outside = np.asarray(found)[(np.asarray(found) < 1) | (np.asarray(found) > prompt.shape[1])]
        if outside.size:
            raise fail("lengths", expected, int(outside[0]))
    return found


def _check_temperature(temperature: Any, rows: tuple[int, ...]) -> None:
    """Raises ValueError for other shapes than one number or one for each row, and for what float32 does not hold."""
    expected = "one number" + (f", or one for each of the {rows[0]} prompts" if rows else " for one prompt")
    found = check_array("temperature", expected, temperature)
    if found.shape not in ((), rows):
        raise fail("temperature", expected, f"the shape {found.shape}")
    if not jnp.issubdtype(found.dtype, jnp.number) or jnp.iscomplexobj(found):
        raise fail("temperature", expected, found.dtype)
    if concrete(temperature):
        for each in np.ravel(np.asarray(temperature, np.float64)):
            if not 0 <= each <= MOST:
                raise fail("temperature", f"a finite number of at least 0 and at most {MOST:.2g}", each)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _generate(
    model: Model,
    length: int,
    params: ModelParams,
    key: Array,
    prompt: Array,
    temperature: Array,
    said: Array | None,
) -> Array:
    mask = None if said is None else jnp.arange(prompt.size) < said  # [P]
    carry, logits = model(params, prompt, mask=mask)
    last = logits[-1] if said is None else logits[said - 1]

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
    _, symbols = lax.scan(step, (carry, draw(last, keys[0])), keys[1:])
    return symbols
