"""What the tests of submits share: an effect, a lost answer, quick policies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kling_effects_async import (
    EffectsClient,
    InvalidRequestError,
    NetworkError,
    PollPolicy,
    RetryPolicy,
    SingleImageEffect,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Fault
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.paid_service import ACCOUNT, Failure

__all__ = [
    "LOST",
    "QUICK",
    "SQUISH",
    "URL",
    "USED",
    "seconds_taken",
    "state_in",
    "told_about",
]

URL = "https://img.example/a.jpg"
SQUISH = SingleImageEffect("squish", image=URL)
USED = Failure(error=InvalidRequestError("External_task_id a already exists", code=1201))
LOST = Fault.cut_after_reading(accepted=False)
# For flows with a journal: its thread lives in real time, so the loop must not fast-forward.
QUICK: dict[str, Any] = {
    "account": ACCOUNT,
    "poll": PollPolicy(shortest_s=0.05),
    "retry": RetryPolicy(attempts=3, base_s=0.01),
    "submit": SubmitPolicy(settle_pause_s=0.02),
}


async def seconds_taken(act: Any) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await act
    return loop.time() - started


async def state_in(journal: Path, name: str) -> JobState:
    async with SqliteStore(journal, read_only=True) as reader:
        (job,) = await reader.find(name)
        return job.state


async def told_about(client: EffectsClient, name: str, effect: Effect = SQUISH) -> JobState:
    """Submit, and return the state of the job as the caller is told of it."""
    try:
        await client.submit(effect, external_task_id=name)
    except SubmissionUncertainError:
        return JobState.UNCERTAIN
    except NetworkError as error:
        return JobState.UNCERTAIN if error.sent else JobState.PLANNED
    return JobState.ACCEPTED
