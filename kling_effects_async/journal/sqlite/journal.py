"""The durable journal of paid jobs: what was awaited here is on the disk.

    async with Journal("effects.db") as journal:
        await journal.add(job)
        await journal.move(account, external_task_id, JobUpdate(JobState.SUBMITTING))
        ...  # only now may the first byte leave

The file is an SQLite database that one process owns at a time; others may read it. It may be used
from several event loops and threads of its process. An await that is cancelled does not take back
what it wrote.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from kling_effects_async.errors import JournalError
from kling_effects_async.journal.budget import Committed
from kling_effects_async.journal.job import Job, JobState, JobUpdate, Transition
from kling_effects_async.journal.sqlite import queries
from kling_effects_async.journal.sqlite.database import (
    JournalFile,
    open_for_reading,
    open_for_writing,
)
from kling_effects_async.journal.sqlite.writer import Operation, Writer
from kling_effects_async.journal.turns import Turn, Turns

__all__ = ["Journal"]

T = TypeVar("T")

# So many jobs are in memory at once while all are gone through.
PAGE_SIZE = 500


def _system_now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """The jobs of all accounts in one file, and what became of each.

    Args:
        path: the file; made, readable for its user alone, if it is not there.
        clock: tells the time in UTC; called from several threads.
        read_only: open next to an owner, for listing; every write raises ``JournalError``.
        start_fresh: begin an empty journal although a damaged one was moved aside.
    """

    _writer: Writer | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] | None = None,
        read_only: bool = False,
        start_fresh: bool = False,
    ) -> None:
        self._path = os.fspath(path)
        self._now = clock or _system_now
        self._is_read_only = read_only
        self._start_fresh = start_fresh
        self._turns = Turns()

    @property
    def misses_rows(self) -> bool:
        """Jobs may have been written down, and paid for, that are not here any more.

        The file was cut, replaced by an older one or begun again in place of a damaged one. Then a
        job is looked up at the service before it is submitted, also one that is only planned here.

        Raises:
            RuntimeError: the journal is closed.
        """
        return self._opened().misses_rows

    async def open(self) -> None:
        """Open the file, check all of it for damage, and own it until ``aclose``.

        Raises:
            JournalBusyError: another living process owns it, or another journal of this one.
            JournalDamagedError: it was damaged and is moved aside, now or earlier; look for its
                jobs in the service's task list, then open with ``start_fresh=True``.
            JournalVersionError: a newer version of this package wrote it.
            JournalFullError: there is no room to write that we own it.
            JournalError: it cannot be opened, or is another program's database.
            RuntimeError: it is open.
        """
        if self._writer is not None:
            raise RuntimeError("journal is open already")
        self._writer = Writer(self._opener())
        try:
            await self._writer.start()
        except BaseException:
            self._writer = None
            raise

    async def aclose(self) -> None:
        """Write everything that waits, close the file and end the thread; twice is harmless."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()
            await writer.join()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            warnings.warn(
                f"unclosed journal {self._path!r}", ResourceWarning, stacklevel=2, source=self
            )

    # -- turns

    def turn_of(self, account: str, external_task_id: str) -> Turn:
        """A turn at a job, for ``async with``: no other client of this journal is at it meanwhile.

        The clients may live in different event loops and threads. They are served in the order of
        asking, and who waits may be cancelled.
        """
        return self._turns.of(account, external_task_id)

    # -- writing

    async def add(self, job: Job) -> Job:
        """Insert a job as it is, with the first step of its history.

        Returns:
            The job; where the account has the same one under this external id, the stored one.

        Raises:
            IdempotencyConflictError: the external id belongs to a job of other scene or content.
            AccountChangedError: it belongs to a job of another account of the same service.
        """
        return await self._write(lambda connection: queries.add(connection, job))

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        """Take a job to another state, as the table in ``job`` allows.

        To the state it is in already is allowed and adds no step to its history. Members that
        are ``None`` stay as they are; ``note`` is for the history, and ``was_sent`` says that bytes
        of a submit may have reached the service, which is never taken back.

        With SUBMITTING goes down what the task is expected to cost. It counts until the service
        tells the cost, or there surely is no task. An uncertain job that is planned again without a
        proof keeps it beside what it costs then; ``is_absent`` says that there is a proof.

        Raises:
            BudgetExceededError: the submit could pass ``budget_units``; nothing was written.
            JournalError: the table does not allow it, there is no such job, or the job has another
                task id already: then two tasks were accepted, and both may be charged.
            JournalFullError: the disk is full; nothing may be submitted on the strength of this.
        """
        now = self._now()
        await self._write(
            lambda connection: queries.move(connection, account, external_task_id, update, now)
        )

    async def adopt(self, from_account: str, to_account: str) -> int:
        """Make the jobs of one account those of another, as after a change of key.

        Returns:
            How many jobs they are.

        Raises:
            JournalError: both have a job under the same external id; nothing was changed.
        """
        return await self._write(
            lambda connection: queries.adopt(connection, from_account, to_account)
        )

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        """Remember a fact, such as the slots an account was found to have."""
        await self._write(lambda connection: queries.set_memo(connection, kind, key, text))

    # -- reading

    async def get(self, account: str, external_task_id: str) -> Job | None:
        """The job as it stands; ``None`` if there is none."""
        return await self._read(
            lambda connection: queries.get(connection, account, external_task_id)
        )

    async def find(self, name: str) -> list[Job]:
        """The jobs whose task id or external id this is, of all accounts, oldest first."""
        return await self._read(lambda connection: queries.find(connection, name))

    async def known_task(self, account: str) -> Job | None:
        """The account's youngest job that has a task; ``None`` if none was ever accepted."""
        return await self._read(lambda connection: queries.known_task(connection, account))

    async def jobs(
        self,
        *,
        account: str | None = None,
        states: Collection[JobState] | None = None,
        run: str | None = None,
    ) -> AsyncIterator[Job]:
        """Go through the jobs in the order they were added, a page at a time.

        What changes meanwhile may be seen before or after the change; no job comes twice.
        """
        chosen = queries.JobFilter(account=account, states=states, run=run)
        after, page = await self._page(chosen, 0)
        while page:
            for job in page:
                yield job
            after, page = await self._page(chosen, after)

    async def history(self, account: str, external_task_id: str) -> tuple[Transition, ...]:
        """Every step of a job's life, oldest first; empty if there is no such job."""
        return await self._read(
            lambda connection: queries.history(connection, account, external_task_id)
        )

    async def counts(self, account: str | None = None) -> Mapping[JobState, int]:
        """How many jobs stand in each state, of one account or of all."""
        return await self._read(lambda connection: queries.counts(connection, account))

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int:
        """How many jobs in these states belong to other accounts."""
        return await self._read(lambda connection: queries.elsewhere(connection, account, states))

    async def units_spent(self, account: str) -> Decimal:
        """What the account's jobs cost so far, as far as the service told."""
        return (await self.committed(account)).told

    async def committed(self, account: str) -> Committed:
        """What of a budget the account's jobs take: what they cost, or may cost."""
        return await self._read(lambda connection: queries.committed(connection, account))

    async def typical_units(self, account: str, scene: str) -> Decimal | None:
        """What to expect of one more task: the highest cost of the scene's last 20 successes.

        ``None`` before the first success whose cost was told.
        """
        return await self._read(
            lambda connection: queries.typical_units(connection, account, scene)
        )

    async def memo(self, kind: str, key: str) -> str | None:
        """A remembered fact; ``None`` if there is none."""
        return await self._read(lambda connection: queries.memo(connection, kind, key))

    # -- inside

    async def _page(self, chosen: queries.JobFilter, after: int) -> tuple[int, list[Job]]:
        return await self._read(
            lambda connection: queries.page(connection, chosen, after=after, size=PAGE_SIZE)
        )

    async def _write(self, operation: Operation[T]) -> T:
        if self._is_read_only:
            raise JournalError(f"{self._path} is open for reading only")
        return await self._opened().submit(operation, writes=True)

    async def _read(self, operation: Operation[T]) -> T:
        return await self._opened().submit(operation, writes=False)

    def _opened(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("journal is closed")
        return self._writer

    def _opener(self) -> Callable[[], JournalFile]:
        """Without a reference to us, or the thread would keep a forgotten journal open."""
        if self._is_read_only:
            return partial(open_for_reading, self._path)
        return partial(open_for_writing, self._path, now=self._now, start_fresh=self._start_fresh)
