"""What a submit must look like; pure, from body bytes to an order or a refusal.

Two rule sets. The gateway demands ``model_name`` and a string ``duration``, and ``mode`` where two
pictures are wanted. The newest official page has only the pictures; what else stands in ``input``
is passed over, because no document says whether it is refused.
Source: the gateway's effects pages (single and dual), and K1/K2 effects pages, 2026-09.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
from collections.abc import Mapping
from typing import TypeAlias

from attrs import frozen

__all__ = ["IMAGE_LIMIT_BYTES", "Dialect", "ImageUrl", "Order", "RefusedError", "read_order"]

# Source: every effects page, input.image: "at most 10 MB".
IMAGE_LIMIT_BYTES = 10 * 2**20

_JsonObject: TypeAlias = Mapping[str, object]
_SINGLE_MODELS = ("kling-v1-6",)
_DUAL_MODELS = ("kling-v1", "kling-v1-5", "kling-v1-6")
_MODES = ("std", "pro")
_SINGLE_DURATIONS = ("5",)
_DUAL_DURATIONS = ("5", "10")


class Dialect(enum.Enum):
    """Whose rules the path belongs to."""

    GATEWAY = "gateway"
    OFFICIAL = "official"


class RefusedError(Exception):
    """A request the service says no to, before anything was created.

    Attributes:
        code: Kling's business code; ``refusals`` knows its HTTP status.
        message: says which field, as the error-codes page promises for 1201; empty: the code's own.
        status: the HTTP status where it is not the code's own.
    """

    def __init__(self, code: int, message: str = "", *, status: int | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status


@frozen
class ImageUrl:
    """A picture given by address. The emulator has no network and never fetches it."""

    url: str


@frozen(kw_only=True)
class Order:
    """A submit that passed the checks. ``images``: one, or left and right."""

    effect_scene: str
    images: tuple[bytes | ImageUrl, ...]
    duration_s: int
    callback_url: str | None
    external_task_id: str | None


def read_order(body: bytes, dialect: Dialect, image_counts: Mapping[str, int]) -> Order:
    """Check a submit and decode its pictures.

    Args:
        image_counts: every known scene, ended ones included, with how many pictures it takes.

    Raises:
        RefusedError: with the message naming the field.
    """
    payload = _read_json(body)
    scene = _text(payload, "effect_scene")
    count = image_counts.get(scene)
    if count is None:
        raise RefusedError(1201, f"effect_scene value '{scene}' is invalid")
    given = payload.get("input")
    if not isinstance(given, dict):
        raise RefusedError(1201, "input is required and must be an object")
    if dialect is Dialect.GATEWAY:
        _check_gateway_fields(given, is_dual=count == 2)
    return Order(
        effect_scene=scene,
        images=_read_images(given, count),
        duration_s=int(str(given["duration"])) if dialect is Dialect.GATEWAY else 5,
        callback_url=_optional_text(payload, "callback_url"),
        external_task_id=_optional_text(payload, "external_task_id"),
    )


def _read_json(body: bytes) -> _JsonObject:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(1200, "the request body is not valid JSON") from None
    if not isinstance(payload, dict):
        raise RefusedError(1200, "the request body must be a JSON object")
    return payload


def _check_gateway_fields(given: _JsonObject, *, is_dual: bool) -> None:
    _one_of(given, "model_name", _DUAL_MODELS if is_dual else _SINGLE_MODELS)
    _one_of(given, "duration", _DUAL_DURATIONS if is_dual else _SINGLE_DURATIONS)
    if is_dual:
        _one_of(given, "mode", _MODES)


def _read_images(given: _JsonObject, count: int) -> tuple[bytes | ImageUrl, ...]:
    if count == 1:
        return (_read_image(_text(given, "image", within="input."), "input.image"),)
    images = given.get("images")
    if not isinstance(images, list) or len(images) != count:
        raise RefusedError(1201, f"input.images is required and must hold exactly {count} images")
    return tuple(_read_image(image, f"input.images[{n}]") for n, image in enumerate(images))


def _read_image(value: object, name: str) -> bytes | ImageUrl:
    if not isinstance(value, str) or not value:
        raise RefusedError(1201, f"{name} must be a non-empty string")
    if value.startswith(("http://", "https://")):
        return ImageUrl(value)
    if value.startswith("data:"):
        raise RefusedError(1201, f"{name} must be plain base64 without a data: prefix")
    try:
        image = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(1201, f"{name} is neither a URL nor valid base64") from None
    if len(image) > IMAGE_LIMIT_BYTES:
        raise RefusedError(1201, f"{name} is larger than 10MB")
    return image


def _one_of(given: _JsonObject, name: str, allowed: tuple[str, ...]) -> None:
    value = _text(given, name, within="input.")
    if value not in allowed:
        raise RefusedError(1201, f"input.{name} value '{value}' is invalid")


def _text(given: _JsonObject, name: str, *, within: str = "") -> str:
    value = given.get(name)
    if value is None:
        raise RefusedError(1201, f"{within}{name} is required")
    if not isinstance(value, str):
        raise RefusedError(1201, f"{within}{name} must be a string")
    if not value:
        raise RefusedError(1201, f"{within}{name} must not be empty")
    return value


def _optional_text(payload: _JsonObject, name: str) -> str | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, str):
        raise RefusedError(1201, f"{name} must be a string")
    return value or None
