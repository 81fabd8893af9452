"""The lives of one script, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from attrs import frozen

from kling_effects_async import (
    BearerToken,
    ClientClosedError,
    Done,
    EffectsClient,
    KlingEffectsError,
    Outcome,
    PollPolicy,
    RetryPolicy,
    SingleImageEffect,
    SlotPolicy,
    derived_id,
)
from kling_effects_async import (
    Service as ServiceAt,
)
from kling_effects_async.downloading import web
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.simulation.clips import Storage, storage_session
from tests.simulation.disk import Disk, ModelDisk, RealDisk
from tests.simulation.folder import ClipFolder
from tests.simulation.loop import Stuck
from tests.simulation.referee import Referee
from tests.simulation.script import Event, Script
from tests.simulation.service import KNOWN, UNITS, ServedTask, Service
from tests.simulation.wire import Wire
from tests.simulation.world import SimulatedClock, World

__all__ = ["Result", "run"]

ACCOUNT = "mine"
KEY = BearerToken("sk-simulated-0123456789")
SERVICE = ServiceAt.gateway("https://sim.example")
POLL = PollPolicy(deadline_s=600.0)
RETRY = RetryPolicy(attempts=3)
RUN = "simulated"


@frozen
class Result:
    """What came of a run.

    Attributes:
        lives: how many processes there were.
        deaths: how many of them died where something left them.
        points: how many points the first life passed.
        steps: how many callbacks the first life ran.
        violations: empty if all is right.
    """

    lives: int
    deaths: int
    points: int
    steps: int
    violations: tuple[str, ...]


def run(script: Script, folder: Path | None = None) -> Result:
    """Run a script to its end.

    Args:
        folder: an empty one, for a real journal and for clips.
    """
    return _Run(script, folder).result()


def effect(name: str) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")


class _Run:
    def __init__(self, script: Script, folder: Path | None) -> None:
        self.script = script
        self.world = World(script)
        self.storage = Storage(self.world, deque(script.downloads or ()))
        clips = None if folder is None or script.downloads is None else folder / "clips"
        self.referee = Referee(
            self.world, lambda name: self.disk.job(name), self.storage.clips, clips
        )
        self.clips: ClipFolder | None = None
        if clips is not None:
            self.clips = ClipFolder(self.world, clips, self.referee.check_clips)
        self.service = self.referee.service = Service(self.world, script.rules)
        self.disk: Disk
        if script.is_real:
            assert folder is not None
            self.disk = RealDisk(self.world, self.referee.committed, folder)
        else:
            self.disk = ModelDisk(self.world, self.referee.committed)
        known = self.service.task(KNOWN)
        if known is not None:
            self.disk.prepare(*known_job(known, self.world))
        self.effects = {f"job-{number}": effect(f"job-{number}") for number in range(script.jobs)}
        if clips is not None:  # then it is a batch, which names its jobs itself
            self.effects = {derived_id(one, salt=RUN): one for one in self.effects.values()}
        self.submits, self.queries = deque(script.submits), deque(script.queries)
        self.calls: list[asyncio.Task[None]] = []
        self.closing: asyncio.Future[None] | None = None
        self.begin_calls: Callable[[], None] = _begin_nothing
        self.lives = self.deaths = 0

    def result(self) -> Result:
        """Live all lives."""
        # Where downloads meet aiohttp; for requests the client takes a session itself.
        with patch.object(web, "open_session", partial(storage_session, self.storage)):
            return self._result()

    def _result(self) -> Result:
        points = steps = 0
        for event in self.script.events or (None,):
            self._live(event)
            if self.lives == 1:
                points, steps = self.world.points, self.world.steps
        # What is left now is judged after a life in which all goes well.
        self.submits.clear()
        self.queries.clear()
        self.storage.faults.clear()
        self._live(None, is_last=True)
        if not self.world.violations:
            self.referee.end(list(self.effects))
        return Result(self.lives, self.deaths, points, steps, tuple(self.world.violations))

    def _live(self, event: Event | None, *, is_last: bool = False) -> None:
        if self.world.violations:
            return
        self.lives += 1
        self.referee.begin_life()
        if self.clips is not None:
            self.clips.begin_life()
        in_thread = None if self.clips is None else self.clips.in_thread
        loop = self.world.begin(event, self._meet, in_thread)
        try:
            loop.run(self._life(self.disk.opened(), is_last=is_last))
        except Stuck as stuck:
            self.world.violate(f"somebody waits for ever: {stuck}")
        except KlingEffectsError as error:
            self.world.violate(f"a life ended with {error!r}")
        self.deaths += loop.is_dead and not self.world.violations
        self.disk.after_death()
        if self.clips is not None:
            self.clips.after_death()
        self.world.end(self.script.restart_s)

    # -- one process

    async def _life(self, journal: SqliteStore, *, is_last: bool) -> None:
        async with journal:
            for _round in range(2 if is_last else 1):
                await self._use(journal)

    async def _use(self, journal: SqliteStore) -> None:
        self.closing = asyncio.get_running_loop().create_future()
        async with self._client(journal) as client:
            self.calls = []
            self.begin_calls = partial(self._begin_calls, client)
            self.begin_calls()
            while not self.closing.done() and (left := [c for c in self.calls if not c.done()]):
                await asyncio.wait({*left, self.closing}, return_when="FIRST_COMPLETED")
            self.begin_calls = _begin_nothing
        for call in self.calls:
            try:
                await call
            except asyncio.CancelledError:
                pass
            except (ClientClosedError, RuntimeError):  # what a call of a closed client gets
                if not self.closing.done():
                    raise
            except Exception as error:  # whatever it is, no caller may get it
                self.world.violate(f"a caller got {error!r}")

    def _client(self, journal: SqliteStore) -> EffectsClient:
        wire = Wire(self.world, self.service, self.submits, self.queries, self.referee)
        return EffectsClient(
            KEY,
            service=SERVICE,
            journal=journal,
            account=ACCOUNT,
            budget_units=self.script.rules.budget_units or None,
            poll=POLL,
            retry=RETRY,
            slots=SlotPolicy(start=self.script.own_slots, maximum=self.script.own_slots),
            session=wire,  # type: ignore[arg-type]  # has what the client calls
            clock=SimulatedClock(self.world),
            rng=self.world.random.random,
        )

    def _begin_calls(self, client: EffectsClient) -> None:
        folder = None if self.clips is None else self.clips.path
        acts = [self._follow(client.resume(download_to=folder))]
        if self.lives == 1 or not self.script.resumes_only:
            acts += self._submits(client, folder)
        self.calls += [asyncio.ensure_future(act) for act in acts]

    def _submits(
        self, client: EffectsClient, folder: Path | None
    ) -> list[Coroutine[Any, Any, None]]:
        if folder is None:
            return [self._call(client, name) for name in self.effects]
        name = "{scene}" if self.script.is_named else None
        batch = client.run_many(self.effects.values(), run=RUN, download_to=folder, name=name)
        return [self._follow(batch)]

    async def _call(self, client: EffectsClient, name: str) -> None:
        try:
            await client.run(self.effects[name], external_task_id=name)
        except KlingEffectsError as error:  # else the disk says where the job stands
            self.referee.raised(name, error)
        else:
            self.referee.reported(name)

    async def _follow(self, outcomes: AsyncIterator[Outcome]) -> None:
        async for outcome in outcomes:
            if isinstance(outcome, Done):
                self.referee.reported(outcome.external_task_id)
            else:
                self.referee.raised(outcome.external_task_id, outcome.error)

    def _meet(self, kind: str) -> None:
        """Something happens to the process, by the script."""
        assert self.world.loop is not None
        if kind == "close":
            if self.closing is not None and not self.closing.done():
                self.closing.set_result(None)
            return
        for call in self.calls:
            call.cancel()
        if kind == "call again":
            self.begin_calls()
        elif kind != "cancel":
            # The first lets a submit come to its outcome, the second leaves it.
            again = "cancel" if kind == "cancel twice" else "call again"
            self.world.loop.call_later(0.05, self._meet, again)


def _begin_nothing() -> None:
    """The client is closed, or not open yet."""


def known_job(task: ServedTask, world: World) -> tuple[Job, tuple[JobUpdate, ...]]:
    """A job from before, and the steps that it has taken."""
    job = make_job(
        effect(KNOWN),
        account=ACCOUNT,
        service=SERVICE.base_url,
        external_task_id=KNOWN,
        image_hashes=[""],
        now=world.now(),
    )
    return job, (
        JobUpdate(JobState.SUBMITTING),
        JobUpdate(JobState.ACCEPTED, task_id=task.task_id),
        JobUpdate(JobState.SUCCEEDED, units=Decimal(UNITS)),
    )
