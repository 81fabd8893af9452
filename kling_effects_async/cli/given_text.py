"""What may be given as text or as a file's name; anything else is a usage error.

Checked while the command line is read, before anything is looked at or sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import rich_click as click

__all__ = ["Check", "Number", "file_name", "file_names", "text"]

Check: TypeAlias = Callable[[click.Context, click.Parameter, str | None], str | None]


def text(what: str) -> Check:
    """A check for words that go to the service or into the journal.

    Args:
        what: what the words are, such as "id".

    Raises:
        BadParameter: they are empty, as an unset variable of a script is, or no UTF-8.
    """

    def check(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
        if given is not None and not given.strip():
            raise click.BadParameter(f"the {what} is empty.")
        if given is not None and not _is_unicode(given):
            raise click.BadParameter(f"the {what} is no text: it has bytes that are not UTF-8.")
        return given

    return check


def file_name(what: str) -> Check:
    """A check for the name of a file or folder, which need not be text in any encoding.

    Raises:
        BadParameter: it is empty, or has a NUL, which no file system takes.
    """

    def check(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
        if given == "":
            raise click.BadParameter(f"the name of the {what} is empty.")
        if given is not None and "\0" in given:
            raise click.BadParameter(f"the name of the {what} has a NUL in it.")
        return given

    return check


def file_names(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """The same check for each of several images."""
    for name in given:
        file_name("image")(context, option, name)
    return given


class Number(click.FloatRange):
    """A number in a range; "nan", which compares with nothing, is in none.

    Args:
        may_be_infinite: "inf" is taken too.
    """

    def __init__(
        self, *, min: float, min_open: bool = False, may_be_infinite: bool = False
    ) -> None:
        super().__init__(min=min, min_open=min_open)
        self._may_be_infinite = may_be_infinite

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number) or (math.isinf(number) and not self._may_be_infinite):
            self.fail(f"{value} is no number that can be used here.", param, ctx)
        return number


def _is_unicode(given: str) -> bool:
    try:
        given.encode("utf-8")
    except UnicodeEncodeError:  # half a pair of UTF-16, or a byte that Python could not decode
        return False
    return True
