"""A service of five slots, and a client that knows the number."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kling_effects_async import (
    EffectsClient,
    SlotPolicy,
)
from kling_effects_async.emulator import Clips, Emulator
from tests.support.bulk_run import SLOTS


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=(5.0, 15.0), slots=SLOTS, seed=1) as one:
        yield one


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[EffectsClient]:
    async with emulator.client(slots=SlotPolicy(start=SLOTS, maximum=SLOTS)) as one:
        yield one
