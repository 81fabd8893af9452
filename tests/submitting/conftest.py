"""A service that every test of this folder may use, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kling_effects_async import (
    EffectsClient,
)
from kling_effects_async.emulator import Clips, Emulator


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[EffectsClient]:
    async with emulator.client() as opened:
        yield opened
