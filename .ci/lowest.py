"""Prints pip constraints that hold every declared dependency, and those of the extra `test`, at its lower bound."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text())["project"]


def lowest(requirements: list[str]) -> Iterator[str]:
    """One `name==version` for each `name>=version`; the project's own name stands for some of its extras."""
    for requirement in requirements:
        own = re.fullmatch(rf"{PROJECT['name']}\[(.+)\]", requirement)
        if own:
            for extra in own[1].split(","):
                yield from lowest(PROJECT["optional-dependencies"][extra.strip()])
        else:
            name, bound = requirement.split(">=")  # whatever else is declared has no lower bound: an error
            yield f"{name}=={bound}"


print(*lowest(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]), sep="\n")
