"""What became of the jobs: the journal beside the emulator's ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define, field

from kling_effects_async import JournalError
from kling_effects_async.journal.job import Job, JobState, Transition
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.crash.batch import Batch

__all__ = ["Tally", "is_finished", "is_listed", "jobs_in"]


@define
class Tally:
    """What became of the jobs of one rule, and where the kills met them.

    Attributes:
        duplicates: jobs that were charged for more than once.
        lost: jobs that are neither finished nor listed as uncertain, or charged for unannounced.
        sent_again: jobs that were submitted again after an answer was lost.
        kills_with: kills that left a job in this state.
        left_in: jobs that a kill left in this state, and whether they had been charged for.
    """

    rule: str
    kills: int = 0
    jobs: int = 0
    finished: int = 0
    uncertain: int = 0
    sent_again: int = 0
    duplicates: list[str] = field(factory=list)
    lost: set[str] = field(factory=set)
    kills_with: Counter[str] = field(factory=Counter)
    left_in: Counter[tuple[str, bool]] = field(factory=Counter)

    def see_kill(self, batch: Batch, is_charged: Mapping[str, Sequence[str]]) -> None:
        """Look at what the dead left: what is charged for was announced in the journal."""
        self.kills += 1
        jobs = jobs_in(batch.journal)
        self.kills_with.update({str(job.state) for job in jobs.values()})
        for name in batch.names:
            state = jobs[name].state if name in jobs else JobState.PLANNED
            self.left_in[str(state), name in is_charged] += 1
            if state is JobState.PLANNED and name in is_charged:
                self._lose(name, f"charged for, and {state} after a kill")

    def see_end(self, batch: Batch, charged: Mapping[str, Sequence[str]]) -> None:
        """Look at what the batch came to when nobody killed it any more."""
        jobs, histories = jobs_in(batch.journal), _histories(batch.journal)
        self.jobs += len(batch.names)
        for name in batch.names:
            tasks, job = charged.get(name, ()), jobs.get(name)
            self.sent_again += _was_sent_again(histories.get(name, ()))
            if len(tasks) > 1:
                self.duplicates.append(name)
                print(f"  {name} is charged for {len(tasks)} times: {_told(histories, name)}")
            if is_finished(job, tasks):
                self.finished += 1
            elif is_listed(job):
                self.uncertain += 1
            else:
                self._lose(name, f"ended as {_told(histories, name)}")

    def _lose(self, name: str, why: str) -> None:
        self.lost.add(name)
        print(f"  {name} is lost: {why}")

    @property
    def is_right(self) -> bool:
        if self.rule == "no-lookup":
            return not (self.duplicates or self.lost or self.sent_again)
        return not (self.duplicates or self.lost or self.uncertain)

    def coverage(self) -> str:
        """The states the kills left jobs in: kills, and jobs charged for + not charged for."""
        return ", ".join(
            f"{state} {kills} kills ({self.left_in[state, True]}+{self.left_in[state, False]} jobs)"
            for state, kills in self.kills_with.most_common()
        )

    def __str__(self) -> str:
        return (
            f"{self.rule}: kills={self.kills} jobs={self.jobs} finished={self.finished} "
            f"duplicates={len(self.duplicates)} lost={len(self.lost)} "
            f"uncertain={self.uncertain} sent_again={self.sent_again}"
        )


def is_finished(job: Job | None, tasks: Sequence[str]) -> bool:
    """It has succeeded, by one of the tasks that were charged for."""
    return job is not None and job.state is JobState.SUCCEEDED and job.task_id in tasks


def is_listed(job: Job | None) -> bool:
    """A person has to decide about it."""
    return job is not None and job.state is JobState.UNCERTAIN


def jobs_in(path: Path) -> Mapping[str, Job]:
    async def read() -> Mapping[str, Job]:
        async with SqliteStore(path, read_only=True) as journal:
            return {job.external_task_id: job async for job in journal.jobs()}

    try:
        return asyncio.run(read())
    except JournalError:  # killed before the journal had its tables
        return {}


def _histories(path: Path) -> Mapping[str, Sequence[Transition]]:
    async def read() -> Mapping[str, Sequence[Transition]]:
        async with SqliteStore(path, read_only=True) as journal:
            return {
                job.external_task_id: await journal.history(job.account, job.external_task_id)
                async for job in journal.jobs()
            }

    return asyncio.run(read())


def _was_sent_again(history: Sequence[Transition]) -> bool:
    states = [step.state for step in history]
    if JobState.UNCERTAIN not in states:
        return False
    return JobState.SUBMITTING in states[states.index(JobState.UNCERTAIN) :]


def _told(histories: Mapping[str, Sequence[Transition]], name: str) -> str:
    steps = histories.get(name, ())
    return " -> ".join(f"{step.state} {step.note}".strip() for step in steps) or "nothing"
