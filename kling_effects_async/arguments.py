"""What the arguments of a call must be, checked before anything is sent or paid for.

A message never repeats a value of a wrong type: it may be a key that was passed for another
argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from attrs import frozen

from kling_effects_async.errors import SettingsError

__all__ = ["Kind", "as_units", "check_arguments", "check_name", "check_share", "key_problem"]

# Control characters, and halves of characters (surrogates), which no file and no request can hold.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# As for an external id; a longer one is most likely something else.
_LONGEST_SHARE = 128


@frozen
class Kind:
    """What an argument may be.

    Attributes:
        described: its name in a message, such as "a PollPolicy(...)".
        types: it is an instance of one of them,
        has: or of a class with all these attributes, where the class itself is costly to import.
        is_optional: ``None`` means the default.
    """

    described: str
    types: tuple[type, ...] = ()
    has: tuple[str, ...] = ()
    is_optional: bool = True

    def fits(self, value: object) -> bool:
        """Whether the value may be passed."""
        if value is None:
            return self.is_optional
        is_flag = isinstance(value, bool) and bool not in self.types  # bool is a subclass of int
        return not is_flag and (isinstance(value, self.types) or self._has_attributes(value))

    def _has_attributes(self, value: object) -> bool:
        is_class = isinstance(value, type)  # a class has them too, and is no instance
        return bool(self.has) and not is_class and all(hasattr(value, name) for name in self.has)


def check_arguments(kinds: Mapping[str, Kind], given: Mapping[str, object]) -> None:
    """Reject an argument that is of a wrong type.

    Args:
        kinds: what each argument may be, by its name.
        given: arguments by their names; names that are not in ``kinds`` are ignored.

    Raises:
        TypeError: names the argument, what it must be, and the type of what was given.
    """
    for name in [name for name in kinds if name in given]:
        if not kinds[name].fits(given[name]):
            raise TypeError(
                f"{name} must be {kinds[name].described}, not {type(given[name]).__name__}"
            )


def check_name(argument: str, value: str | None) -> None:
    """Reject a name that cannot be written to a file.

    Raises:
        SettingsError: it is empty, or contains control characters or a lone surrogate.
    """
    if value is None:
        return
    if not value:
        raise SettingsError(f"{argument} must not be empty: give a name, or leave it out")
    odd = _UNWRITABLE.search(value)
    if odd:
        raise SettingsError(f"{argument} must be plain text; it holds the character {odd[0]!a}")


def check_share(argument: str, value: str | None, *, may_be_empty: bool = False) -> None:
    """Reject what cannot be the name of a share; ``None`` is no name.

    Raises:
        SettingsError: it is empty, longer than 128 characters, or not printable.
    """
    if value is None:
        return
    if not value and not may_be_empty:
        raise SettingsError(f"{argument} must not be empty: give a name, or leave it out")
    if len(value) > _LONGEST_SHARE:
        raise SettingsError(
            f"{argument} must have at most {_LONGEST_SHARE} characters, not {len(value)}"
        )
    odd = next((character for character in value if not character.isprintable()), None)
    if odd is not None:
        raise SettingsError(f"{argument} must be printable text; it holds the character {odd!a}")


def as_units(argument: str, value: object) -> Decimal | None:
    """A number of units that may be spent, exactly as it is written; ``None`` for no limit.

    Raises:
        SettingsError: it is no number of 0 or more.
        TypeError: it is neither a number nor text.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float, str)):
        raise TypeError(
            f"{argument} must be a number of units such as 100 or '3.5', not {type(value).__name__}"
        )
    try:
        units = Decimal(str(value))
    except InvalidOperation:
        units = Decimal("nan")
    if not units.is_finite() or units < 0:
        raise SettingsError(
            f"{argument} must be a number of units of 0 or more, such as 100, not {value!r}"
        )
    return units


# Our own key is cut out of every text that is shown. If it were a word of the wire or of addresses
# ("video", "0", "task_status"), messages would lose that word, and so show what the key is.
# Real keys are long and random: 32 letters and digits in Kling's pair, some 50 after a gateway's
# sk-. So only short ones are checked. Source: public records of live calls, 2026.
_LONG = 20
_PLAIN_WORD = re.compile(
    r"[aAiI]|[A-Z]?[a-z]{2,}|[A-Z]{2,}|[0-9]+|[a-z]+[0-9][a-z]+"  # image2video
    r"|[a-z0-9:/._-]*[:/._][a-z0-9:/._-]*"  # of addresses, and members such as task_status
    r"|[A-Za-z]+(?:-[A-Za-z]+|-v?[0-9]{1,2})+"  # Content-Type, kling-v1-6
)
# Names that tests give a key: test-key, sk-tests. No answer has such a word.
_NAMED_KEY = re.compile(r"(?!x-)(?:(?:sk|api-key)-.+|.+-(?:key|token))", re.IGNORECASE)


def key_problem(key: str) -> str | None:
    """Why this cannot be a key, as the end of a sentence that begins with its name; or ``None``."""
    is_bare = key.isascii() and key.isprintable() and not set(key) & set(" \"'")
    if not key or not is_bare:
        return "must be the key alone: no spaces, quotes, line breaks or 'Bearer' with it"
    if _is_a_word(key):
        return (
            "is a word or a number, and no key: a key is letters and digits in no order, such as "
            "sk-..., api-key-kling-... or the 32 characters of Kling's pair. Copy it whole from "
            "the service's page of keys"
        )
    return None


def _is_a_word(key: str) -> bool:
    """Whether an answer or an address may contain it with another meaning."""
    is_plain = len(key) < _LONG and _PLAIN_WORD.fullmatch(key)
    return bool(is_plain) and not _NAMED_KEY.fullmatch(key)
