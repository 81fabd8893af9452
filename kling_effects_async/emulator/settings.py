"""What an emulator can be told to be: frozen, checked when made."""

from __future__ import annotations

import base64
import numbers
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, TypeAlias

from attrs import Attribute, converters, field, frozen, validators

from kling_effects_async.arguments import Kind, check_arguments, key_problem
from kling_effects_async.emulator.bounds import MAX_CLIP_BYTES, MAX_CONNECTIONS, MAX_TASKS
from kling_effects_async.emulator.choices import (
    Clips,
    RepeatedId,
    ReplyShape,
    RetiredScenes,
    UnknownTask,
)

__all__ = [
    "Clips",
    "EmulatorError",
    "RepeatedId",
    "ReplyShape",
    "RetiredScenes",
    "Settings",
    "TaskSeconds",
    "UnknownTask",
]

TaskSeconds: TypeAlias = float | tuple[float, float] | Callable[[str], float]
"""How long tasks take, in emulated seconds: always, uniformly between two, or by scene."""

# Emulated time is Unix time, which has to stay one that can be written: at the highest speed the
# year 9999 comes after four minutes.
_SPEEDS = (1e-9, 1e9)
_LONGEST_S = 1e9

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
    "webhook_secret": Kind("a str", (str,)),
}

# PyJWT warns below 32 bytes, and RFC 7518 section 3.2 demands as many as the hash is long.
_SHORTEST_SECRET_BYTES = 32


class EmulatorError(RuntimeError):
    """The emulator cannot start or was used outside its ``async with``; the message says why."""


def _long_enough(
    _settings: Settings, _attribute: Attribute[Mapping[str, str]], keys: Mapping[str, str]
) -> None:
    if any(len(secret.encode()) < _SHORTEST_SECRET_BYTES for secret in keys.values()):
        raise ValueError(
            f"a secret key must have at least {_SHORTEST_SECRET_BYTES} bytes to sign with HS256"
        )


def _kind(_settings: Settings, attribute: Attribute[Any], value: object) -> None:
    check_arguments(_KINDS, {attribute.name: value})


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_speed(_settings: Settings, _attribute: Attribute[float], speed: float) -> None:
    lowest, highest = _SPEEDS
    if not (_is_number(speed) and lowest <= speed <= highest):
        raise ValueError(f"speed must be a number from {lowest:g} to {highest:g}, not {speed!r}")


def _is_span(_settings: Settings, attribute: Attribute[float], seconds: float) -> None:
    if not (_is_number(seconds) and 0 <= seconds <= _LONGEST_S):
        raise ValueError(
            f"{attribute.name} must be seconds from 0 to {_LONGEST_S:g}, not {seconds!r}"
        )


