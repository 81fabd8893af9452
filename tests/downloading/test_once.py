"""A clip that several want under one name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kling_effects_async import Service, Video
from kling_effects_async.delivery import Delivery
from kling_effects_async.transport.clock import SystemClock
from kling_effects_async.transport.proxies import Proxies

NOT_USED: Any = None  # no clip is fetched


async def test_a_clip_is_written_down_before_the_next_one_asks_for_it(tmp_path: Path) -> None:
    """Otherwise that one would fetch it again, to compare it with the file."""
    path = tmp_path / "cat-squish.mp4"
    await asyncio.to_thread(path.write_bytes, b"a clip")
    happened: list[str] = []

    async def is_known(_path: Path) -> bool:
        happened.append("asked")
        return True

    async def note(_path: Path) -> None:
        happened.append("begun")
        await asyncio.sleep(0.02)
        happened.append("written")

    delivery = Delivery(
        NOT_USED,
        Service.vapi(),
        refresh=NOT_USED,
        grace_s=0.0,
        proxies=Proxies(),
        clock=SystemClock(),
        rng=NOT_USED,
        on_bytes=NOT_USED,
    )
    video = Video(url="https://v.example/a.mp4")
    once = (delivery.download_once(path, video, is_known=is_known, note=note) for _ in range(2))
    await asyncio.gather(*once)
    assert happened == ["asked", "begun", "written"] * 2
