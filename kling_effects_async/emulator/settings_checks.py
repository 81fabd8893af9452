"""What the settings of an emulator may be: converters and validators for ``attrs`` fields."""

from __future__ import annotations

import base64
import numbers
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from attrs import Attribute

from kling_effects_async.arguments import Kind, check_arguments, key_problem

__all__ = [
    "MIN_SECRET_BYTES",
    "TaskSeconds",
    "are_long_secrets",
    "are_prices",
    "are_seconds",
    "are_units",
    "are_webhook_secrets",
    "has_keys",
    "has_kind",
    "is_duration",
    "is_flag",
    "is_speed",
    "to_decimal",
    "to_keys",
    "to_prices",
    "to_secrets",
]

TaskSeconds: TypeAlias = float | tuple[float, float] | Callable[[str], float]
"""How long tasks take, in emulated seconds: always, uniformly between two, or by scene."""

# Emulated time is Unix time, which has to stay one that can be written: at the highest speed the
# year 9999 comes after four minutes.
_MIN_SPEED, _MAX_SPEED = 1e-9, 1e9
_MAX_SECONDS = 1e9

# PyJWT warns below 32 bytes, and RFC 7518 section 3.2 demands as many as the hash is long.
MIN_SECRET_BYTES = 32

_KINDS = {
    "host": Kind("a str", (str,), is_optional=False),
    "port": Kind("a whole number", (int,), is_optional=False),
    "slots": Kind("a whole number", (int,)),
    "max_tasks": Kind("a whole number", (int,), is_optional=False),
    "max_clip_bytes": Kind("a whole number", (int,), is_optional=False),
    "max_connections": Kind("a whole number", (int,), is_optional=False),
    "seed": Kind("a whole number or a str", (int, str)),
    "wall": Kind("a function that returns Unix time", has=("__call__",), is_optional=False),
    "access_keys": Kind("a mapping of access keys to secret keys", (Mapping,), is_optional=False),
    "units_per_scene": Kind("a mapping of scenes to units", (Mapping,), is_optional=False),
    "callback_attempts": Kind("a whole number", (int,), is_optional=False),
}


def has_kind(_settings: object, attribute: Attribute[Any], value: object) -> None:
    check_arguments(_KINDS, {attribute.name: value})


def is_flag(_settings: object, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {type(value).__name__}")


def is_speed(_settings: object, _attribute: Attribute[float], speed: float) -> None:
    if not (_is_number(speed) and _MIN_SPEED <= speed <= _MAX_SPEED):
        raise ValueError(
            f"speed must be a number from {_MIN_SPEED:g} to {_MAX_SPEED:g}, not {speed!r}"
        )


def is_duration(_settings: object, attribute: Attribute[float], seconds: float) -> None:
    if not (_is_number(seconds) and 0 <= seconds <= _MAX_SECONDS):
        raise ValueError(
            f"{attribute.name} must be seconds from 0 to {_MAX_SECONDS:g}, not {seconds!r}"
        )


def are_seconds(_settings: object, _attribute: Attribute[Any], seconds: TaskSeconds) -> None:
    if callable(seconds):
        return
    bounds = seconds if isinstance(seconds, tuple) else (seconds, seconds)
    are_two_numbers = list(map(_is_number, bounds)) == [True, True]
    if not (are_two_numbers and 0 <= bounds[0] <= bounds[1] <= _MAX_SECONDS):
        raise ValueError(
            f"task_seconds must be seconds or (low, high), 0 to {_MAX_SECONDS:g}, not {seconds!r}"
        )


def has_keys(_settings: object, attribute: Attribute[Any], keys: Collection[str]) -> None:
    texts = [*keys, *(keys.values() if isinstance(keys, Mapping) else ())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{attribute.name} must hold keys as str alone")
    if not keys or not all(keys):
        raise ValueError(f"{attribute.name} must hold at least one key, and no empty one")
    for problem in filter(None, map(key_problem, texts)):  # a client would reject it
        raise ValueError(f"{attribute.name} must hold keys alone; one {problem}")


def are_long_secrets(
    _settings: object, _attribute: Attribute[Mapping[str, str]], keys: Mapping[str, str]
) -> None:
    if any(len(secret.encode()) < MIN_SECRET_BYTES for secret in keys.values()):
        raise ValueError(
            f"a secret key must have at least {MIN_SECRET_BYTES} bytes to sign with HS256"
        )


def are_webhook_secrets(
    _settings: object, attribute: Attribute[Any], secrets: tuple[object, ...]
) -> None:
    """Source: Standard Webhooks, "symmetric secrets": ``whsec_`` and base64."""
    texts = [secret for secret in secrets if isinstance(secret, str)]
    if len(texts) < len(secrets):
        raise TypeError(f"{attribute.name} must be a str, or several of them")
    if not all(map(_webhook_key, texts)):
        raise ValueError(f"{attribute.name} must be whsec_ and base64, such as whsec_c2VjcmV0")


def _webhook_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def are_units(_settings: object, attribute: Attribute[Any], units: str | Decimal) -> None:
    try:
        is_number = Decimal(units).is_finite() and Decimal(units) >= 0
    except InvalidOperation:
        is_number = False
    if not is_number:
        raise ValueError(f"{attribute.name} must be a number of units such as 2 or 3.5")


def are_prices(settings: object, attribute: Attribute[Any], prices: Mapping[str, str]) -> None:
    for units in prices.values():
        are_units(settings, attribute, units)


def to_keys(keys: Collection[str]) -> tuple[str, ...]:
    # A single str would be taken for many keys of one letter; without a key it is rejected.
    return () if isinstance(keys, str) else tuple(keys)


def to_secrets(secrets: object) -> Any:
    """One secret or several as a tuple."""
    if secrets is None:
        return ()
    if isinstance(secrets, list | tuple):
        return tuple(secrets)
    # What is neither is rejected by the validator, which names the argument.
    return (secrets,)


def to_prices(prices: Mapping[str, object]) -> Any:
    """The prices as the wire has them, as texts."""
    if not isinstance(prices, Mapping):
        return prices  # the validator rejects it, and names the argument
    return {scene: str(units) for scene, units in prices.items()}


def to_decimal(units: str | float | Decimal | None) -> Decimal | str | None:
    if units is None:
        return None
    try:
        return Decimal(str(units))
    except InvalidOperation:
        return str(units)  # the validator rejects it, and names the argument


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
