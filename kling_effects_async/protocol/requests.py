"""Requests of the effects API, built and never sent here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from kling_effects_async.arguments import Kind, check_arguments
from kling_effects_async.effects import DualImageEffect, Effect, ImageSource, check_effect
from kling_effects_async.errors import EffectRejectedError
from kling_effects_async.protocol.messages import Base64Of, Body, FileState, Request
from kling_effects_async.protocol.services import InputFields, Service
from kling_effects_async.scenes import catalogue, similar_scenes
from kling_effects_async.web_address import address_label, address_problem, tidied

__all__ = [
    "build_list",
    "build_lookup",
    "build_query",
    "build_submit",
    "check_external_task_id",
    "check_task_id",
    "scene_advice",
]

# Kling documents no limits. An id becomes part of a path, and a character that some proxy decodes
# on the way would make a paid task look unknown; so only what every server leaves alone.
_EXTERNAL_TASK_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:@~=+-]{1,128}")

# The service's own ids are its own choice; these characters are in nobody's.
_NEVER_IN_IDS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ID = Kind("a str", (str,), is_optional=False)

# Stands for an image while the rest of a document is written. A lone surrogate: no text that can be
# sent as UTF-8 has one.
_PLACEHOLDER = "\udfff"

# Every server can be expected to take an address of this length. Source: RFC 9110, 4.1.
_ADDRESS_MAX = 8_000

# Source: Kling's effects page, 2026-09.
PAGE_MAX = 1000
PAGE_SIZE_MAX = 500


def build_submit(
    service: Service,
    effect: Effect,
    *,
    external_task_id: str | None = None,
    callback_url: str | None = None,
    files: Mapping[Path, FileState] = MappingProxyType({}),
) -> Request:
    """The request that creates (and charges for) one task.

    Args:
        files: what the image files were when they were checked; needed only to send it.

    Raises:
        EffectRejectedError: the effect, the id or the callback URL cannot be meant; says why.
        TypeError: it is no effect, or the callback URL no ``str``.
    """
    check_effect(effect, call="submit")
    _check_image_count(effect)
    if external_task_id is not None:
        check_external_task_id(external_task_id)
    document = {
        "effect_scene": effect.scene,
        "input": _input(service, effect, files),
        "callback_url": None if callback_url is None else _callback_address(callback_url),
        "external_task_id": external_task_id,
    }
    return Request(
        method="POST",
        path=service.effects_path,
        body=_body({name: value for name, value in document.items() if value is not None}),
        is_repeatable=False,
    )


def build_query(service: Service, task_id: str) -> Request:
    """The request for one task by the service's own id."""
    return _get_one(service, task_id, what="task_id")


def build_lookup(service: Service, external_task_id: str) -> Request:
    """The request for one task by the caller's id: the same path, where the service allows it."""
    return _get_one(service, external_task_id, what="external_task_id")


def build_list(service: Service, *, page: int = 1, page_size: int = 30) -> Request:
    """The request for one page of the account's tasks.

    Raises:
        ValueError: ``page`` is not within 1-1000, or ``page_size`` not within 1-500.
    """
    if not 1 <= page <= PAGE_MAX:
        raise ValueError(f"page must be 1 to {PAGE_MAX}, not {page}")
    if not 1 <= page_size <= PAGE_SIZE_MAX:
        raise ValueError(f"page_size must be 1 to {PAGE_SIZE_MAX}, not {page_size}")
    query = (("pageNum", str(page)), ("pageSize", str(page_size)))
    return Request(method="GET", path=service.effects_path, query=query, is_repeatable=True)


def check_external_task_id(external_task_id: str) -> None:
    """Reject an id that could be mangled on its way.

    Raises:
        EffectRejectedError: it is empty, longer than 128, or has other than plain characters.
        TypeError: it is no ``str``.
    """
    check_arguments({"external_task_id": _ID}, {"external_task_id": external_task_id})
    if not _EXTERNAL_TASK_ID.fullmatch(external_task_id):
        raise EffectRejectedError(
            f"external_task_id {external_task_id[:40]!r} is not safe in a path: "
            "use 1 to 128 of the characters A-Z a-z 0-9 . _ : @ ~ = + -"
        )


def check_task_id(task_id: str) -> None:
    """Reject what no service can have as the id of a task.

    Raises:
        EffectRejectedError: it is blank, a dot or two, or has control characters or a surrogate.
        TypeError: it is no ``str``.
    """
    check_arguments({"task_id": _ID}, {"task_id": task_id})
    _check_segment(task_id, what="task_id")


