"""The batch that is killed: a process that runs the same jobs at each start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import backoff  # noqa: F401  # the client imports it when it is used; here, once before all forks
from attrs import frozen

import kling_effects_async.transport.upload  # noqa: F401  # as backoff
from kling_effects_async import (
    BearerToken,
    EffectsClient,
    Failed,
    KlingEffectsError,
    Outcome,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
)
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.policy import SlotPolicy, SubmitPolicy
from kling_effects_async.submitting.planning import make_job
from kling_effects_async.transport.clock import Clock
from tests.crash.deaths import Death, DoomedJournal
from tests.crash.processes import LIFE_S, stay_with_parent
from tests.crash.service import KEY, TIMEOUT_S

__all__ = ["ALL_SUCCEEDED", "SOME_UNCERTAIN", "Batch", "work"]

# Exit codes of the batch.
ALL_SUCCEEDED, SOME_UNCERTAIN = 0, 3


@frozen(kw_only=True)
class Batch:
    """The same jobs at each start.

    Attributes:
        names: the jobs' external ids.
        run: the name of the run that the ids are derived from; ``None`` if they are the user's own.
    """

    url: str
    journal: Path
    names: Sequence[str]
    on_uncertain: str = "raise"
    run: str | None = None

    @classmethod
    def derived(cls, url: str, journal: Path, *, run: str, jobs: int) -> Self:
        """The jobs of ``run_many``, whose external ids are made from their content."""
        made = [
            make_job(
                effect,
                account="",
                external_task_id=None,
                image_hashes=[image_hash(image) for image in effect.images],
                run=run,
                now=datetime.now(UTC),
            )
            for effect in effects_of(run, jobs)
        ]
        return cls(url=url, journal=journal, names=[job.external_task_id for job in made], run=run)

    def client(
        self, journal: SqliteStore, *, clock: Clock | None = None, on_taken: str = "raise"
    ) -> EffectsClient:
        return EffectsClient(
            BearerToken(KEY),
            service=Service.gateway(self.url),
            journal=journal,
            retry=RetryPolicy(
                attempts=3,
                base_s=0.005,
                max_pause_s=0.02,
                answer_timeout_s=TIMEOUT_S,
                submit_timeout_s=TIMEOUT_S,
            ),
            slots=SlotPolicy(start=4),
            poll=PollPolicy(shortest_s=0.03, max_interval_s=0.3),
            submit=SubmitPolicy(
                settle_pause_s=0.03, on_uncertain=self.on_uncertain, on_taken=on_taken
            ),
            clock=clock,
        )

    async def run_in(self, client: EffectsClient) -> Sequence[BaseException]:
        """Run all jobs, and go on with those of an earlier process; what failed."""
        failures = await asyncio.gather(_resumed(client), self._started(client))
        return [error for errors in failures for error in errors]

    async def _started(self, client: EffectsClient) -> Sequence[BaseException]:
        if self.run is not None:
            effects = effects_of(self.run, len(self.names))
            return await _failures(client.run_many(effects, run=self.run))
        results = await asyncio.gather(
            *(client.run(_effect(name), external_task_id=name) for name in self.names),
            return_exceptions=True,
        )
        return [result for result in results if isinstance(result, BaseException)]


def effects_of(run: str, jobs: int) -> Sequence[SingleImageEffect]:
    """The effects of a batch whose ids are derived."""
    return [_effect(f"{run}-{number}") for number in range(jobs)]


def _effect(name: str) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")


async def _resumed(client: EffectsClient) -> Sequence[BaseException]:
    return await _failures(client.resume())


async def _failures(outcomes: AsyncIterator[Outcome]) -> Sequence[BaseException]:
    return [outcome.error async for outcome in outcomes if isinstance(outcome, Failed)]


def work(batch: Batch, death: Death | None, told: Connection) -> None:
    """The process of a batch; its exit code tells how far it came."""
    sys.exit(asyncio.run(_work(batch, death, told)))


async def _work(batch: Batch, death: Death | None, told: Connection) -> int:
    parting = asyncio.create_task(stay_with_parent())
    async with (
        asyncio.timeout(LIFE_S),
        DoomedJournal(batch.journal, death) as journal,
        batch.client(journal) as client,
    ):
        told.send("working")
        if death is None:
            await _finish_accepted(client, journal)
        for error in await batch.run_in(client):
            if not isinstance(error, KlingEffectsError):
                raise error  # of the others the journal tells where the job stands
        code = await _see_through(client, journal, len(batch.names))
    parting.cancel()
    return code


async def _finish_accepted(client: EffectsClient, journal: SqliteStore) -> None:
    """``resume`` alone finishes what earlier processes had accepted; nobody calls again for it."""
    await _resumed(client)
    left = (await journal.counts())[JobState.ACCEPTED]
    if left:
        raise RuntimeError(f"resume() left {left} accepted jobs as they were")


async def _see_through(client: EffectsClient, journal: SqliteStore, jobs: int) -> int:
    in_vain = 0
    while in_vain < 2:
        await _resumed(client)
        counts = await journal.counts()
        if counts[JobState.SUCCEEDED] == jobs:
            return ALL_SUCCEEDED
        in_vain += counts[JobState.SUCCEEDED] + counts[JobState.UNCERTAIN] == jobs
    return SOME_UNCERTAIN
