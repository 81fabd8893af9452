"""What an emulator can be set to: frozen, checked when made."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from attrs import converters, field, frozen, validators

from kling_effects_async.emulator import settings_checks as checks
from kling_effects_async.emulator.bounds import MAX_CLIP_BYTES, MAX_CONNECTIONS, MAX_TASKS
from kling_effects_async.emulator.choices import (
    CallbackShape,
    Clips,
    RepeatedId,
    ReplyShape,
    RetiredScenes,
    UnknownTask,
)
from kling_effects_async.emulator.settings_checks import TaskSeconds

__all__ = ["EmulatorSettings", "TaskSeconds"]


def _new_bearer_keys() -> tuple[str, ...]:
    """A key that nobody else on this machine can guess."""
    return (f"emulator-{secrets.token_hex(16)}",)


def _new_access_keys() -> Mapping[str, str]:
    return MappingProxyType({"emulator-access-key": secrets.token_hex(checks.MIN_SECRET_BYTES)})


@frozen(kw_only=True)
class EmulatorSettings:
    """The arguments of ``Emulator``; its docstring explains them."""

    host: str = field(default="127.0.0.1", validator=checks.has_kind)
    port: int = field(
        default=0, validator=[checks.has_kind, validators.ge(0), validators.le(65535)]
    )
    speed: float = field(default=1.0, validator=checks.is_speed)
    reply_shape: ReplyShape = field(default=ReplyShape.FLAT, converter=ReplyShape)
    slots: int | None = field(
        default=None, validator=[checks.has_kind, validators.optional(validators.ge(1))]
    )
    task_seconds: TaskSeconds = field(default=(40.0, 90.0), validator=checks.are_seconds)
    refresh_s: float = field(default=0.0, validator=checks.is_duration)
    repeated_external_id: RepeatedId = field(default=RepeatedId.REJECT, converter=RepeatedId)
    unknown_task: UnknownTask | None = field(
        default=None, converter=converters.optional(UnknownTask)
    )
    retired_scenes: RetiredScenes = field(default=RetiredScenes.ACCEPT, converter=RetiredScenes)
    requires_model_fields: bool = field(default=True, validator=checks.is_flag)
    finds_external_ids: bool = field(default=True, validator=checks.is_flag)
    lists_tasks: bool = field(default=True, validator=checks.is_flag)
    bearer_keys: tuple[str, ...] = field(
        factory=_new_bearer_keys, converter=checks.to_keys, validator=checks.has_keys, repr=False
    )
    access_keys: Mapping[str, str] = field(
        factory=_new_access_keys,
        validator=[checks.has_kind, checks.has_keys, checks.are_long_secrets],
        repr=False,
    )
    webhook_secret: tuple[str, ...] = field(
        default=(),
        converter=checks.to_secrets,
        validator=checks.are_webhook_secrets,
        repr=False,
    )
    callback_shape: CallbackShape = field(default=CallbackShape.LEGACY, converter=CallbackShape)
    callback_attempts: int = field(default=1, validator=[checks.has_kind, validators.ge(1)])
    callback_retry_s: float = field(default=5.0, validator=checks.is_duration)
    gateway_task_ids: bool = field(default=False, validator=checks.is_flag)
    clips: Clips = field(default=Clips.PREVIEW, converter=Clips)
    units: str = field(default="2", converter=str, validator=checks.are_units)
    units_per_scene: Mapping[str, str] = field(
        factory=dict, converter=checks.to_prices, validator=[checks.has_kind, checks.are_prices]
    )
    balance_units: Decimal | None = field(
        default=None, converter=checks.to_decimal, validator=validators.optional(checks.are_units)
    )
    max_tasks: int = field(default=MAX_TASKS, validator=[checks.has_kind, validators.ge(1)])
    max_clip_bytes: int = field(
        default=MAX_CLIP_BYTES, validator=[checks.has_kind, validators.ge(1)]
    )
    max_connections: int = field(
        default=MAX_CONNECTIONS, validator=[checks.has_kind, validators.ge(1)]
    )
    seed: int | None = field(default=None, validator=checks.has_kind)
    wall: Callable[[], float] = field(default=time.time, validator=checks.has_kind, repr=False)

    def units_of(self, scene: str) -> str:
        """What a finished task of this scene costs, in Kling's resource units."""
        return self.units_per_scene.get(scene, self.units)
