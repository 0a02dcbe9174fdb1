"""Handwritten digits, pixel by pixel: which digit was it?

Real images of 8 x 8 pixels (E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", 1998,
https://doi.org/10.24432/C50P49), which ship with scikit-learn, read row by row: the small form of sequential MNIST (Le,
Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015,
https://arxiv.org/abs/1504.00941).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn.tasks._draw import asked_at_end, whole
from gatedrnn.tasks._task import Batch, Constant, Task, one_less

PIXELS = 64
HELD_OUT = 5  # every fifth image


class Images(NamedTuple):
    """Pixels and labels.

    Attributes:
        pixels: float32 [N, 64], 0 to 1, in the order in which they are read.
        labels: int32 [N].
    """

    pixels: Array
    labels: Array


def digits(permuted: bool = False) -> Task:
    """The task; with more than 64 steps each pixel is shown several times.

    Args:
        permuted: read the pixels in one fixed random order instead, which leaves no short dependencies.

    Returns:
        A task whose held-out data is every fifth image, 360 of 1,797.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("The digits need scikit-learn, which is not installed: pip install scikit-learn.") from None
    found = load_digits()
    pixels, labels = (found.data / 16).astype(np.float32), found.target.astype(np.int32)
    if permuted:
        pixels = pixels[:, np.random.default_rng(0).permutation(PIXELS)]
    kept = np.arange(len(labels)) % HELD_OUT == 0
    shares = np.bincount(labels[~kept]) / (~kept).sum()
    return Task(
        name="permuted-digits" if permuted else "digits",
        sample=_sample,
        chance=Constant(float(-(shares * np.log(shares)).sum())),
        memory=one_less,
        input_size=1,
        output_size=10,
        shortest=PIXELS,
        data=Images(jnp.asarray(pixels[~kept]), jnp.asarray(labels[~kept])),
        held_out_data=Images(jnp.asarray(pixels[kept]), jnp.asarray(labels[kept])),
    )


def _sample(key: Array, batch: int, steps: int, images: Any) -> Batch:
    chosen = whole(key, batch, 0, images.labels.size)  # [B]
    read = jnp.arange(steps) * PIXELS // steps  # [T]: the pixel shown at each step
    return asked_at_end(images.pixels[chosen].T[read][..., None], images.labels[chosen])
