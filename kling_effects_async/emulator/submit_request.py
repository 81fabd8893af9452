"""What a submit must contain; pure, from the bytes of a body to a request or a rejection.

Two rule sets. The gateway demands ``model_name`` and a string ``duration``, and ``mode`` where two
pictures are wanted. The newest official page has only the pictures; what else stands in ``input``
is ignored, because it is not documented whether it is rejected.
Source: the gateway's effects pages (single and dual), and K1/K2 effects pages, 2026-09.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import frozen

from kling_effects_async.emulator.json_body import JsonObject, is_unicode, read_json
from kling_effects_async.emulator.rejections import RejectedError

__all__ = [
    "IMAGE_LIMIT_BYTES",
    "EmulatedDialect",
    "ImageUrl",
    "SubmitRequest",
    "read_submit_request",
]

# Source: every effects page, input.image: "at most 10 MB".
IMAGE_LIMIT_BYTES = 10 * 2**20

# Kling's words, without the field's name, for a bad letter and for a data: prefix alike.
# Source: seen at Kling, 2026.
_NOT_BASE64 = "File is not in a valid base64 format"

_SINGLE_MODELS = ("kling-v1-6",)
_DUAL_MODELS = ("kling-v1", "kling-v1-5", "kling-v1-6")
_MODES = ("std", "pro")
_SINGLE_DURATIONS = ("5",)
_DUAL_DURATIONS = ("5", "10")
_DEFAULT_DURATION_S = 5

# Source: RFC 3986, section 2: what no address may have in it, spaces and controls among them.
_FORBIDDEN_IN_URL = re.compile(r'[\s\x00-\x1f\x7f<>"\\^`{|}]')


class EmulatedDialect(enum.Enum):
    """Whose rules a path follows: Kling's own, or those of a gateway before it."""

    GATEWAY = "gateway"
    OFFICIAL = "official"


@frozen
class ImageUrl:
    """A picture given by address. The emulator has no network and never fetches it."""

    url: str


@frozen(kw_only=True)
class SubmitRequest:
    """A submit that passed the checks. ``images``: one, or left and right."""

    effect_scene: str
    images: tuple[bytes | ImageUrl, ...]
    duration_s: int
    callback_url: str | None
    external_task_id: str | None


def read_submit_request(
    body: bytes,
    dialect: EmulatedDialect,
    image_counts: Mapping[str, int],
    *,
    requires_model_fields: bool = True,
) -> SubmitRequest:
    """Check a submit and decode its pictures.

    Args:
        image_counts: every scene that is taken, with how many pictures it needs.
        requires_model_fields: the gateway's own fields must be there; those that are there must
            have documented values in any case.

    Raises:
        RejectedError: with the message naming the field.
    """
    payload = read_json(body)
    scene, count = _read_scene(payload, image_counts)
    given = payload.get("input")
    if not isinstance(given, dict):
        raise RejectedError(1201, "input is required and must be an object")
    if dialect is EmulatedDialect.GATEWAY:
        _check_gateway_fields(given, is_dual=count == 2, are_required=requires_model_fields)
    return SubmitRequest(
        effect_scene=scene,
        images=_read_images(given, count),
        duration_s=_duration_s(given, dialect),
        callback_url=_callback_url(payload),
        external_task_id=_optional_text(payload, "external_task_id"),
    )


def _read_scene(payload: JsonObject, image_counts: Mapping[str, int]) -> tuple[str, int]:
    """The scene and its number of pictures.

    One of the official pages spells ``let's_ride`` with a curly apostrophe (U+2019), so that both
    spellings are sent; they mean one scene.
    """
    given = _text(payload, "effect_scene")
    scene = given.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    count = image_counts.get(scene)
    if count is None:
        raise RejectedError(1201, f"effect_scene value '{given}' is invalid")
    return scene, count


def _check_gateway_fields(given: JsonObject, *, is_dual: bool, are_required: bool) -> None:
    fields = {
        "model_name": _DUAL_MODELS if is_dual else _SINGLE_MODELS,
        "duration": _DUAL_DURATIONS if is_dual else _SINGLE_DURATIONS,
    } | ({"mode": _MODES} if is_dual else {})
    for name, allowed in fields.items():
        if are_required or name in given:
            _one_of(given, name, allowed)


def _duration_s(given: JsonObject, dialect: EmulatedDialect) -> int:
    if dialect is EmulatedDialect.OFFICIAL:
        return _DEFAULT_DURATION_S
    # Checked before: one of the documented durations, where there is one.
    return int(str(given.get("duration", _DEFAULT_DURATION_S)))


def _read_images(given: JsonObject, count: int) -> tuple[bytes | ImageUrl, ...]:
    if count == 1:
        return (_read_image(_text(given, "image", within="input."), "input.image"),)
    images = given.get("images")
    if not isinstance(images, list) or len(images) != count:
        raise RejectedError(1201, f"input.images is required and must hold exactly {count} images")
    return tuple(_read_image(image, f"input.images[{n}]") for n, image in enumerate(images))


def _read_image(value: object, name: str) -> bytes | ImageUrl:
    if not isinstance(value, str) or not value or not is_unicode(value):
        raise RejectedError(1201, f"{name} must be a non-empty string")
    # Before base64: an address has letters that base64 lacks, so nothing can be both.
    if value.startswith(("http://", "https://")):
        return ImageUrl(value)
    try:
        image = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise RejectedError(1201, _NOT_BASE64) from None
    if len(image) > IMAGE_LIMIT_BYTES:
        raise RejectedError(1201, f"{name} is larger than 10MB")
    return image


def _one_of(given: JsonObject, name: str, allowed: tuple[str, ...]) -> None:
    value = _text(given, name, within="input.")
    if value not in allowed:
        raise RejectedError(1201, f"input.{name} value '{value}' is invalid")


def _text(given: JsonObject, name: str, *, within: str = "") -> str:
    value = given.get(name)
    if value is None:
        raise RejectedError(1201, f"{within}{name} is required")
    if not isinstance(value, str):
        raise RejectedError(1201, f"{within}{name} must be a string")
    if not value:
        raise RejectedError(1201, f"{within}{name} must not be empty")
    return value


def _optional_text(payload: JsonObject, name: str) -> str | None:
    """A text that may stay away. Empty is the same: Kling's own pages send ``""`` for none.

    ``null`` is rejected, a choice: the pages have "optional string", and null is none.
    """
    if name not in payload:
        return None
    value = payload[name]
    if not isinstance(value, str) or not is_unicode(value):
        raise RejectedError(1201, f"{name} must be a string of Unicode letters")
    return value or None


def _callback_url(payload: JsonObject) -> str | None:
    """The address, if there is one. The rejection does not repeat it: it may carry a secret."""
    url = _optional_text(payload, "callback_url")
    if url is not None and not _is_http_url(url):
        raise RejectedError(1201, "callback_url value is invalid: it must be an http(s) address")
    return url


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or a bracketed host that is none
        return False
    return has_host and parts.scheme in ("http", "https") and not _FORBIDDEN_IN_URL.search(url)
