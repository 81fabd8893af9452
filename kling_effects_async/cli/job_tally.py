"""What a journal's jobs come to, and what of it wants a person; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from attrs import define, field

from kling_effects_async import Job, JobState
from kling_effects_async.cli.commands import resume_command, settle_command

__all__ = ["JobTally", "counted", "uncertain_lines"]

# So many uncertain jobs are named; a person settles them one by one.
_NAMED = 10
_MISSES_ROWS = (
    "this journal lost writes, or cannot tell whether it did: there may be more jobs, so each job "
    "is looked up at the service before it is submitted"
)


@define
class JobTally:
    """Counts jobs as they go by.

    Attributes:
        counts: jobs by account and state.
        units: units spent by account, as far as the services told.
        uncertain: the first jobs of each account that may have a task nobody knows.
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
    tally: JobTally, *, journal: str, service: str | None = None, account: str | None = None
) -> Sequence[str]:
    """The jobs that may have a task, and be charged, and how to settle each."""
    lines = []
    if number := tally.number([JobState.UNCERTAIN]):
        names = [name for of_account in tally.uncertain.values() for name in of_account]
        lines.append(f"{counted(number, 'job')} in doubt: an answer was lost, a task may exist")
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
