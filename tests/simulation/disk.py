"""The journal as a model of a disk, and as SQLite's real file, each with its points of death.

The model keeps what was acknowledged. Of what was not, it loses what had not come to the disk yet,
and keeps what had: a process may die before and after each commit.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve

from kling_effects_async.journal.budget import Committed
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import JobStore, MemoryStore
from kling_effects_async.journal.turns import Turn, Turns
from tests.simulation.world import World

__all__ = ["Disk", "ModelDisk", "RealDisk"]

T = TypeVar("T")
Seen = Callable[[Job | None, Job], None]


def at_once(act: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        act.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a StopIteration has any value
    raise AssertionError("it waits")


async def _put(store: JobStore, job: Job, updates: Sequence[JobUpdate]) -> None:
    await store.add(job)
    for update in updates:
        await store.move(job.account, job.external_task_id, update)


async def _all_of(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


class Disk:
    """What is left when a process dies.

    Args:
        on_commit: called with a job before and after each commit.
    """

    def __init__(self, world: World, on_commit: Seen) -> None:
        self.world = world
        self.on_commit = on_commit

    def prepare(self, job: Job, updates: Sequence[JobUpdate]) -> None:
        """Put a job there before the first life."""
        raise NotImplementedError

    def opened(self) -> SqliteStore:
        """The journal for a new life."""
        raise NotImplementedError

    def after_death(self) -> None:
        """The process that had it open is gone."""

    def job(self, external_task_id: str) -> Job | None:
        """What the disk holds."""
        raise NotImplementedError


class ModelDisk(Disk):
    """A disk in memory."""

    def __init__(self, world: World, on_commit: Seen) -> None:
        super().__init__(world, on_commit)
        self.store = MemoryStore(world.now)

    def prepare(self, job: Job, updates: Sequence[JobUpdate]) -> None:
        at_once(_put(self.store, job, updates))

    def opened(self) -> SqliteStore:
        return _ModelJournal(self)

    def job(self, external_task_id: str) -> Job | None:
        found = at_once(self.store.find(external_task_id))
        return found[0] if found else None


class _ModelJournal(SqliteStore):
    """What one process has of the disk: it writes in order, and reads what was committed."""

    def __init__(self, disk: ModelDisk) -> None:
        self._disk = disk
        self._store = disk.store
        self._world = disk.world
        self._turns = Turns()
        self._numbered: list[Job] = []
        self._free_at = 0.0

    misses_rows = False

    async def open(self) -> None:
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        await asyncio.sleep(0)

    def turn_of(self, account: str, external_task_id: str) -> Turn:
        return self._turns.of(account, external_task_id)

    async def add(self, job: Job) -> Job:
        return await self._written(lambda: self._store.add(job), job.external_task_id)

    async def add_named(self, job: Job, wished: str) -> Job:
        return await self._written(lambda: self._named(job, wished), job.external_task_id)

    async def _named(self, job: Job, wished: str) -> Job:
        if held := await self._store.find(job.external_task_id):
            return held[0]
        taken = {other.clip_name async for other in self._store.jobs()}
        names = (wished if n == 1 else f"{wished[:-4]}-{n}.mp4" for n in count(1))
        return await self._store.add(
            evolve(job, clip_name=next(name for name in names if name not in taken))
        )

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        await self._written(
            lambda: self._store.move(account, external_task_id, update), external_task_id
        )

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        await self._written(lambda: self._store.set_memo(kind, key, text), "")

    async def memo(self, kind: str, key: str) -> str | None:
        return await self._store.memo(kind, key)

    async def get(self, account: str, external_task_id: str) -> Job | None:
        return self._disk.job(external_task_id)

    async def find(self, name: str) -> list[Job]:
        return await self._store.find(name)

    async def known_task(self, account: str) -> Job | None:
        return await self._store.known_task(account)

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int:
        return await self._store.elsewhere(account, states)

    async def committed(self, account: str) -> Committed:
        return await self._store.committed(account)

    async def recent_units(self, account: str, scene: str) -> tuple[Decimal, Decimal] | None:
        return await self._store.recent_units(account, scene)

    def jobs(self, **chosen: Any) -> AsyncIterator[Job]:
        return self._store.jobs(**chosen)

    async def numbers(
        self, account: str, states: Collection[JobState], *, part_size: int = 1
    ) -> AsyncIterator[tuple[JobState, str, list[int]]]:
        async for job in self._store.jobs(account=account, states=states):
            self._numbered.append(job)
            yield job.state, job.share, [len(self._numbered) - 1]

    async def found_at(self, number: int) -> Job | None:
        return self._disk.job(self._numbered[number].external_task_id)

    async def _written(self, act: Callable[[], Coroutine[Any, Any, T]], name: str) -> T:
        """Written whatever becomes of the caller, as by a thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        # One writer: nothing overtakes what came before.
        self._free_at = max(self._free_at, loop.time()) + self._world.delay_s()
        loop.call_at(self._free_at, self._commit, act, name, done)
        return await done

    def _commit(
        self, act: Callable[[], Coroutine[Any, Any, T]], name: str, done: asyncio.Future[T]
    ) -> None:
        if self._world.dies_here():
            return
        before = self._disk.job(name)
        error: Exception | None = None
        try:
            result = at_once(act())
        except Exception as raised:  # the caller's
            error = raised
        after = self._disk.job(name)
        if after is not None and after != before:
            self._disk.on_commit(before, after)
        if self._world.dies_here() or done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


