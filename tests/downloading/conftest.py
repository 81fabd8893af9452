"""A server of one video on loopback, and a downloader that fetches from it without waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kling_effects_async.downloading.downloader import Downloader
from tests.support.video_server import (
    HastyClock,
    VideoServer,
    downloader_for,
    part_of,
)


@pytest.fixture
async def server(target: Path) -> AsyncIterator[VideoServer]:
    async with VideoServer(part_of(target)) as server:
        yield server


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
async def downloader(server: VideoServer, clock: HastyClock) -> AsyncIterator[Downloader]:
    async with downloader_for(server, clock) as downloader:
        yield downloader


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"
