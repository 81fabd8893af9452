"""Whose key is used: the environment's, else the one in the user's settings file, else none."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from attrs import evolve

import kling_effects_async as kling
from kling_effects_async import AccessKeys, Credentials, Service, Settings, SettingsError
from kling_effects_async.cli.console import say
from kling_effects_async.submitting.account import account_name

if TYPE_CHECKING:
    from kling_effects_async import ClientOptions, EffectsClient

__all__ = [
    "account_of",
    "client_of",
    "config_path",
    "find_settings",
    "needed_settings",
    "secrets_of",
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
    environ: Mapping[str, str], config: Path | None, *, service: str | None, is_required: bool
) -> Settings | None:
    """The key and the service to use; ``None`` if there is no key and none is needed.

    The file is not read if the environment has a key. With a service a key is needed: a preview has
    none.

    Args:
        service: the value of ``--service``, which overrides ``KLING_SERVICE``.
        is_required: a key is needed in any case.

    Raises:
        SettingsError: a key is needed and missing, or a setting is wrong.
    """
    # An empty variable is how a shell script unsets one.
    named = service or environ.get("KLING_SERVICE") or ""
    if any(environ.get(name) for name in _KEYS):
        return Settings.from_env({**environ, "KLING_SERVICE": named})
    if config is not None and (text := _read(config)) is not None:
        settings = _from_file(text, config)
        return evolve(settings, service=Service.named(named)) if named else settings
    if is_required or named:
        raise _without_key(environ, config)
    return None


def needed_settings(service: str | None) -> Settings:
    """The same from this process's environment, where a key is needed.

    Raises:
        SettingsError: there is none, or a setting is wrong.
    """
    settings = find_settings(os.environ, config_path(), service=service, is_required=True)
    assert settings is not None  # required
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
        return SettingsError(f"{error}; or write it into {config}" if config else str(error))
    raise AssertionError("unreachable: there is no key")


def _read(config: Path) -> str | None:
    """The file's text; ``None`` if there is none, or none that we may read."""
    try:
        with config.open(encoding="utf-8") as file:
            # Of the open file: another could take its name between the look and the read.
            if sys.platform != "win32" and os.fstat(file.fileno()).st_mode & 0o077:
                path = shlex.quote(str(config))
                say(f"others can read the key in {config}: chmod 600 {path}")
            return file.read()
    except (FileNotFoundError, NotADirectoryError):  # HOME=/dev/null, for one
        return None
    except UnicodeDecodeError:
        # The decoder's own message quotes bytes of the file.
        raise SettingsError(f"{config} cannot be read: it is not UTF-8") from None
    except OSError as error:
        # Not an error: a preview and a list need no key, and what needs one says so.
        say(f"{config} cannot be read and is not used: {error.strerror}")
        return None


def _from_file(text: str, config: Path) -> Settings:
    try:
        return Settings.from_toml(text)
    except SettingsError as error:
        raise SettingsError(f"{config}: {error}") from None
