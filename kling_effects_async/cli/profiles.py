"""The settings file as values: which settings there are, and what each profile has; pure.

The table ``[kling]`` is the profile "default"; ``[profile.NAME]`` is another one. A profile is
whole: what it leaves out is not looked for in another table, so that no key meets the account,
journal or budget of another key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from kling_effects_async.errors import SettingsError

__all__ = ["DEFAULT", "KEYS", "SETTINGS", "Profiles", "defaults_of", "nearest", "profiles_of"]

DEFAULT = "default"
KEYS = ("api_key", "access_key", "secret_key")

# What may be shown of a name that nobody knows: it could be a key in the wrong place.
_HARMLESS = re.compile(r"[A-Za-z_-]{1,24}")
_PROFILE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _is_amount(value: object) -> bool:
    return _is_number(value) and 0 <= float(str(value)) < math.inf


def _is_time(value: object) -> bool:
    return _is_number(value) and float(str(value)) > 0


_TEXT = (_is_text, "a text")
# Each setting of a profile: what its value must be.
SETTINGS: Mapping[str, tuple[Callable[[object], bool], str]] = MappingProxyType(
    {
        **dict.fromkeys((*KEYS, "service", "account", "journal", "output"), _TEXT),
        "budget_units": (_is_amount, "a number of units, 0 or more"),
        "timeout_s": (_is_time, "a number of seconds above 0"),
    }
)

# The options that a setting is the default of, besides the one of its name.
_OPTIONS = {"output": ("output", "download_to")}

Profiles = Mapping[str, Mapping[str, object]]


def profiles_of(text: str) -> Profiles:
    """Every profile of a settings file, by its name.

    Raises:
        SettingsError: it is no TOML, or has what is no setting; names the nearest one.
    """
    import tomllib  # no help needs it

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # Not the decoder's message, and not chained to it: it may quote the line with the key.
        raise SettingsError("the settings are not valid TOML") from None
    _reject_unknown(tables, ("kling", "profile"), where="it", what="table")
    named = _table(tables.get("profile", {}), "[profile]")
    _check_names(named)
    found = {name: (f"[profile.{name}]", table) for name, table in named.items()}
    if "kling" in tables:
        found[DEFAULT] = ("[kling]", tables["kling"])
    return {name: _checked(_table(table, where), where) for name, (where, table) in found.items()}


def defaults_of(profile: Mapping[str, object], *, has_key: bool) -> dict[str, str]:
    """What the options of a command are by default, by the names of their parameters.

    Args:
        has_key: the key is this profile's too; otherwise its account is another one's.
    """
    left_out = {*KEYS, "service", *(() if has_key else ("account",))}
    return {
        option: _as_option(name, value)
        for name, value in profile.items()
        if name not in left_out
        for option in _OPTIONS.get(name, (name,))
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a wrong name: which one may be meant, or which there are."""
    import difflib

    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(choices) or 'none'}"


def _as_option(name: str, value: object) -> str:
    """As the option would be typed."""
    if name == "output":  # a folder, whether it is there already or not
        return _home(str(value)).rstrip("/") + "/"
    return _home(str(value)) if name == "journal" else str(value)


def _home(path: str) -> str:
    import os

    return os.path.expanduser(path)  # as a shell does on the command line


def _checked(table: Mapping[str, object], where: str) -> Mapping[str, object]:
    _reject_unknown(table, SETTINGS, where=where, what="setting")
    for name, value in table.items():
        is_right, kind = SETTINGS[name]
        if not is_right(value):
            raise SettingsError(f"{where} {name} must be {kind}")
    return table


def _table(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise SettingsError(f"{where} must be a table")
    return value


def _reject_unknown(table: Iterable[str], known: Iterable[str], *, where: str, what: str) -> None:
    names = tuple(known)
    for name in table:
        if name not in names:
            shown = f" {name!r}" if _HARMLESS.fullmatch(name) else ""
            raise SettingsError(f"{where} has an unknown {what}{shown}: {nearest(name, names)}")


def _check_names(named: Iterable[str]) -> None:
    for name in named:
        if name == DEFAULT:
            raise SettingsError(f"[profile.{DEFAULT}] is the table [kling]: write it there")
        if not _PROFILE_NAME.fullmatch(name):
            raise SettingsError("the name of a profile is made of letters, digits and _ . -")
