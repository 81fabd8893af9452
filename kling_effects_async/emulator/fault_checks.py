"""What the parts of a fault may be: a mistake shows when it is scripted, not when it hits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from attrs import Attribute

__all__ = ["are_headers", "check_arguments", "is_cut", "is_seconds", "is_whole", "made_by_name"]

T = TypeVar("T")

# Source: RFC 9110, section 5.6.2: what the name of a header is made of.
_HEADER_LETTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
)


def are_headers(_canned: object, _attribute: Attribute[Any], headers: object) -> None:
    if not isinstance(headers, Mapping):
        raise TypeError("headers must be a mapping of texts")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("headers must be a mapping of texts")
        if not name or not set(name) <= _HEADER_LETTERS or set(value) & set("\r\n\0"):
            raise ValueError(f"a header cannot be sent: {name!r}")


def is_whole(_fault: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {value!r}")


def is_seconds(_fault: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{attribute.name} must be seconds from 0 up, not {value!r}")


def is_cut(_fault: object, attribute: Attribute[Any], value: object) -> None:
    if value in (None, "before_reading", "after_reading"):
        return
    is_whole(_fault, attribute, value)
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{attribute.name} must be at least 0 bytes, not {value}")


def check_arguments(constructor: Any, arguments: Mapping[str, Any]) -> None:
    """Reject unknown names, and nulls where nothing stands for "none"."""
    given = inspect.signature(constructor)
    given.bind(**arguments)
    for name, value in arguments.items():
        if value is None and given.parameters[name].default is not None:
            raise ValueError(f"{name} must not be null")


def made_by_name(kind: type[T], constructors: Sequence[str], given: Mapping[str, Any]) -> T:
    """``{"fault": "late", "delay_s": 5}`` by the constructor of that name.

    Raises:
        ValueError: the name or an argument does not fit; the message lists what does.
    """
    name = given.get("fault")
    if name not in constructors:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(constructors)}")
    constructor = getattr(kind, str(name))
    arguments = {argument: value for argument, value in given.items() if argument != "fault"}
    try:
        check_arguments(constructor, arguments)
        made: T = constructor(**arguments)
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"fault {name!r}: {error}") from None
    return made
