"""Damage the journal of a killed batch, go on as the messages say, and read the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen

from kling_effects_async.journal.job import Job, JobState
from tests.crash.batch import Batch
from tests.crash.command import exit_code_and_text
from tests.crash.deaths import Death, drawn_death
from tests.crash.disks import LimitedFiles, SmallDisk
from tests.crash.harms import HARMS
from tests.crash.kills import life
from tests.crash.processes import KILLED, LIFE_S, started
from tests.crash.referee import jobs_in
from tests.crash.service import KEY, RULES, charged, running_emulator, script_fault
from tests.crash.user import Conditions, obey

__all__ = ["TROUBLES", "DamageTally", "damage"]

JOBS = 8
# A process that is to be killed or to meet something lives about as long.
_SOON_S = 0.25

Message = tuple[str, str]


# -- what the user may be told

# By the class of the error: what the message has to say, one of these.
SENTENCES: Mapping[str, Sequence[str]] = {
    "warning": ("each job is looked up at the service before it is submitted",),
    "JournalDamagedError": (
        "open it again with start_fresh=True",
        "close it and open it again",
        "submit the effect again under another external_task_id",
    ),
    "IdempotencyConflictError": ("choose another id",),
    "JournalFullError": ("submit nothing until there is room",),
    "log": ("submit nothing until there is room",),  # an outcome that is delivered all the same
    "JournalBusyError": ("wait for its end, or open it read-only",),
    "ExternalIdTakenError": ('submit with SubmitPolicy(on_taken="adopt")',),
    "jobs: exit 3": (
        "open it again",
        "delete the file beside it that ends in .damaged",
        "open it for writing once",  # killed before it had its tables
    ),
    "jobs resume: exit 3": ("delete the file beside it that ends in .damaged",),
    "child: RuntimeError": ("async with client:", "open it again here"),
    "child: JournalBusyError": ("wait for its end, or open it read-only",),
}
_OF_DAMAGE = {
    "warning",
    "JournalDamagedError",
    "ExternalIdTakenError",
    "jobs: exit 3",
    "jobs resume: exit 3",
}
# Not said by anybody: the journal can be read, and has less than before.
_ROWS_LOST = "rows lost"
# What the service's faults bring about, whatever happens to the journal.
_OF_SERVICE = {"SubmissionUncertainError", "NetworkError", "RequestTimeoutError", "ServiceError"}


# -- what happens


@frozen
class Trouble:
    """Something that happens to the journal of a killed batch, or to the process that has it next.

    Attributes:
        may_tell: the classes of ``SENTENCES`` that the user may be told.
        must_tell: those of them without which the user would not know.
    """

    name: str
    happen: Callable[[Batch, Random], Sequence[Message]]
    may_tell: frozenset[str] = frozenset()
    must_tell: frozenset[str] = frozenset()


def _harm(name: str) -> Callable[[Batch, Random], Sequence[Message]]:
    def happen(batch: Batch, random: Random) -> Sequence[Message]:
        before = jobs_in(batch.journal)
        print(f"  {HARMS[name](batch.journal, random)}")
        said = _lost_rows(before, jobs_in(batch.journal)) if name != "bits" else []
        return [*said, *_commands(batch)]

    return happen


def _lost_rows(before: Mapping[str, Job], after: Mapping[str, Job]) -> list[Message]:
    lost = [name for name in before if after.get(name) != before[name]]
    return [(_ROWS_LOST, ", ".join(lost))] if lost else []


def _commands(batch: Batch) -> list[Message]:
    """What the command line says: the list, and where that fails, ``jobs resume``."""
    said = []
    for command in (["jobs"], ["jobs", "resume"]):
        words = [*command, "--journal", str(batch.journal)]
        code, text = exit_code_and_text(words, batch.url, KEY)
        if code == 0:
            break
        said.append((f"{' '.join(command)}: exit {code}", " ".join(text.split())))
    return said


def _fill_disk(batch: Batch, random: Random) -> Sequence[Message]:
    conditions = Conditions(
        disk=LimitedFiles(bytes_left=random.choice([0, random.randrange(9_000)])),
        full_after_s=random.choice([None, random.uniform(0, _SOON_S / 2)]),
        dies_full=random.random() < 0.5,
    )
    return _lived(batch, conditions)


def _fill_small_disk(batch: Batch, random: Random) -> Sequence[Message]:
    conditions = Conditions(
        disk=SmallDisk(bytes_left=random.choice([0, random.randrange(20_000)])),
        full_after_s=random.choice([None, random.uniform(0, _SOON_S / 2)]),
    )
    return _lived(batch, conditions)


def _own_twice(batch: Batch, random: Random) -> Sequence[Message]:
    """A second process comes, by a symbolic link or not, while the first one works."""
    path = batch.journal
    if random.random() < 0.5:
        path = batch.journal.with_name(f"{batch.journal.stem}-link.db")
        path.symlink_to(batch.journal.name)
    first, told_by_first = started(obey, batch, Conditions(stays_s=LIFE_S / 2))
    _wait_until_told("working", told_by_first)
    second, told_by_second = started(obey, batch, Conditions(journal=path))
    said = _wait_until_told("JournalBusyError", told_by_second)
    first.join(random.uniform(0, _SOON_S))
    first.kill()
    first.join()
    return [*said, *_end_of(second, told_by_second)]


def _fork(batch: Batch, random: Random) -> Sequence[Message]:
    """A process forks in the midst of its work, and may be killed while its child lives."""
    process, told = started(obey, batch, Conditions(forks_after_s=random.uniform(0, _SOON_S)))
    said = _wait_until_told("child: RuntimeError", told)
    if random.random() < 0.5:
        process.kill()
    return [*said, *_end_of(process, told)]


def _set_clock(batch: Batch, random: Random) -> Sequence[Message]:
    since_1970 = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC) - datetime.now(UTC)
    offsets = [timedelta(), -timedelta(hours=1), -timedelta(days=400), since_1970]
    conditions = Conditions(
        set_by=random.choice([*offsets, timedelta(days=9)]),
        set_again_by=random.choice(offsets),
        set_after_s=random.uniform(0.01, _SOON_S),
    )
    return _lived(batch, conditions, random.choice([None, drawn_death(random)]))


TROUBLES: Mapping[str, Trouble] = {
    trouble.name: trouble
    for trouble in (
        Trouble("cut", _harm("cut"), frozenset(_OF_DAMAGE)),
        # A text that is another one now, such as a fingerprint, is no damage that anybody can see.
        Trouble("bits", _harm("bits"), frozenset(_OF_DAMAGE | {"IdempotencyConflictError"})),
        Trouble("log", _harm("log"), frozenset(_OF_DAMAGE)),
        Trouble("full", _fill_disk, frozenset({"JournalFullError", "log"})),
        Trouble("small-disk", _fill_small_disk, frozenset({"JournalFullError", "log"})),
        Trouble(
            "two-owners",
            _own_twice,
            frozenset({"JournalBusyError"}),
            must_tell=frozenset({"JournalBusyError"}),
        ),
        Trouble(
            "fork",
            _fork,
            frozenset({"child: RuntimeError", "child: JournalBusyError", "JournalBusyError"}),
            must_tell=frozenset({"child: RuntimeError"}),
        ),
        Trouble("clock", _set_clock),
    )
}


# -- the processes


def _lived(batch: Batch, conditions: Conditions, death: Death | None = None) -> list[Message]:
    """One process under these conditions; what it told."""
    process, told = started(obey, batch, conditions)
    if death is not None:
        said = _wait_until_told("working", told)
        process.join(death.delay_s)
        process.kill()
        return [*said, *_end_of(process, told)]
    return _end_of(process, told)


def _end_of(process: Any, told: Connection) -> list[Message]:
    said = []
    with suppress(EOFError):  # it has ended, and whatever it forked
        while told.poll(LIFE_S):
            said.append(told.recv())
    process.kill()
    process.join()
    if process.exitcode not in (0, KILLED):
        said.append(("stuck", f"exit code {process.exitcode}"))
    return said


def _wait_until_told(name: str, told: Connection) -> list[Message]:
    """What is told up to this, or to the process's end."""
    said: list[Message] = []
    with suppress(EOFError):
        while name not in dict(said) and told.poll(LIFE_S):
            said.append(told.recv())
    return said


