"""Options that stand once: as the default of a command's parameter, or as a field of a dataclass that it takes."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from gatedrnn._check import check_size, fail
from gatedrnn.cli._options import number, path_of, whole

KINDS: dict[Any, dict[str, Any]] = {
    int: {"parser": whole, "metavar": "N"},
    float: {"parser": number, "metavar": "X"},
    Path: {"parser": path_of, "metavar": "DIR"},
}
Field = dataclasses.Field[Any]
Check = Callable[[str, Any], object]


def option(
    default: Any,
    text: str,
    *,
    name: str | None = None,
    check: Check | None = None,
    only: str | None = None,
    word: str | None = None,
    make: Callable[..., Any] = typer.Option,
    **how: Any,
) -> Any:
    """A field, or the default of a parameter, that is an option.

    Args:
        default: where it is left out.
        text: its help.
        name: where it is not the field's.
        check: called with the option's name and a value other than None; raises ValueError for what is refused.
        only: the one task that it is for.
        word: on the command line, where that is not the name.
        make: `typer.Option` or `typer.Argument`.
        how: arguments of `make` that do not follow from the type.
    """
    about = {"name": name, "check": check, "only": only, "word": word, "make": make, "how": {"help": text, **how}}
    return dataclasses.field(default=default, metadata=about)


def size(least: int = 1, most: float = math.inf, unit: str = "") -> Check:
    """Refuses what is no whole number from `least` to `most`."""

    def check(name: str, value: Any) -> None:
        if check_size(name, value, least) > most:
            raise fail(name, f"at most {most:,}{unit}", f"{value:,}")

    return check


def one_of(known: Collection[str]) -> Check:
    """Refuses other words."""

    def check(name: str, value: Any) -> None:
        if value not in known:
            raise fail(name, f"one of {', '.join(known)}", repr(value) if value else "nothing")

    return check


def with_options(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command its options, but for the fields left out; it is called with what they say, checked."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        groups = {
            name: {field.name: field for field in dataclasses.fields(each.annotation) if field.name not in left_out}
            for name, each in signature.parameters.items()
            if dataclasses.is_dataclass(each.annotation)
        }

        @functools.wraps(command)
        def run(**given: Any) -> None:
            for name, each in signature.parameters.items():
                if name in groups:
                    found = {key: given.pop(_name(field)) for key, field in groups[name].items()}
                    given[name] = each.annotation(**found)
                elif isinstance(each.default, dataclasses.Field):
                    _check(each.default, name, given[name])
            command(**given)

        parameters: list[inspect.Parameter] = []
        for name, each in signature.parameters.items():
            fields = groups.get(name, {})
            parameters += [_parameter(_name(field), field, field.type) for field in fields.values()]
            if isinstance(each.default, dataclasses.Field):
                parameters.append(_parameter(name, each.default, each.annotation))
            elif not fields:
                parameters.append(each.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        vars(run)["__signature__"] = signature.replace(parameters=parameters)
        return run

    return decorate


def typed(context: typer.Context) -> list[str]:
    """The options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def check_fields(group: Any, task: str, given: Collection[str]) -> None:
    """Raises ValueError for a value that its field refuses, and for a given option of another task."""
    for field in dataclasses.fields(group):
        name, value, only = _name(field), getattr(group, field.name), field.metadata["only"]
        _check(field, name, value)
        if only not in (None, task) and name in given:
            raise fail(name, f"left out: it is for the task {only!r}, not for {task!r}", value)


def restored(group: type[Any], record: Any) -> Any:
    """The instance of which `dataclasses.asdict` made a record.

    Raises:
        ValueError: the record has other fields, or a value is not of its field's type.
    """
    fields = dataclasses.fields(group)
    if not isinstance(record, dict) or set(record) != {field.name for field in fields}:
        raise ValueError("other settings than those of a training")
    for field in fields:
        value, kinds = record[field.name], get_args(field.type) or (field.type,)
        if get_origin(field.type) is Literal:
            one_of(kinds)(field.name, value)
        elif isinstance(value, bool) or not isinstance(value, (*kinds, int) if float in kinds else kinds):
            raise fail(field.name, " or ".join(kind.__name__ for kind in kinds), repr(value))
    return group(**record)


def _check(field: Field, name: str, value: Any) -> None:
    if field.metadata["check"] is not None and value is not None:
        field.metadata["check"](name.replace("_", "-"), value)


def _name(field: Field) -> str:
    return field.metadata["name"] or field.name


def _parameter(name: str, field: Field, kind: Any) -> inspect.Parameter:
    """What typer reads an option from."""
    how = {**KINDS.get((get_args(kind) or (kind,))[0], {}), **field.metadata["how"]}
    word = field.metadata["word"] or name
    words = [f"--{word}"] if kind is bool or word != name else []  # else typer adds `--no-...`
    default = field.metadata["make"](field.default, *words, **how)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
