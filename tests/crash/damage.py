"""Damage the journal of a killed batch, go on as the messages say, and read the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from attrs import define, field

from kling_effects_async.journal.job import Job
from tests.crash.batch import Batch
from tests.crash.deaths import drawn_death
from tests.crash.incidents import INCIDENTS, Incident, lived
from tests.crash.kills import life
from tests.crash.messages import OF_SERVICE, ROWS_LOST, SENTENCES, Message
from tests.crash.referee import is_finished, is_listed, jobs_in
from tests.crash.service import RULES, charged, running_emulator, script_fault
from tests.crash.user import Conditions

__all__ = ["DamageTally", "damage"]

JOBS = 8


@define
class DamageTally:
    """What became of the jobs.

    Attributes:
        duplicates: jobs that were charged for more than once.
        lost: jobs that are neither finished nor listed as uncertain.
        wrong: what was told, or was not, against ``Incident``.
        said: how often which class was told, by incident.
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

    def see_messages(self, incident: Incident, said: Sequence[Message]) -> None:
        """Whether the user was told what is to be told, in sentences that say what to do."""
        names = {name for name, _text in said} - {"working"}
        self.said.update((incident.name, name) for name in names)
        for name in incident.must_tell - names:
            self._complain(f"{name} was not told")
        if ROWS_LOST in names and not names & {"warning", "JournalDamagedError"}:
            self._complain("rows were lost, and nobody was told")
        for name, text in said:
            if name in OF_SERVICE | {"working", ROWS_LOST}:
                continue
            fits = any(part in text for part in SENTENCES.get(name, ()))
            if name not in incident.may_tell or not fits:
                self._complain(f"told was {name}: {text}")

    def see_jobs(
        self, names: Sequence[str], jobs: Mapping[str, Job], paid: Mapping[str, Sequence[str]]
    ) -> None:
        """Compare what the journal holds, by external id, with the tasks that were charged for."""
        self.jobs += len(names)
        for name in names:
            job, tasks = jobs.get(name), paid.get(name, ())
            if len(tasks) > 1:
                self.duplicates.append(name)
                print(f"  {name} is charged for {len(tasks)} times")
            if is_finished(job, tasks):
                self.finished += 1
            elif is_listed(job):
                self.listed += 1
            else:
                self.lost.append(name)
                print(f"  {name} is lost: {tasks} were charged for, and the journal has {job}")

    def _complain(self, what: str) -> None:
        self.wrong.append(what)
        print(f"  {what}")

    def told(self) -> str:
        """What was told, by incident: the class of the error, and in how many rounds."""
        lines = {
            incident: [
                f"{name} {n}" for (of, name), n in sorted(self.said.items()) if of == incident
            ]
            for incident in INCIDENTS
        }
        return "\n".join(
            f"  {name}: {', '.join(said) or 'nothing, or not run'}" for name, said in lines.items()
        )

    def __str__(self) -> str:
        return (
            f"damage: rounds={self.rounds} jobs={self.jobs} finished={self.finished} "
            f"listed={self.listed} duplicates={len(self.duplicates)} lost={len(self.lost)} "
            f"wrong={len(self.wrong)}"
        )


def damage(folder: Path, *, rounds: int, seed: int, incidents: Sequence[str]) -> DamageTally:
    """Have the incidents happen in turn, under both rules for a repeated id.

    This process must have no threads, because it forks.
    """
    tally = DamageTally()
    with (
        running_emulator(RULES["accept"]) as accepting,
        running_emulator(RULES["reject"]) as rejecting,
    ):
        for number in range(rounds):
            turn, which = divmod(number, len(incidents))
            url = rejecting if turn % 2 else accepting
            # Of its own, so that a round is drawn alike however many there are.
            random = Random(f"{seed} {number}")
            _see_round(url, INCIDENTS[incidents[which]], folder, number, random, tally)
    return tally


def _see_round(
    url: str, incident: Incident, folder: Path, number: int, random: Random, tally: DamageTally
) -> None:
    """Kill a batch, have the incident happen, go on, and look at the end."""
    name = f"round-{number}"
    batch = _drawn_batch(url, folder / f"{name}.db", name, random)
    _kill(batch, random)
    print(f"round {number}: {incident.name}", flush=True)
    said = [*incident.happen(batch, random), *lived(batch, Conditions())]
    tally.rounds += 1
    tally.see_messages(incident, said)
    tally.see_jobs(batch.names, jobs_in(batch.journal), charged(batch.url))


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