# -- the rounds


@define
class DamageTally:
    """What became of the jobs.

    Attributes:
        duplicates: jobs that were charged for more than once.
        lost: jobs that are neither finished nor listed as uncertain.
        wrong: what was told, or was not, against ``Trouble``.
        said: how often which class was told, by trouble.
    """

    rounds: int = 0
    jobs: int = 0
    finished: int = 0
    listed: int = 0
    duplicates: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    said: Counter[tuple[str, str]] = field(factory=Counter)

    @property
    def is_right(self) -> bool:
        return not (self.duplicates or self.lost or self.wrong)

    def see_messages(self, trouble: Trouble, said: Sequence[Message]) -> None:
        """Whether the user was told what is to be told, in sentences that say what to do."""
        names = {name for name, _text in said} - {"working"}
        self.said.update((trouble.name, name) for name in names)
        for name in trouble.must_tell - names:
            self._complain(f"{name} was not told")
        if _ROWS_LOST in names and not names & {"warning", "JournalDamagedError"}:
            self._complain("rows were lost, and nobody was told")
        for name, text in said:
            if name in _OF_SERVICE | {"working", _ROWS_LOST}:
                continue
            fits = any(part in text for part in SENTENCES.get(name, ()))
            if name not in trouble.may_tell or not fits:
                self._complain(f"told was {name}: {text}")

    def see_jobs(self, batch: Batch) -> None:
        paid, jobs = charged(batch.url), jobs_in(batch.journal)
        self.jobs += len(batch.names)
        for name in batch.names:
            job, tasks = jobs.get(name), paid.get(name, ())
            if len(tasks) > 1:
                self.duplicates.append(name)
                print(f"  {name} is charged for {len(tasks)} times")
            if job is not None and job.state is JobState.SUCCEEDED and job.task_id in tasks:
                self.finished += 1
            elif job is not None and job.state is JobState.UNCERTAIN:
                self.listed += 1
            else:
                self.lost.append(name)
                print(f"  {name} is lost: {tasks} were charged for, and the journal has {job}")

    def _complain(self, what: str) -> None:
        self.wrong.append(what)
        print(f"  {what}")

    def told(self) -> str:
        """What was told, by trouble: the class of the error, and in how many rounds."""
        lines = {
            trouble: [f"{name} {n}" for (of, name), n in sorted(self.said.items()) if of == trouble]
            for trouble in TROUBLES
        }
        return "\n".join(
            f"  {name}: {', '.join(said) or 'nothing'}" for name, said in lines.items()
        )

    def __str__(self) -> str:
        return (
            f"damage: rounds={self.rounds} jobs={self.jobs} finished={self.finished} "
            f"listed={self.listed} duplicates={len(self.duplicates)} lost={len(self.lost)} "
            f"wrong={len(self.wrong)}"
        )