def _is_flag(_settings: Settings, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {type(value).__name__}")


def _keys(keys: Collection[str]) -> tuple[str, ...]:
    # A single str would be taken for many keys of one letter; without a key it is rejected.
    return () if isinstance(keys, str) else tuple(keys)


def _has_keys(_settings: Settings, attribute: Attribute[Any], keys: Collection[str]) -> None:
    texts = [*keys, *(keys.values() if isinstance(keys, Mapping) else ())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{attribute.name} must hold keys as str alone")
    if not keys or not all(keys):
        raise ValueError(f"{attribute.name} must hold at least one key, and no empty one")
    for problem in filter(None, map(key_problem, texts)):  # a client would reject it
        raise ValueError(f"{attribute.name} must hold keys alone; one {problem}")


def _is_signing_secret(
    _settings: Settings, _attribute: Attribute[str | None], secret: str | None
) -> None:
    """Source: Standard Webhooks, "symmetric secrets": ``whsec_`` and base64."""
    if secret is None:
        return
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("webhook_secret must be whsec_ and base64, such as whsec_c2VjcmV0")


def _are_seconds(_settings: Settings, _attribute: Attribute[Any], seconds: TaskSeconds) -> None:
    if callable(seconds):
        return
    bounds = seconds if isinstance(seconds, tuple) else (seconds, seconds)
    are_numbers = len([bound for bound in bounds if _is_number(bound)]) == len(bounds) == 2
    if not (are_numbers and 0 <= bounds[0] <= bounds[1] <= _LONGEST_S):
        raise ValueError(
            f"task_seconds must be seconds or (low, high), 0 to {_LONGEST_S:g}, not {seconds!r}"
        )


def _are_units(_settings: Settings, attribute: Attribute[Any], units: str | Decimal) -> None:
    try:
        is_number = Decimal(units).is_finite() and Decimal(units) >= 0
    except InvalidOperation:
        is_number = False
    if not is_number:
        raise ValueError(f"{attribute.name} must be a number of units such as 2 or 3.5")


def _texts(prices: Mapping[str, object]) -> Any:
    """The prices as the wire wants them, as texts."""
    if not isinstance(prices, Mapping):
        return prices  # the validator says what is wrong
    return {scene: str(units) for scene, units in prices.items()}


def _are_prices(settings: Settings, attribute: Attribute[Any], prices: Mapping[str, str]) -> None:
    for units in prices.values():
        _are_units(settings, attribute, units)


def _decimal(units: str | float | Decimal | None) -> Decimal | str | None:
    if units is None:
        return None
    try:
        return Decimal(str(units))
    except InvalidOperation:
        return str(units)  # the validator says what is wrong


def _new_bearer_keys() -> tuple[str, ...]:
    """A key that nobody else on this machine can guess."""
    return (f"emulator-{secrets.token_hex(16)}",)


def _new_access_keys() -> Mapping[str, str]:
    return MappingProxyType({"emulator-access-key": secrets.token_hex(_SHORTEST_SECRET_BYTES)})


@frozen(kw_only=True)
class Settings:
    """The arguments of ``Emulator``; its docstring explains them."""

    host: str = field(default="127.0.0.1", validator=_kind)
    port: int = field(default=0, validator=[_kind, validators.ge(0), validators.le(65535)])
    speed: float = field(default=1.0, validator=_is_speed)
    reply_shape: ReplyShape = field(default=ReplyShape.FLAT, converter=ReplyShape)
    slots: int | None = field(
        default=None, validator=[_kind, validators.optional(validators.ge(1))]
    )
    task_seconds: TaskSeconds = field(default=(40.0, 90.0), validator=_are_seconds)
    refresh_s: float = field(default=0.0, validator=_is_span)
    repeated_external_id: RepeatedId = field(default=RepeatedId.REJECT, converter=RepeatedId)
    unknown_task: UnknownTask | None = field(
        default=None, converter=converters.optional(UnknownTask)
    )
    retired_scenes: RetiredScenes = field(default=RetiredScenes.ACCEPT, converter=RetiredScenes)
    requires_model_fields: bool = field(default=True, validator=_is_flag)
    finds_external_ids: bool = field(default=True, validator=_is_flag)
    lists_tasks: bool = field(default=True, validator=_is_flag)
    bearer_keys: tuple[str, ...] = field(
        factory=_new_bearer_keys, converter=_keys, validator=_has_keys, repr=False
    )
    access_keys: Mapping[str, str] = field(
        factory=_new_access_keys, validator=[_kind, _has_keys, _long_enough], repr=False
    )
    webhook_secret: str | None = field(
        default=None, validator=[_kind, _is_signing_secret], repr=False
    )
    clips: Clips = field(default=Clips.PREVIEW, converter=Clips)
    units: str = field(default="2", converter=str, validator=_are_units)
    units_per_scene: Mapping[str, str] = field(
        factory=dict, converter=_texts, validator=[_kind, _are_prices]
    )
    balance_units: Decimal | None = field(
        default=None, converter=_decimal, validator=validators.optional(_are_units)
    )
    max_tasks: int = field(default=MAX_TASKS, validator=[_kind, validators.ge(1)])
    max_clip_bytes: int = field(default=MAX_CLIP_BYTES, validator=[_kind, validators.ge(1)])
    max_connections: int = field(default=MAX_CONNECTIONS, validator=[_kind, validators.ge(1)])
    seed: int | None = field(default=None, validator=_kind)
    wall: Callable[[], float] = field(default=time.time, validator=_kind, repr=False)

    def units_of(self, scene: str) -> str:
        """What a finished task of this scene costs, in Kling's resource units."""
        return self.units_per_scene.get(scene, self.units)
