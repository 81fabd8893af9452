"""When a batch is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen

from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore

__all__ = ["LATEST_S", "Death", "DoomedJournal", "Step", "die", "drawn_death"]


@frozen
class Step:
    """The ``nth`` time that a job is about to come (``is_before``), or has come, to a state."""

    state: JobState
    is_before: bool
    nth: int


@frozen(kw_only=True)
class Death:
    """A moment to be killed at.

    Attributes:
        delay_s: after the step, the beginning of work, or the start of the process.
        step: the batch kills itself there; should it not come there, it is killed all the same.
    """

    delay_s: float
    step: Step | None = None
    is_from_start: bool = False


# Where a careless client would pay twice comes more often: the request is out, or its answer is in
# hand, and the journal does not say so yet.
_STEPS = {
    (JobState.SUBMITTING, True): 1,
    (JobState.SUBMITTING, False): 3,
    (JobState.ACCEPTED, True): 4,
    (JobState.ACCEPTED, False): 1,
    (JobState.UNCERTAIN, True): 1,
    (JobState.UNCERTAIN, False): 2,
    (JobState.PLANNED, False): 1,
    (JobState.SUCCEEDED, True): 1,
}
# A submit and its answer take a few milliseconds.
_SOON_S = 0.02
# For a batch that does not come to its step.
LATEST_S = 0.3


def drawn_death(random: Random) -> Death:
    kind = random.random()
    if kind < 0.1:
        return Death(delay_s=random.uniform(0.0, 0.05), is_from_start=True)
    if kind < 0.4:
        return Death(delay_s=random.uniform(0.02, LATEST_S))
    ((state, is_before),) = random.choices([*_STEPS], [*_STEPS.values()])
    step = Step(state, is_before, nth=random.randint(1, 6))
    return Death(delay_s=random.choice([0.0, random.uniform(0.0, _SOON_S)]), step=step)


class DoomedJournal(SqliteStore):
    """A journal whose process dies at a step.

    Args:
        options: the other arguments of ``Journal``.
    """

    def __init__(self, path: Path, death: Death | None, **options: Any) -> None:
        super().__init__(path, **options)
        self._death = death
        self._passed: Counter[tuple[JobState, bool]] = Counter()

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        self._pass(update.to, is_before=True)
        await super().move(account, external_task_id, update)
        self._pass(update.to, is_before=False)

    def _pass(self, state: JobState, *, is_before: bool) -> None:
        self._passed[state, is_before] += 1
        step = Step(state, is_before, self._passed[state, is_before])
        if self._death is None or self._death.step != step:
            return
        if self._death.delay_s:
            asyncio.get_running_loop().call_later(self._death.delay_s, die)
        else:
            die()


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)
