"""What happens to the journal of a killed batch, or to the process that has it next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve, frozen

from kling_effects_async.journal.job import Job
from kling_effects_async.journal.sqlite.lock import number_beside
from tests.crash.batch import Batch
from tests.crash.command import exit_code_and_text
from tests.crash.deaths import LATEST_S, Death, drawn_death
from tests.crash.disks import LimitedFiles, SmallDisk
from tests.crash.harms import HARMS
from tests.crash.messages import OF_DAMAGE, ROWS_LOST, Message
from tests.crash.processes import KILLED, LIFE_S, started
from tests.crash.referee import jobs_in
from tests.crash.service import KEY
from tests.crash.user import Conditions, obey

__all__ = ["INCIDENTS", "Incident", "lived"]

# A process that is to be killed or to meet something lives about as long.
_SOON_S = 0.25


@frozen
class Incident:
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
        before, is_known = jobs_in(batch.journal), _is_last_commit_noted(batch.journal)
        print(f"  {HARMS[name](batch.journal, random)}")
        # Flipped bits may make another text of a text, which nobody can see.
        is_to_be_seen = is_known and name != "bits"
        said = _lost_rows(before, jobs_in(batch.journal)) if is_to_be_seen else []
        return [*said, *_commands(batch)]

    return happen


def _is_last_commit_noted(journal: Path) -> bool:
    """Not if the kill came just after the commit, of which nobody was told and nothing was sent."""
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
        (inside,) = connection.execute("SELECT number FROM commits").fetchone()
    return bool(inside == number_beside(journal))


def _lost_rows(before: Mapping[str, Job], after: Mapping[str, Job]) -> list[Message]:
    lost = [name for name in before if after.get(name) != before[name]]
    return [(ROWS_LOST, ", ".join(lost))] if lost else []


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
    death = random.choice([None, Death(delay_s=random.uniform(0, 2 * _SOON_S))])
    return lived(batch, conditions, death)


def _fill_small_disk(batch: Batch, random: Random) -> Sequence[Message]:
    conditions = Conditions(
        disk=SmallDisk(bytes_left=random.choice([0, random.randrange(20_000)])),
        full_after_s=random.choice([None, random.uniform(0, _SOON_S / 2)]),
    )
    return lived(batch, conditions)


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
    return lived(batch, conditions, random.choice([None, drawn_death(random)]))


INCIDENTS: Mapping[str, Incident] = {
    incident.name: incident
    for incident in (
        Incident("cut", _harm("cut"), frozenset(OF_DAMAGE)),
        # A text that is another one now, such as a fingerprint, is no damage that anybody can see.
        Incident("bits", _harm("bits"), frozenset(OF_DAMAGE | {"IdempotencyConflictError"})),
        Incident("log", _harm("log"), frozenset(OF_DAMAGE)),
        Incident("full", _fill_disk, frozenset({"JournalFullError", "log"})),
        Incident("small-disk", _fill_small_disk, frozenset({"JournalFullError", "log"})),
        Incident(
            "two-owners",
            _own_twice,
            frozenset({"JournalBusyError"}),
            must_tell=frozenset({"JournalBusyError"}),
        ),
        Incident(
            "fork",
            _fork,
            frozenset({"child: RuntimeError", "child: JournalBusyError", "JournalBusyError"}),
            must_tell=frozenset({"child: RuntimeError"}),
        ),
        Incident("clock", _set_clock),
    )
}


# -- the processes


def lived(batch: Batch, conditions: Conditions, death: Death | None = None) -> list[Message]:
    """One process under these conditions; what it told."""
    process, told = started(obey, batch, evolve(conditions, death=death))
    said = []
    if death is not None:
        said = _wait_until_told("working", told)
        process.join(death.delay_s if death.step is None else LATEST_S)
        process.kill()
    return [*said, *_end_of(process, told)]


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
