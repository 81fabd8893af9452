"""``Journal``: the jobs in a file, for users to open and to read.

Only the engine writes jobs, by ``SqliteStore``: a wrong step could hide a paid task, or pay twice.
The file is an SQLite database that one process owns at a time; others may read it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from kling_effects_async.journal.job import Job, JobState, Transition
from kling_effects_async.journal.sqlite import costs, queries, updates
from kling_effects_async.journal.sqlite.connection import Connection

__all__ = ["Journal"]

# So many jobs are in memory at once while all are gone through.
PAGE_SIZE = 500


class Journal:
    """The jobs of all accounts in one file, and what became of each.

    Args:
        path: the file; made, readable for its user alone, if it is not there.
        clock: returns the time in UTC; called from several threads.
        read_only: open next to an owner, for listing; every write raises ``JournalError``.
        start_fresh: begin an empty journal although a damaged one was moved aside.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] | None = None,
        read_only: bool = False,
        start_fresh: bool = False,
    ) -> None:
        self._connection = Connection(
            path, clock=clock, read_only=read_only, start_fresh=start_fresh
        )

    @property
    def misses_rows(self) -> bool:
        """Jobs may have been written down, and paid for, that are not here any more.

        The file was cut, replaced by an older one or begun again in place of a damaged one. Then a
        job is looked up at the service before it is submitted, also one that is only planned here.

        Raises:
            RuntimeError: the journal is closed.
        """
        return self._connection.misses_rows

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
        await self._connection.open()

    async def aclose(self) -> None:
        """Write everything that waits, close the file and end the thread; twice is harmless."""
        await self._connection.aclose()

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

    async def adopt(self, from_account: str, to_account: str) -> int:
        """Make the jobs of one account those of another, as after a change of key.

        Returns:
            How many jobs they are.

        Raises:
            JournalError: both have a job under the same external id; nothing was changed.
        """
        return await self._connection.write(
            lambda connection: updates.adopt(connection, from_account, to_account)
        )

    async def get(self, account: str, external_task_id: str) -> Job | None:
        """The job as it stands; ``None`` if there is none."""
        return await self._connection.read(
            lambda connection: queries.get(connection, account, external_task_id)
        )

    async def find(self, name: str) -> list[Job]:
        """The jobs whose task id or external id this is, of all accounts, oldest first."""
        return await self._connection.read(lambda connection: queries.find(connection, name))

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
        return await self._connection.read(
            lambda connection: queries.history(connection, account, external_task_id)
        )

    async def counts(self, account: str | None = None) -> Mapping[JobState, int]:
        """How many jobs stand in each state, of one account or of all."""
        return await self._connection.read(lambda connection: queries.counts(connection, account))

    async def units_spent(self, account: str) -> Decimal:
        """What the account's jobs cost so far, as far as the service reported it."""
        found = await self._connection.read(lambda connection: costs.committed(connection, account))
        return found.told

    async def _page(self, chosen: queries.JobFilter, after: int) -> tuple[int, list[Job]]:
        return await self._connection.read(
            lambda connection: queries.page(connection, chosen, after=after, size=PAGE_SIZE)
        )
