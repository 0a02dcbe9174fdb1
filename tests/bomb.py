"""What tells that it was unpickled."""


class Bomb:
    """Unpickling it raises, loudly."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))
