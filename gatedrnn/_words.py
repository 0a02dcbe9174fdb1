"""Numbers and sentences in words, wherever something is told."""


def counted(number: int, noun: str) -> str:
    """1 unit, 8 units."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def capital(text: str) -> str:
    """The same with a capital letter first."""
    return text[:1].upper() + text[1:]
