"""A service whose tasks take half a minute, and telemetry that is kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kling_effects_async import EffectsClient
from kling_effects_async.emulator import Clips, Emulator
from tests.support.recorded import Recorded


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as running:
        yield running


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
async def client(emulator: Emulator, recorded: Recorded) -> AsyncIterator[EffectsClient]:
    async with emulator.client(telemetry=recorded.telemetry) as opened:
        yield opened
