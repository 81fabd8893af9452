"""The model of the storage that clips are downloaded from, and what goes wrong with a download.

It takes the place of aiohttp's session for downloads and raises aiohttp's own errors. A clip comes
in three pieces, with a point before each.

Sources: RFC 9110, 13.1.5 and 14 (If-Range, Content-Range); S3's answer to an old signature.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qs

import aiohttp
from yarl import URL

from tests.simulation.world import World

__all__ = ["CLIP_FAULTS", "Storage", "clip_address", "storage_session"]

CLIP_FAULTS = (
    "",
    "refused",
    "cut",
    "stands still",
    "404",
    "410",
    "503",
    "html",
    "no tag",
    "ends early",  # without having said how long it is
    "another",  # from now on it has another encoding of the clip
    "all",  # it ignores the request for a part
)
_VALID_S = 300.0
_PIECES = 3


def clip_address(task_id: str, now_s: float) -> str:
    """A clip's address, signed until a while from now."""
    return f"https://v.example/{task_id}.mp4?until={now_s + _VALID_S:.3f}"


class Storage:
    """The clips of one account.

    Args:
        faults: of the downloads to come, in their order; they are shared by all lives of a run.
    """

    def __init__(self, world: World, faults: deque[str]) -> None:
        self.world = world
        self.faults = faults
        self._versions: dict[str, int] = {}

    def clips(self, task_id: str) -> set[bytes]:
        """All that it has, or had, for this task."""
        return {_clip(task_id, version) for version in range(self._version(task_id) + 1)}

    def answer(self, url: URL, headers: Mapping[str, str], fault: str) -> ClipAnswer:
        task_id = url.path.strip("/").removesuffix(".mp4")
        if fault == "another":
            self._versions[task_id] = self._version(task_id) + 1
        if fault.isdecimal():
            return ClipAnswer(self.world, int(fault))
        if fault == "html":
            return ClipAnswer(
                self.world, 200, {"Content-Type": "text/html"}, b"<html>a page</html>"
            )
        if self._has_expired(url):
            return ClipAnswer(self.world, 403, {}, b"<Message>Request has expired</Message>")
        return self._clip_from(task_id, headers, fault)

    def _clip_from(self, task_id: str, headers: Mapping[str, str], fault: str) -> ClipAnswer:
        version = self._version(task_id)
        clip, tag = _clip(task_id, version), f'"{task_id}-{version}"'
        known = {} if fault == "no tag" else {"ETag": tag}
        part = re.fullmatch(r"bytes=([0-9]+)-", headers.get("Range", ""))
        if part is None or fault == "all" or headers.get("If-Range", tag) != tag:
            length = {} if fault == "ends early" else {"Content-Length": str(len(clip))}
            whole = {"Content-Type": "video/mp4", **length, **known}
            return ClipAnswer(self.world, 200, whole, clip, fault)
        start = int(part[1])
        if start >= len(clip):
            return ClipAnswer(self.world, 416, {"Content-Range": f"bytes */{len(clip)}"})
        named = {"Content-Range": f"bytes {start}-{len(clip) - 1}/{len(clip)}", **known}
        return ClipAnswer(self.world, 206, named, clip[start:], fault)

    def _version(self, task_id: str) -> int:
        return self._versions.get(task_id, 0)

    def _has_expired(self, url: URL) -> bool:
        until = parse_qs(url.query_string).get("until", ["0"])[0]
        return self.world.now_s > float(until)


def _clip(task_id: str, version: int) -> bytes:
    """An MP4's boxes; each version has the same size and other bytes."""
    told = f"{task_id}-{version}".encode() * 3
    return _box(b"ftyp", b"isom") + _box(b"moov", told) + _box(b"mdat", told * 2)


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def storage_session(storage: Storage, *_rule: Any, **_named: Any) -> ClipSession:
    """In place of the function that opens aiohttp's session for downloads."""
    return ClipSession(storage)


class ClipSession:
    """As much of aiohttp's session as a download uses."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def get(self, url: URL, *, headers: Mapping[str, str], **_named: Any) -> ClipAnswer:
        world, faults = self._storage.world, self._storage.faults
        fault = faults.popleft() if faults else ""
        await world.point()
        await asyncio.sleep(world.delay_s())
        if fault == "refused":
            raise aiohttp.ClientOSError(errno.ECONNREFUSED, "Connection refused")
        return self._storage.answer(url, headers, fault)

    async def close(self) -> None:
        await asyncio.sleep(0)


class ClipAnswer:
    """As much of aiohttp's response, and of its content, as a download uses."""

    def __init__(
        self,
        world: World,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        fault: str = "",
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self._world = world
        self._fault = fault
        size = -(-len(body) // _PIECES) or 1
        self._pieces = deque(body[at : at + size] for at in range(0, len(body), size))
        self._is_begun = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        self._pieces.clear()

    @property
    def content(self) -> Self:
        return self

    async def read(self, _size_bytes: int) -> bytes:
        await self._world.point()
        if self._is_begun and self._fault == "cut":
            raise aiohttp.ClientPayloadError("Response payload is not completed")
        if self._is_begun and self._fault == "stands still":
            await asyncio.get_running_loop().create_future()
        if self._is_begun and self._fault == "ends early":
            return b""
        self._is_begun = True
        await asyncio.sleep(self._world.delay_s())
        return self._pieces.popleft() if self._pieces else b""

    def set_exception(self, error: Exception | None) -> None:
        """Nothing that had come is left to be read."""

    def read_nowait(self) -> bytes:
        return b""
