"""From a finished task to its clip in a file, with a fresh address where the old one expired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from kling_effects_async.api import EffectsApi
from kling_effects_async.errors import ClientClosedError
from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot, Video
from kling_effects_async.policy import MAX_VIDEO_BYTES
from kling_effects_async.protocol.services import Service
from kling_effects_async.transport.border import CallersOwn, frameless
from kling_effects_async.transport.clock import Clock
from kling_effects_async.transport.proxies import Proxies

if TYPE_CHECKING:
    from kling_effects_async.downloading.downloader import Downloader, Progress
    from kling_effects_async.downloading.open_writes import OpenWrites
    from kling_effects_async.downloading.renewal import Renewed
    from kling_effects_async.downloading.sink import Sink
    from kling_effects_async.downloading.stream import OpenedVideo, VideoStream
    from kling_effects_async.downloading.writers import BinaryWriter

__all__ = ["Delivery"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Delivery:
    """Downloads clips; its connections are opened at the first one.

    Args:
        refresh: queries a task by its id.
        grace_s: how long a clip may be announced and not there.
        rng: a source of numbers in [0, 1).
        on_bytes: called with the number of bytes of each chunk that came.
    """

    def __init__(
        self,
        api: EffectsApi,
        service: Service,
        *,
        refresh: Callable[[str], Awaitable[TaskSnapshot]],
        grace_s: float,
        proxies: Proxies,
        clock: Clock,
        rng: Callable[[], float],
        on_bytes: Callable[[int], None],
    ) -> None:
        self._on_bytes = on_bytes
        self._api = api
        self._service = service
        self._refresh = refresh
        self._grace_s = grace_s
        self._proxies = proxies
        self._clock = clock
        self._rng = rng
        self._downloader: Downloader | None = None
        self._writes: OpenWrites | None = None
        self._streams: set[OpenedVideo] = set()
        self._is_closed = False
        # Weak: a lock is of no use once nobody holds or awaits it.
        self._turns: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def download_once(
        self,
        path: Path,
        video: Video,
        *,
        is_known: Callable[[Path], Awaitable[bool]],
        note: Callable[[Path], Awaitable[None]],
    ) -> None:
        """Download the clip to this name; a file that is there already is not replaced.

        Args:
            is_known: whether a file of this name is the clip. Another one is compared with it.
            note: writes down that it is.

        Raises:
            DownloadError: another file has the name.
        """
        async with self._turns.setdefault(path, asyncio.Lock()):  # the same effect may come twice
            if not await asyncio.to_thread(path.exists):
                await self.download(video, path)
            elif not await is_known(path):
                await self._check_same(video, path)
            await note(path)

    async def _check_same(self, video: Video, path: Path) -> None:
        """Fetch the clip once more, and compare it with a file, as after a crash."""
        from kling_effects_async.downloading.comparison import Comparison

        comparison = await asyncio.to_thread(Comparison, path)
        try:
            await self.write(video, comparison)
            await asyncio.to_thread(comparison.check_end)
        finally:
            comparison.close()

    async def download(
        self,
        video: Video,
        path: Path,
        *,
        overwrite: bool = False,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Progress | None = None,
    ) -> Path:
        """See ``EffectsClient.download``."""
        own = None if on_progress is None else CallersOwn(on_progress)

        async def fetch(url: str) -> Path:
            return await self._opened().download(
                url, path, overwrite=overwrite, max_bytes=max_bytes, on_progress=own
            )

        downloaded = await frameless(self._fetched(video, fetch), *filter(None, [own]))
        _log.info(
            "the clip of task %s is downloaded to %s",
            video.task_id,
            downloaded,
            extra=log_fields("clip.downloaded", task_id=video.task_id, path=str(downloaded)),
        )
        return downloaded

    async def write(
        self,
        video: Video,
        target: BinaryWriter,
        *,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Progress | None = None,
    ) -> int:
        """Write a clip to the caller's file or writer; the number of its bytes."""
        from kling_effects_async.downloading.open_writes import NEXT_STEP, OpenWrites
        from kling_effects_async.downloading.passing_sink import PassingSink
        from kling_effects_async.downloading.writers import Writing, check_writer

        check_writer(target)
        writing = Writing(target)
        own = None if on_progress is None else CallersOwn(on_progress)
        sink = PassingSink(writing.write, next_step=NEXT_STEP)

        async def fetch(url: str) -> None:
            await self._opened().transfer(url, sink, max_bytes=max_bytes, on_progress=own)

        self._writes = self._writes or OpenWrites()
        owns = filter(None, [own, *writing.calls])
        await self._writes.run(frameless(self._fetched(video, fetch), *owns))
        return sink.handed_bytes

    @asynccontextmanager
    async def open_video(self, video: Video, *, max_bytes: int) -> AsyncIterator[VideoStream]:
        """See ``EffectsClient.open_video``."""
        from kling_effects_async.downloading.stream import OpenedVideo

        async def transfer(sink: Sink) -> None:
            async def fetch(url: str) -> None:
                await self._opened().transfer(url, sink, max_bytes=max_bytes)

            await self._fetched(video, fetch)

        if self._is_closed:
            raise ClientClosedError("the client was closed before the video was opened")
        opened = OpenedVideo(transfer)
        self._streams.add(opened)
        try:
            yield await opened.stream()
        finally:
            self._streams.discard(opened)
            await opened.aclose()

    async def _fetched(self, video: Video, fetch: Callable[[str], Awaitable[T]]) -> T:
        from kling_effects_async.downloading.renewal import download_renewed

        return await download_renewed(
            fetch,
            partial(self._renewed, video),
            video.url,
            grace_s=self._grace_s,
            clock=self._clock,
            rng=self._rng,
        )

    async def aclose(self) -> None:
        """Close every connection; streams and writes to objects end with an error."""
        self._is_closed = True
        for opened in list(self._streams):
            await opened.client_closed()
        if self._downloader is not None:
            await self._downloader.aclose()
        if self._writes is not None:
            await self._writes.aclose()

    def _opened(self) -> Downloader:
        if self._downloader is None:
            from kling_effects_async.downloading.downloader import Downloader

            self._downloader = Downloader(
                clock=self._clock,
                # The caller has chosen it, so it may lead into the caller's own network.
                allowed_origin=self._service.base_url,
                proxies=self._proxies,
                on_bytes=self._on_bytes,
            )
        return self._downloader

    async def _renewed(self, video: Video) -> Renewed | None:
        """The video with the address that the service gives now."""
        from kling_effects_async.downloading.renewal import Renewed

        if video.task_id is None:
            return None
        snapshot = await self._refresh(video.task_id)
        # The journal keeps addresses alone, and an effect makes exactly one video.
        same = [fresh for fresh in snapshot.videos if video.id in (None, fresh.id)]
        is_new = self._api.recent_tasks.is_new(snapshot)
        return Renewed(same[0].url, is_new=is_new) if same else None
