"""Whose key is used, and the defaults of the options: from the user's settings file.

Each option comes from the command line, else the environment, else the file (click's order). The
key, its service and its account come together: from the profile that ``--profile`` names, else from
the environment, else from the profile of the file.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, Unpack

from attrs import evolve

import kling_effects_async as kling
from kling_effects_async import AccessKeys, Credentials, Service, Settings, SettingsError
from kling_effects_async.cli.console import say
from kling_effects_async.cli.key_store import kept_key, kept_profiles, keys_path
from kling_effects_async.cli.profiles import (
    DEFAULT,
    KEYS,
    Profiles,
    defaults_of,
    nearest,
    profiles_of,
)
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.submitting.account import account_name

if TYPE_CHECKING:
    from kling_effects_async import ClientOptions, EffectsClient

__all__ = [
    "account_of",
    "client_of",
    "config_path",
    "find_settings",
    "has_key_in",
    "needed_settings",
    "option_defaults",
    "profile_of",
    "read_profiles",
    "secrets_of",
    "settings_or_none",
    "table_with_key",
]

_KEYS = ("KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY")


def config_path() -> Path | None:
    """The settings file, whether it exists or not; ``None`` for a user without a home folder."""
    import platformdirs

    try:
        # Without ``appauthor=False`` Windows gets the folder twice, one in the other.
        return platformdirs.user_config_path("kling-effects", appauthor=False) / "config.toml"
    except (KeyError, OSError, RuntimeError):  # a user id that no list of users has
        return None


def find_settings(
    environ: Mapping[str, str],
    config: Path | None,
    *,
    service: ServiceChoice,
    is_required: bool,
) -> Settings | None:
    """The key and the service to use; ``None`` if there is no key and none is needed.

    A profile that was named on the command line comes first, then the environment's key, then the
    settings file's. With a service or a profile a key is needed: a preview has neither.

    Args:
        service: what the command line names.
        is_required: a key is needed in any case.

    Raises:
        SettingsError: a key is needed and missing, or a setting is wrong.
    """
    # An empty variable is how a shell script unsets one. A service belongs to its key, so the
    # environment's is not for a profile that the command line names.
    named = service.name or ("" if service.profile else environ.get("KLING_SERVICE")) or ""
    if has_key_in(environ) and service.profile is None:
        return Settings.from_env({**environ, "KLING_SERVICE": named})
    profile = service.profile or environ.get("KLING_PROFILE") or DEFAULT
    table = table_with_key(read_profiles(config, is_for_key=True), profile, config)
    if any(name in table for name in KEYS):
        settings = _from_table(table, profile, config)
        return evolve(settings, service=Service.named(named)) if named else settings
    if profile != DEFAULT:
        raise _without_key_in(profile, config)
    if is_required or named or service.profile:
        raise _without_key(environ, config)
    return None


def has_key_in(environ: Mapping[str, str]) -> bool:
    """Whether the environment has a key, or a part of one."""
    return any(environ.get(name) for name in _KEYS)


def option_defaults(environ: Mapping[str, str], profile: str | None) -> dict[str, str]:
    """What the settings file says of the options that a command was not given.

    Args:
        profile: the value of ``--profile``.

    Raises:
        SettingsError: the file has an error, or no such profile.
    """
    config = config_path()
    name = profile or environ.get("KLING_PROFILE") or DEFAULT
    table = profile_of(read_profiles(config), name, config)
    return defaults_of(table, has_key=profile is not None or not has_key_in(environ))


def read_profiles(config: Path | None, *, is_for_key: bool = False) -> Profiles:
    """Every profile of the settings file; none where there is no file.

    Args:
        is_for_key: its key is to be used: say if others can read it, or if it cannot be read.

    Raises:
        SettingsError: the file has an error; the message names the file.
    """
    text = None if config is None else _read(config, is_for_key=is_for_key)
    if text is None:
        return {}
    try:
        return profiles_of(text)
    except SettingsError as error:
        raise SettingsError(f"{config}: {error}") from None


def profile_of(profiles: Profiles, name: str, config: Path | None) -> Mapping[str, object]:
    """What the settings file has of one profile; the default one may be missing.

    Raises:
        SettingsError: there is no other of this name, neither there nor by ``auth login``.
    """
    if name in profiles or name == DEFAULT:
        return profiles.get(name, {})
    kept = {} if config is None else kept_profiles(keys_path(config))
    if name not in kept:
        where = config or "the settings file"
        known = {*profiles, *kept}
        raise SettingsError(f"{where} has no profile {name!r}: {nearest(name, known)}")
    return {}


def table_with_key(profiles: Profiles, name: str, config: Path | None) -> Mapping[str, object]:
    """The same with the key, and its service, that ``auth login`` kept for it.

    Raises:
        SettingsError: as above, or the key cannot be read.
    """
    table = profile_of(profiles, name, config)
    if config is None or any(key in table for key in KEYS):
        return table
    return {**table, **(kept_key(keys_path(config), name) or {})}


def needed_settings(service: ServiceChoice) -> Settings:
    """The same from this process's environment, where a key is needed.

    Raises:
        SettingsError: there is none, or a setting is wrong.
    """
    settings = find_settings(os.environ, config_path(), service=service, is_required=True)
    assert settings is not None  # required
    return settings


def settings_or_none(
    service: ServiceChoice, *, may_preview: bool, is_for_real: bool
) -> Settings | None:
    """The settings; ``None`` for a preview, which needs none.

    Args:
        is_for_real: the command has a journal or a budget, so no preview is meant.

    Raises:
        SettingsError: a key is needed and missing, or a setting is wrong.
    """
    settings = find_settings(
        os.environ, config_path(), service=service, is_required=not may_preview
    )
    if settings is None and is_for_real:
        try:
            needed_settings(service)
        except SettingsError as error:
            raise SettingsError(
                f"{error}. Without --journal and --budget-units this makes a preview; with them it "
                "is rehearsed on kling-effects emulate, which prints a key"
            ) from None
    return settings


def client_of(settings: Settings, **options: Unpack[ClientOptions]) -> EffectsClient:
    """A client of these settings, by default with the proxies of the environment."""
    # A command is a user's own program, as curl is; the library asks no environment unless told.
    options.setdefault("trust_env", True)
    return kling.EffectsClient(settings.credentials, service=settings.service, **options)


def account_of(settings: Settings, named: str | None) -> str:
    """The name of the account in the journal.

    Args:
        named: the value of ``--account``; by default it is made from the service and the key.
    """
    return named or account_name(settings.service, settings.credentials)


def secrets_of(credentials: Credentials) -> tuple[str, ...]:
    """What must not be shown, in whatever message it comes."""
    if isinstance(credentials, AccessKeys):
        return credentials.access_key, credentials.secret_key
    return (credentials.token,)


def _without_key(environ: Mapping[str, str], config: Path | None) -> SettingsError:
    # Called for its sentence, so that the names of the variables are listed in one place.
    try:
        Settings.from_env({name: environ.get(name, "") for name in _KEYS})
    except SettingsError as error:
        how = f"; or write it into {config}; or keep it: kling-effects auth login"
        return SettingsError(f"{error}{how if config else ''}")
    raise AssertionError("unreachable: there is no key")


def _without_key_in(profile: str, config: Path | None) -> SettingsError:
    return SettingsError(
        f"the profile {profile!r} has no key: write api_key, or access_key and secret_key, into "
        f"[profile.{profile}] of {config}, or keep one: "
        f"kling-effects auth login --profile {profile}"
    )


def _read(config: Path, *, is_for_key: bool) -> str | None:
    """The file's text; ``None`` if there is none, or none that we may read."""
    try:
        with config.open(encoding="utf-8") as file:
            if is_for_key:
                _warn_of_rights(file, config)
            return file.read()
    except (FileNotFoundError, NotADirectoryError):  # HOME=/dev/null, for one
        return None
    except UnicodeDecodeError:
        # The decoder's own message quotes bytes of the file.
        raise SettingsError(f"{config} cannot be read: it is not UTF-8") from None
    except OSError as error:
        # Not an error: a preview and a list need no key, and what needs one says so.
        if is_for_key:
            say(f"{config} cannot be read and is not used: {error.strerror}")
        return None


def _warn_of_rights(file: TextIO, config: Path) -> None:
    # Of the open file: another could take its name between the look and the read.
    if sys.platform != "win32" and os.fstat(file.fileno()).st_mode & 0o077:
        path = shlex.quote(str(config))
        say(f"others can read the key in {config}: chmod 600 {path}")


def _from_table(table: Mapping[str, object], profile: str, config: Path | None) -> Settings:
    try:
        return Settings.from_table(table)
    except SettingsError as error:
        where = "[kling]" if profile == DEFAULT else f"[profile.{profile}]"
        raise SettingsError(f"{config}: {where}: {error}") from None
