"""Where the videos come from: one stock file for all, or a small pool of render processes."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from attrs import define, field

from kling_effects_async.emulator.clip_folder import ClipFolder
from kling_effects_async.emulator.clock import EmulatedClock
from kling_effects_async.emulator.pictures import read_photographs, with_stand_ins
from kling_effects_async.emulator.settings import Clips, EmulatorError
from kling_effects_async.emulator.tasks import UNUSABLE_IMAGE, Clip
from kling_effects_async.emulator.validation import Order
from kling_effects_async.preview import (
    PREVIEW,
    TEST,
    ClipQuality,
    RenderError,
    RenderPool,
    can_render,
    stock_clip,
)

__all__ = ["RenderedClips", "StockClips", "Studio", "open_studio"]

_log = logging.getLogger(__name__)

_QUALITIES = {Clips.PREVIEW: PREVIEW, Clips.TEST: TEST}


class Studio(Protocol):
    """Makes clips."""

    def clip_for(self, order: Order) -> Clip: ...

    def has_room_for(self, order: Order) -> bool: ...

    async def close(self) -> None: ...


@define
class StockClips:
    """The same tiny file for every order: five seconds of real H.264, whatever was asked for."""

    _clip: Clip

    def clip_for(self, order: Order) -> Clip:
        return self._clip

    def has_room_for(self, order: Order) -> bool:
        return True

    async def close(self) -> None:
        """Nothing to close."""


@define
class RenderedClips:
    """Renders each order in another process, and keeps its clip in a file until the end."""

    _quality: ClipQuality
    _photographs: tuple[bytes, ...] = field(repr=False)
    _clock: EmulatedClock
    _folder: ClipFolder
    _max_waiting_bytes: int
    _waiting_bytes: int = field(default=0, init=False)
    _pool: RenderPool = field(factory=RenderPool, init=False)
    _renders: set[asyncio.Task[None]] = field(factory=set, init=False)

    def clip_for(self, order: Order) -> Clip:
        clip = Clip()
        render = asyncio.create_task(self._render(order, clip), name="emulator render")
        self._renders.add(render)
        render.add_done_callback(self._renders.discard)
        self._wait_for(size_bytes := _size_bytes(order))
        render.add_done_callback(lambda _render: self._wait_for(-size_bytes))
        return clip

    def has_room_for(self, order: Order) -> bool:
        """Pictures wait in memory until it is their turn; a single one always may."""
        waiting_bytes = self._waiting_bytes + _size_bytes(order)
        return not self._renders or waiting_bytes <= self._max_waiting_bytes

    async def close(self) -> None:
        """Drop what waits and what runs, and leave no process and no file behind."""
        for render in self._renders:
            render.cancel()
        await asyncio.gather(*self._renders, return_exceptions=True)
        await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(self._folder.clean_up)

    def _wait_for(self, size_bytes: int) -> None:
        self._waiting_bytes += size_bytes

    async def _render(self, order: Order, clip: Clip) -> None:
        images = with_stand_ins(order.images, self._photographs)
        try:
            content = await asyncio.wrap_future(
                self._pool.submit(order.effect_scene, images, order.duration_s, self._quality)
            )
            kept = await asyncio.to_thread(self._folder.keep, content)
        except RenderError as error:
            _log.info("no clip of %s: %s", order.effect_scene, error)
            clip.finish(self._clock.now_s(), failure=UNUSABLE_IMAGE)
        except Exception:  # This task's outermost edge: delivered as the task's failure.
            _log.warning("rendering %s broke down", order.effect_scene, exc_info=True)
            clip.finish(self._clock.now_s(), failure="internal error")
        else:
            clip.finish(self._clock.now_s(), content=kept)


def _size_bytes(order: Order) -> int:
    return sum(len(image) for image in order.images if isinstance(image, bytes))


def open_studio(clips: Clips, clock: EmulatedClock, max_bytes: int) -> Studio:
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
