"""A process that runs the batch to its end, and does what the messages say.

It tells its parent each message: the error's class and sentence, and what is logged as a warning.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from attrs import evolve, frozen

from kling_effects_async import (
    EffectsClient,
    ExternalIdTakenError,
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    KlingEffectsError,
)
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.transport.clock import SystemClock
from tests.crash.batch import Batch
from tests.crash.deaths import Death, DoomedJournal, die
from tests.crash.disks import Disk
from tests.crash.processes import LIFE_S, stay_with_parent

__all__ = ["Conditions", "WrongClock", "obey"]

# The exit code of a user for whom the messages led to no end.
_STUCK = 5
# A job that a lookup cannot settle is uncertain for good.
_MAX_PASSES = 6
_BUSY_PAUSE_S = 0.02
_CHILD_STAYS_S = 0.5
# What a forked child may not do fails at once.
_HANGS_S = 5.0


@frozen(kw_only=True)
class Conditions:
    """What the process meets.

    Attributes:
        death: when it is killed, as far as it kills itself.
        journal: another name of the journal than the batch's.
        set_by: the wall clock is wrong by this, and ``set_after_s`` later by ``set_again_by``.
        disk: where the journal is, which gets full.
        full_after_s: when that happens; ``None``: before the journal is opened.
        dies_full: the process is killed while the disk is full.
        forks_after_s: when it forks; the child uses what it inherits and outlives its parent.
        stays_s: how long it keeps the journal open, however soon the jobs have ended.
    """

    death: Death | None = None
    journal: Path | None = None
    set_by: timedelta = timedelta()
    set_again_by: timedelta = timedelta()
    set_after_s: float = 0.0
    disk: Disk | None = None
    full_after_s: float | None = None
    dies_full: bool = False
    forks_after_s: float | None = None
    stays_s: float = 0.0


class WrongClock(SystemClock):
    """The machine's clock with a wrong wall time; ``by`` may be changed at any time."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


def obey(batch: Batch, conditions: Conditions, told: Connection) -> None:
    """The process; its exit code is 0 once every job has succeeded or is listed as uncertain."""
    path, disk = conditions.journal or batch.journal, conditions.disk
    if disk is not None:
        path = disk.place(path)
        if conditions.full_after_s is None:
            disk.fill()
    is_at_end = asyncio.run(_User(batch, path, conditions, told).go_on())
    if disk is not None:
        disk.leave(batch.journal)
    sys.exit(0 if is_at_end else _STUCK)


