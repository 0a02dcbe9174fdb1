"""Options that stand once, as fields of a dataclass: a command takes them from there and is handed an instance."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, get_args

import typer

from gatedrnn._check import check_size, fail
from gatedrnn.cli._options import number, whole

KINDS: dict[Any, dict[str, Any]] = {
    int: {"parser": whole, "metavar": "N"},
    float: {"parser": number, "metavar": "X"},
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
    make: Callable[..., Any] = typer.Option,
    **how: Any,
) -> Any:
    """A field that is an option.

    Args:
        default: where it is left out.
        text: its help.
        name: where it is not the field's.
        check: called with the option's name and a value other than None; raises ValueError for what is refused.
        only: the one task that it is for.
        make: `typer.Option` or `typer.Argument`.
        how: arguments of `make` that do not follow from the field's type.
    """
    about = {"name": name, "check": check, "only": only, "make": functools.partial(make, help=text), "how": how}
    return dataclasses.field(default=default, metadata=about)


def size(least: int = 1, most: float = math.inf) -> Check:
    """Refuses what is no whole number from `least` to `most`."""

    def check(name: str, value: Any) -> None:
        if check_size(name, value, least) > most:
            raise fail(name, f"at most {most:,}", f"{value:,}")

    return check


def one_of(known: Collection[str]) -> Check:
    """Refuses other words."""

    def check(name: str, value: Any) -> None:
        if value not in known:
            raise fail(name, f"one of {', '.join(known)}", repr(value) if value else "nothing")

    return check


def spread(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of the dataclasses among its parameters, but for those left out."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()]
        groups = {
            each.name: [field for field in dataclasses.fields(each.annotation) if field.name not in left_out]
            for each in own
            if dataclasses.is_dataclass(each.annotation)
        }

        @functools.wraps(command)
        def run(**given: Any) -> None:
            for name, fields in groups.items():
                found = {field.name: given.pop(_name(field)) for field in fields}
                given[name] = signature.parameters[name].annotation(**found)
            command(**given)

        parameters = [
            new for each in own for new in (map(_parameter, groups[each.name]) if each.name in groups else [each])
        ]
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
        name, value, only = _name(field).replace("_", "-"), getattr(group, field.name), field.metadata["only"]
        if field.metadata["check"] is not None and value is not None:
            field.metadata["check"](name, value)
        if only not in (None, task) and field.name in given:
            raise fail(name, f"left out: it is for the task {only!r}, not for {task!r}", value)


def restored(group: type[Any], record: Any) -> Any:
    """The instance of which `dataclasses.asdict` made a record.

    Raises:
        ValueError: the record has other fields, or a word is none of its field's.
        TypeError: a value is not of its field's type, as it cannot be on the command line.
    """
    fields = dataclasses.fields(group)
    if not isinstance(record, dict) or set(record) != {field.name for field in fields}:
        raise ValueError("other settings than those of a training")
    return group(**{field.name: _of_its_type(field, record[field.name]) for field in fields})


def _of_its_type(field: Field, value: Any) -> Any:
    kinds = _kinds(field)
    if isinstance(value, str) and issubclass(kinds[0], Enum):
        return kinds[0](value)
    if isinstance(value, bool) or not isinstance(value, (*kinds, int) if float in kinds else kinds):
        raise TypeError(f"`{field.name}` must be {' or '.join(kind.__name__ for kind in kinds)}; got {value!r}")
    return value


def _kinds(field: Field) -> tuple[Any, ...]:
    """The types of a field: `int | None` is two."""
    return get_args(field.type) or (field.type,)


def _name(field: Field) -> str:
    return field.metadata["name"] or field.name


def _parameter(field: Field) -> inspect.Parameter:
    """What typer reads an option from."""
    about = field.metadata
    default = about["make"](field.default, **{**KINDS.get(_kinds(field)[0], {}), **about["how"]})
    return inspect.Parameter(_name(field), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.type)
