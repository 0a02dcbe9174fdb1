"""How flax runs a cell of its own: for `wrap_linen` and `wrap_nnx`."""

from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from jax import Array

from gatedrnn._forms import Carry


@dataclass(frozen=True)
class Linen:
    """How linen runs a cell."""

    module: Any
    input_size: int

    def step(self, held: Any, carry: Carry, x: Array) -> tuple[Carry, Array]:
        return self.module.apply(held, carry, x)

    def first(self, held: Any, batch: tuple[int, ...]) -> Carry:
        return self.module.apply(held, jax.random.key(0), (*batch, self.input_size), method="initialize_carry")


@dataclass(frozen=True)
class Nnx:
    """How nnx does."""

    structure: Any
    input_size: int

    def step(self, held: Any, carry: Carry, x: Array) -> tuple[Carry, Array]:
        return nnx.merge(self.structure, held)(carry, x)

    def first(self, held: Any, batch: tuple[int, ...]) -> Carry:
        return nnx.merge(self.structure, held).initialize_carry((*batch, self.input_size), rngs=nnx.Rngs(0))
