"""``SqliteStore``: the journal as the engine writes it.

    async with SqliteStore("effects.db") as store:
        await store.add(job)
        await store.move(account, external_task_id, JobUpdate(JobState.SUBMITTING))
        ...  # only now may the first byte leave

What was awaited here is on the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from decimal import Decimal
from functools import partial
from typing import Self

from kling_effects_async.journal.budget import Committed
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite import costs, queries, updates
from kling_effects_async.journal.sqlite.connection import Connection
from kling_effects_async.journal.sqlite.journal import Journal
from kling_effects_async.journal.turns import Turn

__all__ = ["SqliteStore"]

# A step over so many rows takes some hundredths of a second, for which writes wait.
_PART_SIZE = 20_000


class SqliteStore(Journal):
    """A journal, and all that ``JobStore`` has."""

    @classmethod
    def of(cls, journal: Journal) -> Self:
        """The store of a journal: the same open file, and the same turns."""
        if isinstance(journal, cls):
            return journal
        store = cls.__new__(cls)
        store._connection = journal._connection
        return store

    @property
    def connection(self) -> Connection:
        """What it reads and writes with, on a thread of its own; for pragmas and limits."""
        return self._connection

    def turn_of(self, account: str, external_task_id: str) -> Turn:
        """A turn at a job, for ``async with``: no other client of this journal has one meanwhile.

        The clients may live in different event loops and threads. They are served in the order in
        which they came, and a wait may be cancelled.
        """
        return self._connection.turns.of(account, external_task_id)

    async def add(self, job: Job) -> Job:
        """Insert a job as it is, with the first step of its history.

        Returns:
            The job; where the account has the same one under this external id, the stored one.

        Raises:
            IdempotencyConflictError: the external id belongs to a job of other scene or content.
            AccountChangedError: it belongs to a job of another account of the same service.
        """
        return await self._connection.write(lambda connection: updates.add(connection, job))

    async def add_named(self, job: Job, wished: str) -> Job:
        """Insert a job with a name for its clip in the folder ``job.download_to``.

        Names are given in the order of the calls. A job that is there already has that folder from
        now on, and keeps its name; in another folder than before it gets a number where a clip of
        another job has the name.

        Returns:
            The stored job, with the first name that no clip of another job has there.

        Raises:
            IdempotencyConflictError, AccountChangedError: as ``add``.
        """
        numbers = self._connection.numbers
        return await self._connection.write(
            lambda connection: updates.add_named(connection, job, wished, numbers)
        )

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        """Take a job to another state, as the table in ``job`` allows.

        To the state it is in already is allowed and adds no step to its history. Members that
        are ``None`` stay as they are; ``note`` is for the history, and ``was_sent`` says that bytes
        of a submit may have reached the service, which is never taken back.

        With SUBMITTING goes down what the task is expected to cost. It counts until the service
        reports the cost, or there surely is no task. An uncertain job that is planned again without
        a proof keeps it beside what it costs then; ``is_absent`` says that there is a proof.

        Raises:
            BudgetExceededError: the submit could pass ``budget_units``; nothing was written.
            JournalError: the table does not allow it, there is no such job, or the job has another
                task id already: then two tasks were accepted, and both may be charged.
            JournalFullError: the disk is full; nothing may be submitted on the strength of this.
        """
        now = self._connection.now()
        await self._connection.write(
            lambda connection: updates.move(connection, account, external_task_id, update, now)
        )

    async def numbers(
        self, account: str, states: Collection[JobState], *, part_size: int = _PART_SIZE
    ) -> AsyncIterator[tuple[JobState, str, list[int]]]:
        """The numbers of the account's jobs in these states, by state and share, a part at a time.

        A number stands for its job in this file for ever: eight bytes for what is a kilobyte as a
        ``Job``. Jobs that are added after the first step are not among them, and none comes twice.

        Args:
            part_size: so many jobs of the file are gone through in one step.

        Returns:
            A state, a share and numbers, as often as there are parts; of the same two the lower
            numbers first.
        """
        last = await self._connection.read(queries.last_number)
        for after in range(0, last, part_size):
            until = min(after + part_size, last)
            for found in await self._connection.read(
                partial(queries.numbers, account=account, states=states, after=after, until=until)
            ):
                yield found

    async def found_at(self, number: int) -> Job | None:
        """The job of this number as it stands; ``None`` if there is none."""
        return await self._connection.read(lambda connection: queries.found_at(connection, number))

    async def known_task(self, account: str) -> Job | None:
        """The account's youngest job that has a task; ``None`` if none was ever accepted."""
        return await self._connection.read(
            lambda connection: queries.known_task(connection, account)
        )

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int:
        """How many jobs in these states belong to other accounts."""
        return await self._connection.read(
            lambda connection: queries.elsewhere(connection, account, states)
        )

    async def committed(self, account: str) -> Committed:
        """What of a budget the account's jobs take: what they cost, or may cost."""
        return await self._connection.read(lambda connection: costs.committed(connection, account))

    async def recent_units(self, account: str, scene: str) -> tuple[Decimal, Decimal] | None:
        """The lowest and the highest cost of the scene's last 20 successes.

        ``None`` before the first success with a reported cost.
        """
        return await self._connection.read(
            lambda connection: costs.recent_units(connection, account, scene)
        )

    async def memo(self, kind: str, key: str) -> str | None:
        """A remembered fact; ``None`` if there is none."""
        return await self._connection.read(lambda connection: queries.memo(connection, kind, key))

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        """Remember a fact, such as the slots an account was found to have."""
        await self._connection.write(
            lambda connection: updates.set_memo(connection, kind, key, text)
        )
