"""Keys that ``auth login`` keeps: in the system's keyring, else in a file of the user alone.

The file ``keys.json`` beside the settings file has an entry for each profile: the key itself, or
that it is in the keyring. So a keyring, which is slow to load, is only loaded for a key that is
there.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from kling_effects_async.cli.profiles import KEYS
from kling_effects_async.cli.signals import loaded
from kling_effects_async.errors import SettingsError

__all__ = ["KeptKey", "forget_key", "keep_key", "kept_key", "kept_profiles", "keys_path"]

_OWNER = "kling-effects"  # what a keyring calls the program
_MEMBERS = {*KEYS, "service"}
IN_KEYRING, IN_FILE = "keyring", "file"


class KeptKey(NamedTuple):
    """What is kept of one profile, without its key.

    Attributes:
        place: ``keyring`` or ``file``.
        service: what the key is for; ``None``: what a key of its kind is for by default.
    """

    place: str
    service: str | None


def keys_path(config: Path) -> Path:
    """The file of keys that belongs to a settings file."""
    return config.with_name("keys.json")


def kept_profiles(path: Path) -> Mapping[str, KeptKey]:
    """What is kept, by profile; the keyring is not asked.

    Raises:
        SettingsError: the file cannot be read.
    """
    return {
        name: KeptKey(IN_FILE if _has_key(entry) else IN_KEYRING, entry.get("service"))
        for name, entry in _read(path).items()
    }


def kept_key(path: Path, profile: str) -> Mapping[str, str] | None:
    """The key of a profile, and its service if it has one; ``None`` if no key is kept.

    Raises:
        SettingsError: the file or the keyring cannot be read.
    """
    entry = _read(path).get(profile)
    if entry is None or _has_key(entry):
        return entry
    return {**entry, **_of_keyring(path, profile)}


def keep_key(path: Path, profile: str, key: Mapping[str, str], service: str | None) -> str:
    """Keep a key, in the keyring where there is one that works; ``keyring`` or ``file``. Blocks.

    Args:
        key: its parts, by their names in a settings file.

    Raises:
        SettingsError: the file cannot be written.
    """
    entry = {} if service is None else {"service": service}
    is_in_keyring = _keep_in_keyring(path, profile, key)
    entries = _read(path)
    _write(path, {**entries, profile: entry if is_in_keyring else {**entry, **key}})
    return IN_KEYRING if is_in_keyring else IN_FILE


def forget_key(path: Path, profile: str) -> str | None:
    """Delete a kept key; where it was, or ``None`` if none was kept. Blocks.

    Raises:
        SettingsError: it cannot be deleted.
    """
    entries = _read(path)
    entry = entries.pop(profile, None)
    if entry is None:
        return None
    if not _has_key(entry):
        _forget_in_keyring(path, profile)
    _write(path, entries)
    return IN_FILE if _has_key(entry) else IN_KEYRING


# -- the file


def _has_key(entry: Mapping[str, str]) -> bool:
    return any(name in entry for name in KEYS)


def _read(path: Path) -> dict[str, dict[str, str]]:
    entries: Any = None
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        pass  # rejected below, without the decoder's message, which quotes the text
    if not _is_right(entries):
        raise SettingsError(f"{path} is damaged: delete it, and log in again")
    return entries


def _is_right(entries: Any) -> TypeGuard[dict[str, dict[str, str]]]:
    return isinstance(entries, dict) and all(
        isinstance(entry, dict)
        and entry.keys() <= _MEMBERS
        and all(isinstance(value, str) for value in entry.values())
        for entry in entries.values()
    )


def _write(path: Path, entries: Mapping[str, Mapping[str, str]]) -> None:
    """Replace the file by a whole one; nobody else can read either."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            new.unlink()


# -- the keyring


def _keyring() -> Any:
    """The package, where its extra is installed and has a keyring that keeps things."""
    try:
        keyring = loaded("keyring")
        is_working = keyring.get_keyring().priority > 0  # "fail" has 0, and "null" drops all
    except Exception:  # a keyring is anybody's code
        return None
    return keyring if is_working else None


def _name(path: Path, profile: str) -> str:
    """Two settings folders, as of two systems that share a keyring, have keys of their own."""
    return f"{profile} of {path.parent}"


def _keep_in_keyring(path: Path, profile: str, key: Mapping[str, str]) -> bool:
    keyring = _keyring()
    if keyring is None:
        return False
    text, name = json.dumps(dict(key)), _name(path, profile)
    try:
        keyring.set_password(_OWNER, name, text)
        return bool(keyring.get_password(_OWNER, name) == text)
    except Exception:  # locked, or no desktop: the file is there for it
        return False


def _of_keyring(path: Path, profile: str) -> Mapping[str, str]:
    keyring = _keyring()
    try:
        text = None if keyring is None else keyring.get_password(_OWNER, _name(path, profile))
        key = None if text is None else json.loads(text)
    except Exception:
        key = None
    entries = {profile: key}
    if not _is_right(entries):
        raise SettingsError(
            f"the key of the profile {profile!r} is in the keyring, which does not give it: unlock "
            "it, or log in again: kling-effects auth login"
        )
    return entries[profile]


def _forget_in_keyring(path: Path, profile: str) -> None:
    keyring = _keyring()
    try:
        if keyring.get_password(_OWNER, _name(path, profile)) is not None:
            keyring.delete_password(_OWNER, _name(path, profile))
    except Exception:
        raise SettingsError(
            f"the key of the profile {profile!r} could not be deleted from the keyring: unlock it, "
            "and try again"
        ) from None