def damage(folder: Path, *, rounds: int, seed: int, troubles: Sequence[str]) -> DamageTally:
    """Have the troubles happen in turn, under both rules for a repeated id.

    This process must have no threads, because it forks.
    """
    tally = DamageTally()
    with (
        running_emulator(RULES["accept"]) as accepting,
        running_emulator(RULES["reject"]) as rejecting,
    ):
        for number in range(rounds):
            turn, which = divmod(number, len(troubles))
            url = rejecting if turn % 2 else accepting
            # Of its own, so that a round is drawn alike however many there are.
            random = Random(f"{seed} {number}")
            _see_round(url, TROUBLES[troubles[which]], folder, number, random, tally)
    return tally


def _see_round(
    url: str, trouble: Trouble, folder: Path, number: int, random: Random, tally: DamageTally
) -> None:
    """Kill a batch, have the trouble happen, go on, and look at the end."""
    name = f"round-{number}"
    batch = _drawn_batch(url, folder / f"{name}.db", name, random)
    _kill(batch, random)
    print(f"round {number}: {trouble.name}", flush=True)
    said = [*trouble.happen(batch, random), *_lived(batch, Conditions())]
    tally.rounds += 1
    tally.see_messages(trouble, said)
    tally.see_jobs(batch)


def _drawn_batch(url: str, journal: Path, name: str, random: Random) -> Batch:
    if random.random() < 0.5:
        return Batch.derived(url, journal, run=name, jobs=JOBS)
    return Batch(url=url, journal=journal, names=[f"{name}-job-{job}" for job in range(JOBS)])


def _kill(batch: Batch, random: Random) -> None:
    """Kill the batch in the midst of its work, once or several times."""
    for _ in range(random.randint(1, 3)):
        for _ in range(random.randint(0, 2)):
            script_fault(batch.url, random)
        life(batch, drawn_death(random))
    while not jobs_in(batch.journal):  # killed before there was anything to damage
        life(batch, drawn_death(random))