class _User(logging.Handler):
    def __init__(self, batch: Batch, path: Path, conditions: Conditions, told: Connection) -> None:
        super().__init__(logging.WARNING)
        logger = logging.getLogger("kling_effects_async")
        logger.addHandler(self)
        logger.propagate = False
        self._batch = batch
        self._conditions = conditions
        self._told = told
        self._clock = WrongClock(conditions.set_by)
        self._path = path
        self._starts_fresh = False
        self._on_taken = "raise"
        self._is_damaged = False
        self._is_full = False
        self._is_at_end = False
        self._timers: list[asyncio.TimerHandle] = []

    def emit(self, record: logging.LogRecord) -> None:
        # On the journal's thread as well: a short message is one write to the pipe, and whole.
        text = record.getMessage()
        if "cannot be written" in text:  # by the journal, whoever of us says so
            self._told.send(("log", text))
            self._is_full = True
        elif record.name.startswith("kling_effects_async.journal"):
            self._told.send(("warning", text))

    async def go_on(self) -> bool:
        parting = asyncio.create_task(stay_with_parent())
        passes = 0
        async with asyncio.timeout(LIFE_S):
            while not self._is_at_end and passes < _MAX_PASSES:
                was_damaged, self._is_damaged = self._is_damaged, False
                passes += not isinstance(await self._open_and_run(), JournalBusyError)
                if was_damaged and self._is_damaged:  # opened again, and it was not moved aside
                    self._rename()
                if self._is_full:
                    self._make_room()
        parting.cancel()
        return self._is_at_end

    async def _open_and_run(self) -> JournalError | None:
        """One run of the program; the error that ended it."""
        try:
            async with (
                DoomedJournal(
                    self._path,
                    self._conditions.death,
                    clock=self._clock.now,
                    start_fresh=self._starts_fresh,
                ) as journal,
                self._batch.client(journal, clock=self._clock, on_taken=self._on_taken) as client,
            ):
                self._starts_fresh = False
                self._told.send(("working", ""))
                self._schedule(client, journal)
                for error in await self._batch.run_in(client):
                    self._heed(error)
                await self._wait_for_timers()
                self._is_at_end = await self._has_ended(journal)
        except JournalError as error:
            self._heed(error)
            if isinstance(error, JournalBusyError):
                await asyncio.sleep(_BUSY_PAUSE_S)
            return error
        finally:
            self._cancel_timers()
        return None

    async def _has_ended(self, journal: SqliteStore) -> bool:
        try:
            counts = await journal.counts()
        except JournalError as error:
            self._heed(error)
            return False
        return counts[JobState.SUCCEEDED] + counts[JobState.UNCERTAIN] == len(self._batch.names)

    def _heed(self, error: BaseException) -> None:
        """Say it, and do what it says."""
        self._told.send((type(error).__name__, str(error)))
        match error:
            case JournalDamagedError() if "start_fresh=True" in str(error):
                self._starts_fresh = True
            case JournalDamagedError():
                self._is_damaged = True
            case JournalFullError():
                self._is_full = True
            case ExternalIdTakenError():
                self._on_taken = "adopt"
            case KlingEffectsError():
                pass  # the same again is right
            case _:
                raise error

    def _rename(self) -> None:
        for suffix in ("-wal", "-shm", ""):
            file = self._path.with_name(f"{self._path.name}{suffix}")
            with suppress(FileNotFoundError):
                file.rename(file.with_name(f"{file.name}.renamed"))

    def _make_room(self) -> None:
        if self._conditions.dies_full:
            die()
        if self._conditions.disk is not None:
            self._conditions.disk.make_room()
        self._is_full = False

    def _schedule(self, client: EffectsClient, journal: SqliteStore) -> None:
        """Have happen to the process, once, what is to happen while it works."""
        conditions = self._conditions
        self._conditions = evolve(
            conditions, set_after_s=0.0, full_after_s=None, forks_after_s=None, stays_s=0.0
        )
        self._later(conditions.stays_s, lambda: None)
        if conditions.set_after_s:
            self._later(conditions.set_after_s, lambda: self._set_clock(conditions.set_again_by))
        if conditions.disk is not None and conditions.full_after_s is not None:
            self._later(conditions.full_after_s, conditions.disk.fill)
        if conditions.forks_after_s is not None:
            self._later(conditions.forks_after_s, lambda: self._fork(client, journal))

    def _later(self, delay_s: float, act: Callable[[], object]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, act))

    async def _wait_for_timers(self) -> None:
        """What is to happen happens, however soon the jobs have ended."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(timer.when() - now for timer in self._timers))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _set_clock(self, by: timedelta) -> None:
        self._clock.by = by

    # -- the forked child

    def _fork(self, client: EffectsClient, journal: SqliteStore) -> None:
        if os.fork():
            return
        try:
            for use in (self._uses_client(client), journal.counts, self._opens_again):
                self._try_in_child(use)
            time.sleep(_CHILD_STAYS_S)  # a lock that it inherited would be held for so long
        finally:
            os._exit(0)

    def _uses_client(self, client: EffectsClient) -> Callable[[], Awaitable[object]]:
        return lambda: self._batch.run_in(client)

    async def _opens_again(self) -> None:
        async with SqliteStore(self._path):
            pass

    def _try_in_child(self, use: Callable[[], Awaitable[object]]) -> None:
        async def within_limit() -> Sequence[BaseException]:
            async with asyncio.timeout(_HANGS_S):
                found = await use()
            return found if isinstance(found, list) else []

        try:
            for error in asyncio.run(within_limit()):
                self._told.send((f"child: {type(error).__name__}", str(error)))
        except (RuntimeError, KlingEffectsError, TimeoutError) as error:
            self._told.send((f"child: {type(error).__name__}", str(error)))
