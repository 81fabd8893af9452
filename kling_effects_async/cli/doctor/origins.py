"""Where each setting comes from, and what it wins over; pure.

A key is never shown, only what kind of key it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kling_effects_async.cli.profiles import DEFAULT, KEYS
from kling_effects_async.protocol.redaction import redacted
from kling_effects_async.web_address import address_label

__all__ = ["FileProfile", "Origin", "SettingOrigins", "setting_origins"]

# The options that a setting has, and its variable.
_NAMES = {
    "account": ("--account", "KLING_ACCOUNT"),
    "journal": ("--journal", "KLING_JOURNAL"),
    "budget_units": ("--budget-units", "KLING_BUDGET_UNITS"),
    "timeout_s": ("--timeout-s", "KLING_TIMEOUT_S"),
    "output": ("--output", "KLING_OUTPUT"),
}
_DEFAULTS = {
    "account": "made from the service and the key",
    "journal": "none",
    "budget_units": "none",
    "timeout_s": "3600",
    "output": "the working folder",
}
_OF_ITS_KEY = ("service", "account")
_KLING_KEY = "api-key-kling-"
_KEY_VARIABLES = {f"KLING_{name.upper()}": name for name in KEYS}


class Origin(NamedTuple):
    """A value of a setting, and where it is given."""

    value: str
    source: str


class SettingOrigins(NamedTuple):
    """One setting.

    Attributes:
        used: what counts; ``None`` where the setting is given nowhere.
        overridden: what is given elsewhere and does not count, the nearest to winning first.
    """

    name: str
    used: Origin | None
    overridden: tuple[Origin, ...] = ()


class FileProfile(NamedTuple):
    """The profile of the settings file that is in force.

    Attributes:
        is_named: by ``--profile``, so that its key wins over the environment's.
        kept: what of the table is no text of the file: ``auth login`` kept it.
    """

    name: str
    table: Mapping[str, object]
    is_named: bool
    kept: frozenset[str] = frozenset()

    def source(self, *settings: str) -> str:
        if self.kept.issuperset(settings):
            return f"auth login --profile {self.name}"
        table = "[kling]" if self.name == DEFAULT else f"[profile.{self.name}]"
        return f"{table} {' and '.join(settings)} of the settings file"


def setting_origins(
    given: Mapping[str, str], environ: Mapping[str, str], profile: FileProfile
) -> Sequence[SettingOrigins]:
    """Every setting, the key first.

    Args:
        given: what the command line has, by setting.
    """
    of_environment = _key_of_environment(environ)
    of_file = _key_of_profile(profile)
    keys = [*of_file, *of_environment] if profile.is_named else [*of_environment, *of_file]
    is_files = bool(of_file) and keys[0] is of_file[0]
    others = [_other(name, given, environ, profile, is_files=is_files) for name in _NAMES]
    return [
        SettingOrigins("key", keys[0] if keys else None, tuple(keys[1:])),
        _service(given, environ, profile, is_files=is_files),
        *others,
    ]


def _service(
    given: Mapping[str, str], environ: Mapping[str, str], profile: FileProfile, *, is_files: bool
) -> SettingOrigins:
    by_option = _found(given.get("service"), "--service")
    by_variable = _found(environ.get("KLING_SERVICE"), "KLING_SERVICE")
    by_file = _found(profile.table.get("service"), profile.source("service"))
    # A service belongs to its key: that of the other one is not used at all.
    of_the_key = [*([] if profile.is_named else by_variable), *(by_file if is_files else [])]
    candidates = [*by_option, *of_the_key]
    unused = [each for each in (*by_variable, *by_file) if each not in candidates]
    used = [*candidates, Origin("chosen for the key", "by default")][0]
    return SettingOrigins("service", used, (*candidates[1:], *unused))


def _other(
    name: str,
    given: Mapping[str, str],
    environ: Mapping[str, str],
    profile: FileProfile,
    *,
    is_files: bool,
) -> SettingOrigins:
    option, variable = _NAMES[name]
    by_file = _found(profile.table.get(name), profile.source(name))
    counts = is_files or profile.is_named or name not in _OF_ITS_KEY
    found = [
        *_found(given.get(name), option),
        *_found(environ.get(variable), variable),
        *(by_file if counts else []),
        Origin(_DEFAULTS[name], "by default"),
    ]
    unused = () if counts else tuple(by_file)
    return SettingOrigins(name, found[0], (*found[1:-1], *unused))


def _found(value: object, source: str) -> list[Origin]:
    # Somebody may have pasted a password or a key into it.
    shown = redacted(address_label(str(value)) if "://" in str(value) else str(value))
    return [Origin(shown, source)] if value not in (None, "") else []


def _key_of_environment(environ: Mapping[str, str]) -> list[Origin]:
    given = {name: environ[name] for name in _KEY_VARIABLES if environ.get(name)}
    by_setting = {_KEY_VARIABLES[name]: key for name, key in given.items()}
    return [Origin(_kind(by_setting), " and ".join(given))] if given else []


def _key_of_profile(profile: FileProfile) -> list[Origin]:
    given = {name: str(profile.table[name]) for name in KEYS if name in profile.table}
    return [Origin(_kind(given), profile.source(*given))] if given else []


def _kind(keys: Mapping[str, str]) -> str:
    if any(_KLING_KEY in key.lower() for key in keys.values()):
        return "one of Kling's own API keys"
    return "a pair of access keys" if "access_key" in keys else "a bearer token"
