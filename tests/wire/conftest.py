"""An emulator, and the proxy through which the clients of this folder reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kling_effects_async.emulator import Clips, Emulator
from tests.support.fault_proxy import FaultProxy


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as running:
        yield running


@pytest.fixture
async def proxy(emulator: Emulator) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(emulator.url) as running:
        yield running
