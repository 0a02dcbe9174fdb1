"""A network's name is the expression that makes it, such as `stack(lstm, lstm)`: files and commands read it back."""

import ast
from collections.abc import Mapping
from typing import Any

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn.networks.bidirectional import bidirectional
from gatedrnn.networks.learned import learned_carry
from gatedrnn.networks.normalised import normalised
from gatedrnn.networks.norms import NORMS
from gatedrnn.networks.projected import projected
from gatedrnn.networks.regularised import regularised
from gatedrnn.networks.stack import stack

MAKERS = {made.__name__: made for made in (stack, bidirectional, regularised, learned_carry, projected, normalised)}
LONGEST = 1000  # characters


def named(name: str, cells: Mapping[str, Cell], argument: str = "cell") -> Cell:
    """The cell of that name, or the network that the name makes of cells.

    Args:
        name: as `Cell.name`.
        cells: by name.
        argument: what the message calls it.

    Raises:
        ValueError: there is no such cell, the name is no such expression, or the network cannot be made.
    """
    if name in cells:
        return cells[name]
    expected = f"one of {', '.join(cells)}, or a network of them, such as stack(lstm, lstm) or bidirectional(gru)"
    if "(" not in name or len(name) > LONGEST:
        raise fail(argument, expected, shown(name))
    try:
        found = _made(ast.parse(name.strip(), mode="eval").body, cells)
    except (SyntaxError, TypeError, RecursionError, MemoryError, KeyError) as error:
        raise fail(argument, expected, f"{shown(name)} ({type(error).__name__}: {error})") from None
    if not isinstance(found, Cell):
        raise fail(argument, expected, shown(name))
    return found


def _made(node: ast.expr, cells: Mapping[str, Cell]) -> Any:
    """What a name, a number or a call stands for."""
    match node:
        case ast.Name(id=word):
            return cells.get(word, NORMS.get(word, word))
        case ast.Constant(value=bool() | int() | float() as value):
            return value
        case ast.Call(func=ast.Name(id=maker), args=given, keywords=options) if maker in MAKERS:
            read = {option.arg or "": _made(option.value, cells) for option in options}
            zoned = {word: read.pop(word) for word in list(read) if word.startswith("zoneout_")}
            if zoned:
                read["zoneout"] = {word.removeprefix("zoneout_"): rate for word, rate in zoned.items()}
            layers = [_made(each, cells) for each in given]
            for word in layers:
                if isinstance(word, str):
                    raise SyntaxError(f"there is no cell {word:.60}")
            make: Any = MAKERS[maker]
            return make(*layers, **read)
    raise SyntaxError(f"{ast.unparse(node):.60} is neither a cell nor a network")
