"""Whose key is used: the environment's, else the one in the user's settings file, else none."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

from kling_effects_async import AccessKeys, Credentials, Service, Settings, SettingsError
from kling_effects_async.cli.talk import say

__all__ = ["config_path", "find_settings", "secrets_of"]

_KEYS = ("KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY")


def config_path() -> Path:
    """The settings file, whether it exists or not."""
    import platformdirs

    return platformdirs.user_config_path("kling-effects", appauthor=False) / "config.toml"


def find_settings(
    environ: Mapping[str, str], config: Path, *, service: str | None, is_required: bool
) -> Settings | None:
    """The key and the service to use; ``None`` if there is no key and nothing asks for one.

    A file is not looked into if the environment has a key. Naming a service asks for a key: who
    names one does not mean a preview.

    Args:
        service: what ``--service`` said, which overrides ``KLING_SERVICE``.
        is_required: a key is needed in any case.

    Raises:
        SettingsError: a key is needed and missing, or a setting is wrong.
    """
    named = service or environ.get("KLING_SERVICE") or ""
    if any(environ.get(name) for name in _KEYS):
        return Settings.from_env({**environ, "KLING_SERVICE": named})
    if (text := _read(config)) is not None:
        settings = _from_file(text, config)
        return evolve(settings, service=_service_named(named)) if named else settings
    if is_required or named:
        raise _without_key(environ, config)
    return None


def secrets_of(credentials: Credentials) -> tuple[str, ...]:
    """What must not be shown, whoever repeats it."""
    if isinstance(credentials, AccessKeys):
        return credentials.access_key, credentials.secret_key
    return (credentials.token,)


def _without_key(environ: Mapping[str, str], config: Path) -> SettingsError:
    try:
        Settings.from_env({name: environ.get(name, "") for name in _KEYS})
    except SettingsError as error:
        return SettingsError(f"{error}; or write it into {config}")
    raise AssertionError("unreachable: there is no key")


def _service_named(name: str) -> Service:
    # Settings has the one reader of such names; the key is only there to be complete.
    return Settings.from_env({"KLING_API_KEY": "unused", "KLING_SERVICE": name}).service


def _read(config: Path) -> str | None:
    try:
        with config.open(encoding="utf-8") as file:
            if sys.platform != "win32" and os.fstat(file.fileno()).st_mode & 0o077:
                say(f"others can read the key in {config}: chmod 600 {config}")
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        # The decoder's own message quotes bytes of the file.
        raise SettingsError(f"{config} cannot be read: {reason}") from None


def _from_file(text: str, config: Path) -> Settings:
    try:
        return Settings.from_toml(text)
    except SettingsError as error:
        raise SettingsError(f"{config}: {error}") from None
