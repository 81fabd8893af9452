"""Where the videos come from: one stock file for all, or a small pool of render processes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Protocol

from attrs import define, field

from kling_effects_async.emulator.choices import Clips
from kling_effects_async.emulator.clip_folder import ClipFolder
from kling_effects_async.emulator.emulated_clock import EmulatedClock
from kling_effects_async.emulator.errors import EmulatorError
from kling_effects_async.emulator.pictures import read_photographs, with_stand_ins
from kling_effects_async.emulator.submit_request import SubmitRequest
from kling_effects_async.emulator.tasks import UNUSABLE_IMAGE, Clip
from kling_effects_async.log_fields import log_fields
from kling_effects_async.preview import (
    PREVIEW,
    TEST,
    ClipQuality,
    RenderError,
    RenderPool,
    can_render,
    stock_clip,
)

__all__ = ["ClipSource", "RenderedClips", "StockClips", "open_clip_source"]

_log = logging.getLogger(__name__)

_QUALITIES = {Clips.PREVIEW: PREVIEW, Clips.TEST: TEST}


class ClipSource(Protocol):
    """What a clip comes from."""

    def clip_for(self, request: SubmitRequest) -> Clip: ...

    def has_room_for(self, request: SubmitRequest) -> bool: ...

    async def close(self) -> None: ...


@define
class StockClips:
    """The same tiny file for every request: five seconds of real H.264, whatever is submitted."""

    _clip: Clip

    def clip_for(self, request: SubmitRequest) -> Clip:
        return self._clip

    def has_room_for(self, request: SubmitRequest) -> bool:
        return True

    async def close(self) -> None:
        """Nothing to close."""


@define
class RenderedClips:
    """Renders each request in another process, and keeps its clip in a file until the end."""

    _quality: ClipQuality
    _photographs: tuple[bytes, ...] = field(repr=False)
    _clock: EmulatedClock
    _folder: ClipFolder
    _max_waiting_bytes: int
    _waiting_bytes: int = field(default=0, init=False)
    _pool: RenderPool = field(factory=RenderPool, init=False)
    _renders: set[asyncio.Task[None]] = field(factory=set, init=False)

    def clip_for(self, request: SubmitRequest) -> Clip:
        clip = Clip()
        render = asyncio.create_task(self._render(request, clip), name="emulator render")
        self._renders.add(render)
        render.add_done_callback(self._renders.discard)
        self._add_waiting(size_bytes := _size_bytes(request))
        render.add_done_callback(lambda _render: self._add_waiting(-size_bytes))
        return clip

    def has_room_for(self, request: SubmitRequest) -> bool:
        """Pictures wait in memory for a render process; a single request always may."""
        waiting_bytes = self._waiting_bytes + _size_bytes(request)
        # Otherwise a bound below one request would reject everything, for ever.
        return not self._renders or waiting_bytes <= self._max_waiting_bytes

    async def close(self) -> None:
        """End waiting and running renders, and leave no process and no file behind."""
        for render in self._renders:
            render.cancel()
        await asyncio.gather(*self._renders, return_exceptions=True)
        await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(self._folder.clean_up)

    def _add_waiting(self, size_bytes: int) -> None:
        self._waiting_bytes += size_bytes

    async def _render(self, request: SubmitRequest, clip: Clip) -> None:
        try:
            kept = await self._rendered(request)
        except RenderError as error:
            _log.info(
                "no clip of %s: %s",
                request.effect_scene,
                error,
                extra=log_fields("emulator.no_clip", scene=request.effect_scene, error=error),
            )
            clip.finish(self._clock.now_s(), failure=UNUSABLE_IMAGE)
        except Exception as fault:  # This task's outermost edge: delivered as the task's failure.
            _log.warning(
                "rendering %s failed",
                request.effect_scene,
                exc_info=True,
                extra=log_fields("emulator.render_failed", scene=request.effect_scene, error=fault),
            )
            clip.finish(self._clock.now_s(), failure="internal error")
        else:
            clip.finish(self._clock.now_s(), content=kept)

    async def _rendered(self, request: SubmitRequest) -> Path:
        """The file of the clip."""
        images = with_stand_ins(request.images, self._photographs)
        content = await asyncio.wrap_future(
            self._pool.submit(request.effect_scene, images, request.duration_s, self._quality)
        )
        return await asyncio.to_thread(self._folder.keep, content)


def _size_bytes(request: SubmitRequest) -> int:
    return sum(len(image) for image in request.images if isinstance(image, bytes))


def open_clip_source(clips: Clips, clock: EmulatedClock, max_bytes: int) -> ClipSource:
    """Get ready to make clips. Reads files: call it in a thread.

    Raises:
        EmulatorError: rendering needs packages that are not installed.
    """
    if not clips.is_rendered:
        return StockClips(Clip(content=stock_clip(), ready_s=0.0))
    if not can_render():
        raise EmulatorError(
            "rendered clips need two more packages: "
            'pip install "kling-effects-async[emulator]", or use clips=Clips.STOCK'
        )
    photographs = read_photographs()
    return RenderedClips(_QUALITIES[clips], photographs, clock, ClipFolder(max_bytes), max_bytes)
