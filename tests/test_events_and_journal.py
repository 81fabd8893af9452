"""What is reported of jobs that are in a journal; its thread lives in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kling_effects_async import Event, JobState, Journal, TaskEnded
from kling_effects_async.emulator import Clips, Emulator
from tests.support.submits import QUICK, SQUISH


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=0.1, seed=1) as running:
        yield running


async def test_an_end_is_written_down_before_it_is_reported(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Fault 97: an outcome is reported before it is written."""
    states: list[JobState] = []
    async with emulator.client(journal=tmp_path / "jobs.db", **QUICK) as client:
        stream = client.events()
        task = asyncio.ensure_future(client.run(SQUISH, external_task_id="order-1"))
        async for event in stream:
            if isinstance(event, TaskEnded):
                async with Journal(tmp_path / "jobs.db", read_only=True) as reader:
                    states += [job.state for job in await reader.find("order-1")]
                break
        await task
    assert states == [JobState.SUCCEEDED]


async def test_what_the_journal_recalls_is_no_event(emulator: Emulator, tmp_path: Path) -> None:
    heard: list[Event] = []
    journal = tmp_path / "jobs.db"
    async with emulator.client(journal=journal, **QUICK) as client:
        await client.run(SQUISH, external_task_id="order-1")
    async with emulator.client(journal=journal, on_event=heard.append, **QUICK) as client:
        await client.attach(external_task_id="order-1")
    assert heard == []
