"""What an emulator can be told to be: frozen, checked when made."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from attrs import Attribute, field, frozen, validators

__all__ = [
    "DEFAULT_ACCESS_KEYS",
    "Clips",
    "EmulatorError",
    "RepeatedId",
    "ReplyShape",
    "Settings",
    "TaskSeconds",
]

TaskSeconds: TypeAlias = float | tuple[float, float] | Callable[[str], float]
"""How long tasks take, in emulated seconds: always, uniformly between two, or by scene."""

DEFAULT_ACCESS_KEYS: Mapping[str, str] = MappingProxyType(
    {"emulator-access": "emulator-secret-of-at-least-32-bytes"}
)

# PyJWT warns below 32 bytes, and RFC 7518 section 3.2 demands as many as the hash is long.
_SHORTEST_SECRET_BYTES = 32


class EmulatorError(RuntimeError):
    """The emulator cannot start or was used outside its ``async with``; the message says why."""


class ReplyShape(enum.Enum):
    """How the gateway wraps its answers. The official paths always answer ``FLAT``.

    FLAT: Kling's own envelope, as the gateway's query page shows it.
    UNION: the whole 200 schema of the gateway's create page, every member filled.
    WRAPPED: the new-api envelope of 2025 around Kling's ``data`` object.
    WRAPPED_TWICE: the same around Kling's whole answer, its own envelope included.
    """

    FLAT = "flat"
    UNION = "union"
    WRAPPED = "wrapped"
    WRAPPED_TWICE = "wrapped_twice"


class RepeatedId(enum.Enum):
    """What happens to a submit whose ``external_task_id`` was used before.

    No document says; a client must be right with both.
    """

    REFUSE = "refuse"
    ACCEPT = "accept"


class Clips(enum.Enum):
    """What the videos show.

    PREVIEW and TEST are rendered from the caller's picture, in good and in small; STOCK is one tiny
    real H.264 file for all tasks, for tests that do not look at pictures.
    """

    PREVIEW = "preview"
    TEST = "test"
    STOCK = "stock"

    @property
    def is_rendered(self) -> bool:
        return self is not Clips.STOCK


def _long_enough(
    _settings: Settings, _attribute: Attribute[Mapping[str, str]], keys: Mapping[str, str]
) -> None:
    for access_key, secret in keys.items():
        if len(secret.encode()) < _SHORTEST_SECRET_BYTES:
            raise ValueError(
                f"the secret of access key {access_key!r} must have at least "
                f"{_SHORTEST_SECRET_BYTES} bytes to sign with HS256"
            )


@frozen(kw_only=True)
class Settings:
    """The arguments of ``Emulator``; its docstring explains them."""

    host: str = "127.0.0.1"
    port: int = field(default=0, validator=[validators.ge(0), validators.le(65535)])
    speed: float = field(default=1.0, validator=validators.gt(0))
    reply_shape: ReplyShape = field(default=ReplyShape.FLAT, converter=ReplyShape)
    slots: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    task_seconds: TaskSeconds = (40.0, 90.0)
    refresh_s: float = field(default=0.0, validator=validators.ge(0))
    repeated_external_id: RepeatedId = field(default=RepeatedId.REFUSE, converter=RepeatedId)
    finds_external_ids: bool = True
    lists_tasks: bool = True
    bearer_keys: tuple[str, ...] = field(default=("emulator-key",), repr=False)
    access_keys: Mapping[str, str] = field(
        default=DEFAULT_ACCESS_KEYS, validator=_long_enough, repr=False
    )
    webhook_secret: str | None = field(default=None, repr=False)
    clips: Clips = field(default=Clips.PREVIEW, converter=Clips)
    units: str = "2"
    units_per_scene: Mapping[str, str] = field(factory=dict)
    seed: int | None = None
    wall: Callable[[], float] = field(default=time.time, repr=False)

    def units_of(self, scene: str) -> str:
        """What a finished task of this scene costs, in Kling's resource units."""
        return self.units_per_scene.get(scene, self.units)
