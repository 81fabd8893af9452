"""The clips of a succeeded task, wherever a service puts them.

Kling's own member comes first, then those of its newer API and of gateways; the last resorts are
members that hold an address by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from kling_effects_async.protocol.layers import Layer

__all__ = ["clips_of", "is_url"]

Clip: TypeAlias = dict[str, Any]


def clips_of(inside_out: Sequence[Layer]) -> list[Clip]:
    """A succeeded task's clips, as the wire spells them; empty where there is none."""
    # One kind of member after the other, in all layers: a last resort in Kling's own task must not
    # win over the gateway's own address.
    searches = (_in_a_list, _in_an_address, _in_the_reason, _among_images)
    found = (clips for search in searches for task in inside_out if (clips := search(task)))
    return next(found, [])


def _in_a_list(task: Layer) -> list[Clip]:
    own = _member(task.get("task_result"), "videos")
    lists = (own, task.get("outputs"), task.get("video_result"), task.get("videos"))
    return next((clips for entries in lists if (clips := _clips(entries))), [])


def _in_an_address(task: Layer) -> list[Clip]:
    metadata = _member(task.get("metadata"), "url")
    urls = (task.get("result_url"), task.get("url"), metadata, task.get("video_url"))
    return next(([{"url": str(url).strip()}] for url in urls if is_url(url)), [])


def _in_the_reason(task: Layer) -> list[Clip]:
    """Older new-api keeps a success's address in its ``fail_reason``."""
    reason = task.get("fail_reason")
    return [{"url": str(reason).strip()}] if is_url(reason) else []


def _among_images(task: Layer) -> list[Clip]:
    """The gateway's page documents ``images`` and null ``videos`` for this video task.

    Should it ever answer so, the address there is what was paid for; a download checks what it is.
    """
    return _clips(_member(task.get("task_result"), "images"))


def _clips(entries: object) -> list[Clip]:
    if not isinstance(entries, list):
        return []
    return [_clip(entry) for entry in entries if is_url(_member(entry, "url")) and _moves(entry)]


def _moves(entry: Mapping[str, Any]) -> bool:
    """The newer form's outputs have a type each, and not all of them are videos."""
    return entry.get("type") in (None, "", "video")


def _clip(entry: Mapping[str, Any]) -> Clip:
    names = ("id", "duration", "watermark_url")
    others = {name: entry[name] for name in names if entry.get(name) not in (None, "")}
    return {"url": entry["url"].strip(), **others}


def _member(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def is_url(value: object) -> bool:
    """White space around an address, and the case of its scheme, mean nothing (RFC 3986, 3.1)."""
    return isinstance(value, str) and value.strip()[:8].lower().startswith(("https://", "http://"))
