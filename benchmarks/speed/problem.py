"""The problems: a cell at a size, on inputs drawn from one key; and how a command line names one."""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import Array

import gatedrnn as gr
from benchmarks.shared import Row
from gatedrnn.cells import CLASSICS


class Size(NamedTuple):
    """B D H T."""

    batch: int
    width: int
    hidden: int
    steps: int

    def __str__(self) -> str:
        return " ".join(map(str, self))


class Problem(NamedTuple):
    """What every system gets.

    Attributes:
        params: the weights of a cell.
        xs: [T, B, D].
        carry: the first one, [B, H] each.
    """

    params: gr.Params
    xs: Array
    carry: Any


def problem(cell: gr.Cell, size: Size) -> Problem:
    """Weights as the cell draws them, normal inputs, the cell's first carry."""
    key_params, key_xs = jax.random.split(jax.random.key(0))
    params = cell.init(key_params, size.width, size.hidden)
    xs = jax.random.normal(key_xs, (size.steps, size.batch, size.width))
    return Problem(params, xs, cell.initial_carry(params, size.batch))


def place(name: str, cell: str, size: Size) -> Row:
    """What every row begins with."""
    return {"system": name, "cell": cell} | dict(zip("BDHT", size, strict=True))


def add_problem(parser: argparse.ArgumentParser) -> None:
    """The arguments CELL B D H T, all of which may be left out."""
    parser.add_argument("cell", nargs="?", choices=list(CLASSICS))
    parser.add_argument("size", nargs="*", type=int, metavar="B D H T")


def asked_for(parser: argparse.ArgumentParser, cell: str | None, size: Sequence[int]) -> tuple[gr.Cell, Size]:
    """What those arguments say; ends the program in a sentence where they do not name a problem."""
    if cell is None or len(size) != 4 or min(size) < 1:
        told = " ".join(map(str, [cell, *size] if cell else size)) or "nothing"
        parser.error(f"a cell and four sizes B D H T of at least 1 are wanted; got {told}")
    return CLASSICS[cell], Size(*size)
