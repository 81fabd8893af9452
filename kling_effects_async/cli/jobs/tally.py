"""The existing journal of a ``jobs`` command, and counts of its jobs.

Also which jobs a person has to settle.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from attrs import define, field

from kling_effects_async import Job, JobState, Journal, JournalError, SettingsError
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import adopt_command, resume_command, settle_command
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.journal.paths import journal_path
from kling_effects_async.journal.sqlite.quarantine import reject_after_damage

__all__ = [
    "JobTally",
    "counted",
    "journal_file",
    "lines_of_others",
    "no_such_job",
    "tally_of",
    "uncertain_lines",
]

_NONE = ServiceChoice()
# So many uncertain jobs are named, because a person settles them one by one.
_NAMED = 10

_MISSES_ROWS = (
    "this journal lost writes, or cannot tell whether it did: there may be more jobs, so each job "
    "is looked up at the service before it is submitted"
)
# So many jobs are in memory at a time, however long the list is.
_PAGE = 500


@define
class JobTally:
    """Counts jobs.

    Attributes:
        counts: jobs by account and state.
        units: units spent by account, as far as the services stated them.
        uncertain: the first jobs of each account that may have an unknown task.
        misses_rows: the journal lost jobs, which cannot be counted.
    """

    counts: Counter[tuple[str, JobState]] = field(factory=Counter)
    units: defaultdict[str, Decimal] = field(factory=lambda: defaultdict(Decimal))
    uncertain: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))
    misses_rows: bool = False

    def add(self, job: Job) -> None:
        self.counts[job.account, job.state] += 1
        self.units[job.account] += job.units or 0
        named = self.uncertain[job.account]
        if job.state is JobState.UNCERTAIN and len(named) < _NAMED:
            named.append(job.external_task_id)

    def of_account(self, account: str) -> JobTally:
        """The same for one account."""
        return JobTally(
            counts=Counter({key: n for key, n in self.counts.items() if key[0] == account}),
            units=defaultdict(Decimal, {account: self.units[account]}),
            uncertain=defaultdict(list, {account: self.uncertain[account]}),
            misses_rows=self.misses_rows,
        )

    def number(self, states: Iterable[JobState] = JobState) -> int:
        """How many jobs stand in these states."""
        wanted = set(states)
        return sum(number for (_account, state), number in self.counts.items() if state in wanted)

    def by_account(self, states: Iterable[JobState]) -> dict[str, int]:
        """The same for each account that has any."""
        numbers = {name: self.of_account(name).number(states) for name in self.units}
        return {name: number for name, number in numbers.items() if number}

    def lines(self) -> list[str]:
        """How many jobs are where, and what they cost."""
        return [*self._lines(), *([_MISSES_ROWS] if self.misses_rows else [])]

    def _lines(self) -> list[str]:
        total = self.number()
        if not total:
            return ["the journal has no jobs"]
        states = [f"{self.number([s])} {s}" for s in JobState if self.number([s])]
        return [
            f"{counted(total, 'job')}: {', '.join(states)}",
            *(f"{units:f} units spent by {name}" for name, units in sorted(self.units.items())),
        ]


def uncertain_lines(
    tally: JobTally, *, journal: str, service: ServiceChoice = _NONE, account: str | None = None
) -> Sequence[str]:
    """The jobs that may have a task, and be charged, and how to settle each."""
    lines = []
    if number := tally.number([JobState.UNCERTAIN]):
        names = [name for of_account in tally.uncertain.values() for name in of_account]
        lines.append(f"{counted(number, 'job')} uncertain: an answer was lost, a task may exist")
        for name in names:
            how = settle_command(name, journal=journal, service=service, account=account)
            lines.append(f"settle {name}: {how}")
        lines += [f"and {number - len(names)} more"] if number > len(names) else []
    if number := tally.number([JobState.SUBMITTING]):
        how = resume_command(journal=journal, service=service, account=account, download_to=None)
        lines.append(f"{counted(number, 'job')} being submitted; if no process is at it: {how}")
    return lines


def counted(number: int, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def lines_of_others(
    everything: JobTally,
    ours: str,
    states: Iterable[JobState],
    *,
    journal: str,
    service: ServiceChoice = _NONE,
    named: str | None = None,
) -> list[str]:
    """How many unfinished jobs of which other accounts are left alone, and the ways on.

    Args:
        states: where a job stands that is unfinished.
        named: the value of ``--account``.
    """
    whose = f"--account says {ours}" if named else f"the key is of {ours}"
    lines = []
    for name, number in everything.by_account(states).items():
        if name != ours:
            what = counted(number, "unfinished job")
            adopt = adopt_command(name, journal=journal, service=service, to=named)
            lines += [
                f"{what} of the account {name} not touched: {whose}",
                f"if that is the same account under an older key, name it with --account {name}, "
                f"or take its jobs over: {adopt}",
            ]
    return lines


def journal_file(given: str | None) -> Path:
    """The file of a journal that exists; a mistyped name must not begin an empty one.

    Raises:
        SettingsError: none was named.
        JournalError: there is none, or it was damaged and moved aside.
    """
    if given is None:
        raise SettingsError("no journal: name its file with --journal, or with KLING_JOURNAL")
    path = journal_path(given)
    # First: a damaged journal was moved aside, so its path is free.
    reject_after_damage(path, start_fresh=False)
    # SQLite would make an empty one, and a mistyped name would look like a finished batch.
    if not path.exists():
        raise JournalError(f"there is no journal at {path}")
    return path


async def tally_of(path: Path) -> JobTally:
    """Counts of the journal's jobs now; it may be open in another process."""
    tally = JobTally()
    async for page in pages_of(path, tally):
        for job in page:
            tally.add(job)
    return tally


async def pages_of(path: Path, tally: JobTally) -> AsyncIterator[list[Job]]:
    async with Journal(path, read_only=True) as journal:
        tally.misses_rows = journal.misses_rows
        page: list[Job] = []
        async for job in journal.jobs():
            page.append(job)
            if len(page) == _PAGE:
                yield page
                page = []
        yield page


def no_such_job(path: Path, name: str) -> Failure:
    """The failure of a command that names a job which does not exist."""
    what = f"{path} has no job with the external id or task id {name!r}"
    return Failure(ExitCode.REJECTED_HERE, [what])
