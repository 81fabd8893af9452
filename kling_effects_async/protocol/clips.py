"""The clips of a succeeded task, wherever a service puts them.

Kling's own member comes first, then those of its newer API and of gateways; the last resorts are
members that hold an address by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kling_effects_async.protocol.layers import Layer

__all__ = ["clips_of", "is_url"]


def clips_of(inside_out: Sequence[Layer]) -> list[dict[str, Any]]:
    """A succeeded task's clips, as the wire spells them; empty where there is none."""
    for task in inside_out:
        result = _member(task.get("task_result"), "videos")
        for entries in (result, task.get("outputs"), task.get("video_result"), task.get("videos")):
            if found := _clips(entries):
                return found
    for task in inside_out:
        metadata = _member(task.get("metadata"), "url")
        for url in (task.get("result_url"), task.get("url"), metadata, task.get("video_url")):
            if is_url(url):
                return [{"url": str(url).strip()}]
    for task in inside_out:
        if is_url(task.get("fail_reason")):  # older new-api keeps a success's address here
            return [{"url": task["fail_reason"].strip()}]
    for task in inside_out:
        # The gateway's page documents `images` and null `videos` for this video task. Should it
        # ever answer so, the address there is what was paid for; a download checks what it is.
        found = _clips(_member(task.get("task_result"), "images"))
        if found:
            return found
    return []


def _clips(entries: object) -> list[dict[str, Any]]:
    if not isinstance(entries, list):
        return []
    return [_clip(entry) for entry in entries if is_url(_member(entry, "url")) and _moves(entry)]


def _moves(entry: Mapping[str, Any]) -> bool:
    """The newer form's outputs have a type each, and not all of them are videos."""
    return entry.get("type") in (None, "", "video")


def _clip(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "duration", "watermark_url")
    others = {name: entry[name] for name in names if entry.get(name) not in (None, "")}
    return {"url": entry["url"].strip(), **others}


def _member(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def is_url(value: object) -> bool:
    """White space around an address, and the case of its scheme, mean nothing (RFC 3986, 3.1)."""
    return isinstance(value, str) and value.strip()[:8].lower().startswith(("https://", "http://"))