class RealDisk(Disk):
    """A folder with SQLite's files; the dead leave a copy of what a kill would have left."""

    def __init__(self, world: World, on_commit: Seen, folder: Path) -> None:
        super().__init__(world, on_commit)
        self._folder = folder
        self._lives = 0
        self._journal: _RealJournal | None = None
        self.held: dict[str, Job] = {}

    def prepare(self, job: Job, updates: Sequence[JobUpdate]) -> None:
        async def put() -> None:
            async with SqliteStore(self._path, clock=self.world.now) as journal:
                await _put(journal, job, updates)
                for held in await journal.find(job.external_task_id):
                    self.held[held.external_task_id] = held

        self._path.parent.mkdir()
        asyncio.run(put())

    def opened(self) -> SqliteStore:
        self._journal = _RealJournal(self, self._path)
        return self._journal

    @property
    def _path(self) -> Path:
        return self._folder / str(self._lives) / "jobs.db"

    def after_death(self) -> None:
        left = self._path.parent
        self._lives += 1
        if left.exists():
            shutil.copytree(left, self._path.parent)
        loop, journal = self.world.loop, self._journal
        if loop is not None and journal is not None:
            loop.forget()
            loop.run(journal.aclose())

    def job(self, external_task_id: str) -> Job | None:
        return self.held.get(external_task_id)


class _RealJournal(SqliteStore):
    def __init__(self, disk: RealDisk, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        super().__init__(path, clock=disk.world.now)
        self._disk = disk
        self._world = disk.world

    async def open(self) -> None:
        await self._in_thread(super().open())

    async def aclose(self) -> None:
        await self._in_thread(super().aclose())

    async def add(self, job: Job) -> Job:
        return await self._written(super().add(job), job.account, job.external_task_id)

    async def add_named(self, job: Job, wished: str) -> Job:
        adding = super().add_named(job, wished)
        return await self._written(adding, job.account, job.external_task_id)

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        await self._written(
            super().move(account, external_task_id, update), account, external_task_id
        )

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        await self._in_thread(super().set_memo(kind, key, text))

    async def memo(self, kind: str, key: str) -> str | None:
        return await self._in_thread(super().memo(kind, key))

    async def get(self, account: str, external_task_id: str) -> Job | None:
        return await self._in_thread(super().get(account, external_task_id))

    async def find(self, name: str) -> list[Job]:
        return await self._in_thread(super().find(name))

    async def known_task(self, account: str) -> Job | None:
        return await self._in_thread(super().known_task(account))

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int:
        return await self._in_thread(super().elsewhere(account, states))

    async def committed(self, account: str) -> Committed:
        return await self._in_thread(super().committed(account))

    async def recent_units(self, account: str, scene: str) -> tuple[Decimal, Decimal] | None:
        return await self._in_thread(super().recent_units(account, scene))

    async def _page(self, *chosen: Any) -> tuple[int, list[Job]]:
        return await self._in_thread(super()._page(*chosen))

    async def numbers(
        self, account: str, states: Collection[JobState], *, part_size: int = 20_000
    ) -> AsyncIterator[tuple[JobState, str, list[int]]]:
        numbers = super().numbers(account, states, part_size=part_size)
        for found in await self._in_thread(_all_of(numbers)):
            yield found

    async def found_at(self, number: int) -> Job | None:
        return await self._in_thread(super().found_at(number))

    async def _written(self, act: Coroutine[Any, Any, T], account: str, name: str) -> T:
        await self._world.point()
        writing = asyncio.ensure_future(self._committed(act, account, name))
        result = await asyncio.shield(writing)
        await self._world.point()
        return result

    async def _committed(self, act: Coroutine[Any, Any, T], account: str, name: str) -> T:
        result = await self._in_thread(act)
        after = await self.get(account, name)
        before = self._disk.held.get(name)
        if after is not None and after != before:
            self._disk.held[name] = after
            self._disk.on_commit(before, after)
        return result

    async def _in_thread(self, act: Coroutine[Any, Any, T]) -> T:
        assert self._world.loop is not None
        with self._world.loop.thread_works():
            return await act