def scene_advice(service: Service, scene: str) -> str | None:
    """What a caller should know about a scene before paying for it; ``None`` if nothing."""
    info = catalogue().get(scene)
    if info is None:
        similar = similar_scenes(scene)
        hint = f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""
        return f"scene {scene!r} is in no known list; it is sent as it is{hint}"
    if service.dialect.name == "official" and not info.is_listed:
        since = f" (end announced for {info.ended})" if info.ended else ""
        return f"scene {scene!r} is not in Kling's newest list{since}; it may be rejected"
    return None


def _get_one(service: Service, any_id: str, *, what: str) -> Request:
    _check_segment(any_id, what=what)
    path = f"{service.effects_path}/{quote(any_id, safe='')}"
    return Request(method="GET", path=path, is_repeatable=True)


def _check_segment(any_id: str, *, what: str) -> None:
    if any_id.strip() in ("", ".", "..") or _NEVER_IN_IDS.search(any_id):
        raise EffectRejectedError(f"{what} must be an id, not {any_id[:40]!r}")


def _callback_address(url: str) -> str:
    if not isinstance(url, str):
        raise TypeError(f"callback_url must be a str, not {type(url).__name__}")
    address = tidied(url)
    if len(address) > _ADDRESS_MAX:
        raise EffectRejectedError(
            f"callback_url must have at most {_ADDRESS_MAX:,} characters, not {len(address):,}: "
            "keep what it carries on your side, and put a short id for it into the address"
        )
    problem = address_problem(address)
    if problem is not None:
        raise EffectRejectedError(
            f"callback_url must be an http(s) URL, not {address_label(address)[:40]!r}: {problem}"
        )
    return address


def _check_image_count(effect: Effect) -> None:
    info = catalogue().get(effect.scene)
    if info is None or info.images == len(effect.images):
        return
    right, wrong = (
        ("DualImageEffect with left= and right=", "one image")
        if info.images == 2
        else ("SingleImageEffect with image=", "two images")
    )
    raise EffectRejectedError(f"scene {effect.scene!r} does not take {wrong}: use {right}")


def _input(service: Service, effect: Effect, files: Mapping[Path, FileState]) -> dict[str, object]:
    is_dual = isinstance(effect, DualImageEffect)
    fields = service.dialect.dual if is_dual else service.dialect.single
    images = [_wire_image(image, files) for image in effect.images]
    members = {
        "model_name": _choose(service, fields, "model_name", effect.model_name, fields.model_names),
        "mode": _mode(service, effect, fields),
        "images" if is_dual else "image": images if is_dual else images[0],
        "duration": _duration(service, effect, fields),
    }
    return {name: value for name, value in members.items() if value is not None}


def _mode(service: Service, effect: Effect, fields: InputFields) -> str | None:
    wanted = effect.mode if isinstance(effect, DualImageEffect) else None
    mode: str | None = _choose(service, fields, "mode", wanted, fields.modes)
    return mode


def _duration(service: Service, effect: Effect, fields: InputFields) -> str | None:
    seconds = _choose(service, fields, "duration_s", effect.duration_s, fields.durations_s)
    return None if seconds is None else str(seconds)  # the wire wants text: "5"


def _choose(
    service: Service, fields: InputFields, name: str, wanted: Any, allowed: tuple[Any, ...]
) -> Any:
    if wanted is None:
        return allowed[0] if allowed and fields.sends_defaults else None
    if wanted in allowed:
        return wanted
    if not allowed:
        raise EffectRejectedError(
            f"{service.name} has no {name} for this effect any more: leave it out"
        )
    raise EffectRejectedError(
        f"{service.name} does not take {name}={wanted!r} for this effect: "
        f"use {' or '.join(map(repr, allowed))}"
    )


def _wire_image(image: ImageSource, files: Mapping[Path, FileState]) -> str | Base64Of:
    if isinstance(image, str):
        return image
    return Base64Of(image, files.get(image) if isinstance(image, Path) else None)


def _body(document: Mapping[str, object]) -> Body:
    """The document as JSON chunks, with a ``Base64Of`` for each image."""
    images: list[Base64Of] = []

    def leave_out(image: Base64Of) -> str:
        images.append(image)
        return _PLACEHOLDER

    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=leave_out).encode
    try:
        first, *others = (text.encode() for text in encode(document).split(_PLACEHOLDER))
        after = [chunk for pair in zip(images, others, strict=True) for chunk in pair]
    except ValueError:
        raise EffectRejectedError(
            "a text of this effect is not Unicode (a lone surrogate): check its scene and addresses"
        ) from None
    return (first, *after)
