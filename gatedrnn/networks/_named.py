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
LONGEST, DEEPEST, MOST = 1000, 8, 100  # characters; networks inside networks; layers of one


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
        return _made(ast.parse(name.strip(), mode="eval").body, cells)
    except (SyntaxError, TypeError, RecursionError, MemoryError, KeyError, UnicodeError) as error:
        raise fail(argument, expected, f"{shown(name)} ({type(error).__name__}: {error})") from None


def strangers(name: str, cells: Mapping[str, Cell]) -> list[str]:
    """The words of a network's name that may be cells, and are none of these."""
    try:
        tree = ast.parse(name.strip(), mode="eval")
    except (SyntaxError, RecursionError, MemoryError, UnicodeError):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    words = {layer.id for call in calls for layer in call.args if isinstance(layer, ast.Name)}
    return sorted(words - set(cells))


def _made(node: ast.expr, cells: Mapping[str, Cell], depth: int = 0) -> Cell:
    """What a name or a call stands for."""
    match node:
        case ast.Name(id=word) if word in cells:
            return cells[word]
        case ast.Name(id=word):
            raise SyntaxError(f"there is no cell {word:.60}")
        case ast.Call(func=ast.Name(id=maker), args=given, keywords=options) if maker in MAKERS and depth < DEEPEST:
            layers = [_made(each, cells, depth + 1) for each in given]
            read: dict[str, Any] = {}
            for option in options:
                word = option.arg or ""
                word, part = ("zoneout", word[8:]) if word.startswith("zoneout_") else (word, "")
                if word in read and not part:
                    raise SyntaxError(f"{word} stands there twice")
                value = _option(option.value)
                if part and not isinstance(read.setdefault(word, {}), dict):
                    raise SyntaxError(f"{word} stands there twice")
                if part:
                    read[word][part] = value
                else:
                    read[word] = value
            if len(layers) * int(read.get("layers", 1)) > MOST:
                raise SyntaxError(f"there are more than {MOST} layers")
            make: Any = MAKERS[maker]
            found: Cell = make(*layers, **read)
            return found
    raise SyntaxError(f"{ast.unparse(node):.60} is neither a cell nor a network")


def _option(node: ast.expr) -> Any:
    """A number, a norm, or a word."""
    match node:
        case ast.Name(id=word):
            return NORMS.get(word, word)
        case ast.Constant(value=bool() | int() | float() as value):
            return value
    raise SyntaxError(f"{ast.unparse(node):.60} is no option")
