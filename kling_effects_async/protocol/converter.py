"""The cattrs converter of the wire: strict where cattrs would guess.

Left alone, cattrs turns null into ``'None'``, ``'false'`` into ``True`` and 1.9 into 1. Here a
member that decides something (a task's id, a video's address) has the right type or is an error;
one that only informs (a time, a price, a length, a video's id) becomes ``None`` when nobody can
read it, because an odd timestamp is no reason to lose a paid task.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from kling_effects_async.models import TaskStatus, Video
from kling_effects_async.protocol.statuses import status_of

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["converter", "explained", "moment"]

# Unix seconds stay below this until the year 5138; milliseconds passed it in 1973.
_FIRST_MILLISECONDS = 10**11


@cache
def converter() -> Converter:
    """The one converter, made (and cattrs loaded) at its first use."""
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override

    made = Converter()
    made.register_structure_hook(str, _text)
    made.register_structure_hook(str | None, _optional_text)
    made.register_structure_hook(TaskStatus, _status)
    made.register_structure_hook(datetime | None, lambda value, _type: moment(value))
    made.register_structure_hook(Decimal | None, _decimal)
    made.register_structure_hook(float | None, _seconds)
    # Last, because it takes up the hooks that it finds. `duration` is text on the wire: "5.041".
    video = make_dict_structure_fn(Video, made, duration_s=override(rename="duration"))
    made.register_structure_hook(Video, video)
    return made


def explained(error: ExceptionGroup[Exception]) -> list[str]:
    """What is wrong with each member, in words with the member's path."""
    from cattrs import transform_error

    return transform_error(error)


def _text(value: Any, _type: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id beyond 2**53 that a gateway left unquoted keeps every digit
    raise TypeError(f"text expected, not {type(value).__name__}")


def _optional_text(value: Any, _type: object) -> str | None:
    try:
        return _text(value, str)
    except TypeError:
        return None


def _status(value: Any, _type: object) -> TaskStatus:
    return status_of(str(value))


def moment(value: Any) -> datetime | None:
    """A time on the wire, in Unix seconds or milliseconds; ``None`` if it is none."""
    number = value if type(value) is int else _number(value)
    if not number or number < 0:
        return None  # 0 means "not reached yet"
    return _utc(number)


# Page after page repeats the times of the tasks that run; these are two for each task of a page.
@lru_cache(maxsize=1024)
def _utc(number: int | Decimal) -> datetime | None:
    try:
        return datetime.fromtimestamp(
            float(number / 1000 if number >= _FIRST_MILLISECONDS else number), UTC
        )
    except (OverflowError, OSError, ValueError):
        return None


def _decimal(value: Any, _type: object) -> Decimal | None:
    return _number(value)


def _seconds(value: Any, _type: object) -> float | None:
    number = _number(value)
    seconds = None if number is None else float(number)
    return None if seconds == float("inf") else seconds


def _number(value: Any) -> Decimal | None:
    """A number, or text of one; ``None`` for everything else, also below zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number >= 0 else None
