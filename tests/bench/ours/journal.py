"""Transitions of the journal, each durable before the next of its job begins."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from kling_effects_async import Job, JobState
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order
from tests.bench.work import SCENE

__all__ = ["measure"]

_ACCOUNT = "official-0123456789ab"
_JOBS_EACH = 100
_WAY = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)
_RESULT = '{"videos": ["https://cdn.klingai.example/bs2/upload-ylab/1.mp4?Signature=k3Jx"]}'


async def measure(order: Order, _url: str) -> list[Figures]:
    """``per_s``: how many transitions a second, from so many coroutines."""
    with TemporaryDirectory(prefix="kling-bench-") as folder:
        async with SqliteStore(Path(folder, "jobs.db")) as journal:
            names = [
                [f"job-{coroutine}-{number}" for number in range(_JOBS_EACH)]
                for coroutine in range(order.count)
            ]
            await asyncio.gather(*(journal.add(_job(name)) for part in names for name in part))
            with Meter(is_profiled=order.is_profiled) as meter:
                await asyncio.gather(*(_see_through(journal, part) for part in names))
    moves = order.count * _JOBS_EACH * len(_WAY)
    return [meter.figures | {"per_s": moves / meter.figures["wall_s"]}]


async def _see_through(journal: SqliteStore, names: list[str]) -> None:
    for name in names:
        for state in _WAY:
            await journal.move(
                _ACCOUNT,
                name,
                JobUpdate(
                    state,
                    task_id=f"task-{name}" if state is JobState.ACCEPTED else None,
                    result=_RESULT if state is JobState.SUCCEEDED else None,
                ),
            )


def _job(name: str) -> Job:
    return Job(
        account=_ACCOUNT,
        external_task_id=name,
        scene=SCENE,
        fingerprint="0" * 64,
        effect='{"scene": "squish", "image": "https://pictures.example/1.jpg"}',
        created_at=datetime.now(UTC),
    )
