"""What a command prints is whole, however wide the terminal says that it is."""

from rich.console import Console, RenderableType
from rich.measure import Measurement

NARROWEST = 40  # letters in a line of text


def show(found: RenderableType, wraps: bool = False) -> None:
    """Prints text in the lines of the terminal, and a table in lines as long as it needs, or wrapped in those too."""
    endless = Console(width=10_000)
    needed = NARROWEST if wraps or isinstance(found, str) else Measurement.get(endless, endless.options, found).maximum
    console = Console(emoji=False, markup=False, highlight=False)
    console.width = max(console.width, needed)
    console.print(found)
