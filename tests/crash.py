"""The proof of "paid once": a batch is killed by SIGKILL again and again, and the ledger is read.

    python -m tests.crash --kills 500 --seed 7

Three processes. The emulator lives through a whole run. The batch, with its journal, is killed and
started again until every job has come to its end. This one kills, scripts faults meanwhile, and
after each kill compares what the journal says with what the emulator has charged for. The other two
are forked from it with everything imported, so that a start takes milliseconds.

A kill comes at a random time, the opening of the journal included, or at a step: before or after
the n-th move of a job to a state, or some milliseconds later. After some kills the batch is left
alone, and another one with a new journal follows.

What is not proved, because no client can have it: where used ids are accepted, a request that the
service takes up only after both lookups is paid twice. So the emulator here accepts at once and
answers late, and no fault hides a task from its lookup.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import backoff  # noqa: F401  # the client imports it when it is used; here, once before all forks
from attrs import define, field, frozen

import kling_effects_async.transport.upload  # noqa: F401  # as backoff
from kling_effects_async import (
    BearerToken,
    EffectsClient,
    JournalError,
    KlingEffectsError,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
)
from kling_effects_async.emulator import Clips, Emulator, RepeatedId
from kling_effects_async.journal.job import Job, JobState, JobUpdate, Transition
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.policy import SlotPolicy, SubmitPolicy

__all__ = ["RULES", "Rule", "Tally", "crash"]

JOBS = 30
# After so many kills at most a batch is left alone: what remains of it is always the same.
KILLS_EACH = 12
KEY = "a-key-of-the-crashing-process"
TIMEOUT_S = 0.5
# An unkilled batch takes about two seconds; on a busy machine it may take many more.
LIFE_S = 40.0
ALL_SUCCEEDED, SOME_UNCERTAIN, ORPHANED = 0, 3, 4
KILLED = -signal.SIGKILL

_FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


@frozen
class Rule:
    """What the service does with external ids."""

    name: str
    repeated: RepeatedId
    finds: bool = True


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("reject", RepeatedId.REJECT),
        Rule("accept", RepeatedId.ACCEPT),
        # Used ids are accepted, so that the ledger shows whatever is sent twice.
        Rule("no-lookup", RepeatedId.ACCEPT, finds=False),
    )
}


# -- when to die


@frozen
class Step:
    """The ``nth`` time that a job is about to come (``is_before``), or has come, to a state."""

    state: JobState
    is_before: bool
    nth: int


@frozen(kw_only=True)
class Death:
    """A moment to be killed at.

    Attributes:
        delay_s: after the step, the beginning of work, or the start of the process.
        step: the batch kills itself there; should it not come there, it is killed all the same.
    """

    delay_s: float
    step: Step | None = None
    is_from_start: bool = False


# Where a careless client would pay twice comes more often: the request is out, or its answer is in
# hand, and the journal does not say so yet.
_STEPS = {
    (JobState.SUBMITTING, True): 1,
    (JobState.SUBMITTING, False): 3,
    (JobState.ACCEPTED, True): 4,
    (JobState.ACCEPTED, False): 1,
    (JobState.UNCERTAIN, True): 1,
    (JobState.UNCERTAIN, False): 2,
    (JobState.PLANNED, False): 1,
    (JobState.SUCCEEDED, True): 1,
}
# A submit and its answer take a few milliseconds.
_SOON_S = 0.02
# For a batch that does not come to its step.
_LATEST_S = 0.3


def drawn_death(random: Random) -> Death:
    kind = random.random()
    if kind < 0.1:
        return Death(delay_s=random.uniform(0.0, 0.05), is_from_start=True)
    if kind < 0.4:
        return Death(delay_s=random.uniform(0.02, _LATEST_S))
    ((state, is_before),) = random.choices([*_STEPS], [*_STEPS.values()])
    step = Step(state, is_before, nth=random.randint(1, 6))
    return Death(delay_s=random.choice([0.0, random.uniform(0.0, _SOON_S)]), step=step)


class DoomedJournal(SqliteStore):
    """A journal whose process dies at a step."""

    def __init__(self, path: Path, death: Death | None) -> None:
        super().__init__(path)
        self._death = death
        self._passed: Counter[tuple[JobState, bool]] = Counter()

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        self._pass(update.to, is_before=True)
        await super().move(account, external_task_id, update)
        self._pass(update.to, is_before=False)

    def _pass(self, state: JobState, *, is_before: bool) -> None:
        self._passed[state, is_before] += 1
        step = Step(state, is_before, self._passed[state, is_before])
        if self._death is None or self._death.step != step:
            return
        if self._death.delay_s:
            asyncio.get_running_loop().call_later(self._death.delay_s, _die)
        else:
            _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# -- the batch


@frozen(kw_only=True)
class Batch:
    """The same jobs at each start."""

    url: str
    journal: Path
    names: Sequence[str]
    on_uncertain: str = "raise"

    def client(self, journal: SqliteStore) -> EffectsClient:
        return EffectsClient(
            BearerToken(KEY),
            service=Service.gateway(self.url),
            journal=journal,
            retry=RetryPolicy(
                attempts=3,
                base_s=0.005,
                max_pause_s=0.02,
                answer_timeout_s=TIMEOUT_S,
                submit_timeout_s=TIMEOUT_S,
            ),
            slots=SlotPolicy(start=4),
            poll=PollPolicy(shortest_s=0.03, max_interval_s=0.3),
            submit=SubmitPolicy(settle_pause_s=0.03, on_uncertain=self.on_uncertain),
        )


def work(batch: Batch, death: Death | None, told: Connection) -> None:
    """The process of a batch; its exit code tells how far it came."""
    sys.exit(asyncio.run(_work(batch, death, told)))


async def _work(batch: Batch, death: Death | None, told: Connection) -> int:
    parting = asyncio.create_task(_stay_with_parent())
    async with (
        asyncio.timeout(LIFE_S),
        DoomedJournal(batch.journal, death) as journal,
        batch.client(journal) as client,
    ):
        told.send("working")
        await asyncio.gather(_resume(client), *(_run(client, name) for name in batch.names))
        code = await _see_through(client, journal, len(batch.names))
    parting.cancel()
    return code


async def _run(client: EffectsClient, name: str) -> None:
    effect = SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")
    with suppress(KlingEffectsError):  # the journal tells where the job stands
        await client.run(effect, external_task_id=name)


async def _resume(client: EffectsClient) -> None:
    async for _outcome in client.resume():
        pass


async def _see_through(client: EffectsClient, journal: SqliteStore, jobs: int) -> int:
    in_vain = 0
    while in_vain < 2:
        await _resume(client)
        counts = await journal.counts()
        if counts[JobState.SUCCEEDED] == jobs:
            return ALL_SUCCEEDED
        in_vain += counts[JobState.SUCCEEDED] + counts[JobState.UNCERTAIN] == jobs
    return SOME_UNCERTAIN


async def _stay_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110  # no event tells of a parent's death
        await asyncio.sleep(0.2)
    os._exit(ORPHANED)


# -- the service


def serve(rule: Rule, told: Connection) -> None:
    """The process of the emulator."""
    asyncio.run(_serve(rule, told))


async def _serve(rule: Rule, told: Connection) -> None:
    async with Emulator(
        bearer_keys=[KEY],
        clips=Clips.STOCK,
        speed=600,
        task_seconds=(30.0, 120.0),
        slots=10,
        repeated_external_id=rule.repeated,
        finds_external_ids=rule.finds,
        lists_tasks=rule.finds,  # or the list settles everything
    ) as emulator:
        told.send(emulator.url)
        await _stay_with_parent()


@contextmanager
def running_emulator(rule: Rule) -> Iterator[str]:
    """The address of an emulator in a process of its own."""
    process, told = _started(serve, rule)
    try:
        if not told.poll(LIFE_S):
            raise RuntimeError("the emulator does not start")
        yield told.recv()
    finally:
        process.kill()
        process.join()


def drawn_fault(random: Random) -> dict[str, object]:
    """Failure for one submit, mostly after the task was accepted, or for one query."""
    accepted: dict[str, object] = {"accepted": random.random() < 0.7}
    return random.choice(
        [
            {"fault": "cut_after_reading"} | accepted,
            {"fault": "answer", "status": 500, "body": "{}"} | accepted,
            {"fault": "html", "status": 502} | accepted,
            {"fault": "late", "delay_s": 2 * TIMEOUT_S} | accepted,
            {
                "fault": "cut_answer",
                "after_bytes": random.randrange(300),
                "announces_length": random.random() < 0.5,
            }
            | accepted,
            {"fault": "cut_before_reading"},
            {"fault": "html", "status": 503, "on": "query"},
            {"fault": "cut_answer", "after_bytes": random.randrange(300), "on": "query"},
        ]
    )


def _asked(url: str, given: object = None) -> Any:
    content = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIFE_S) as answer:
        return json.load(answer)


# -- the referee


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
        jobs = _jobs(batch.journal)
        self.kills_with.update({str(job.state) for job in jobs.values()})
        for name in batch.names:
            state = jobs[name].state if name in jobs else JobState.PLANNED
            self.left_in[str(state), name in is_charged] += 1
            if state is JobState.PLANNED and name in is_charged:
                self._lose(name, f"charged for, and {state} after a kill")

    def see_end(self, batch: Batch, charged: Mapping[str, Sequence[str]]) -> None:
        """Look at what the batch came to when nobody killed it any more."""
        jobs, histories = _jobs(batch.journal), _histories(batch.journal)
        self.jobs += len(batch.names)
        for name in batch.names:
            tasks, job = charged.get(name, ()), jobs.get(name)
            self.sent_again += _was_sent_again(histories.get(name, ()))
            if len(tasks) > 1:
                self.duplicates.append(name)
                print(f"  {name} is charged for {len(tasks)} times: {_told(histories, name)}")
            if job is not None and job.state is JobState.SUCCEEDED and job.task_id in tasks:
                self.finished += 1
            elif job is not None and job.state is JobState.UNCERTAIN:
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


def _charged(url: str) -> Mapping[str, Sequence[str]]:
    """The task ids that were charged for, by external id."""
    tasks = defaultdict(list)
    for entry in _asked(f"{url}/_emulator/ledger")["entries"]:
        tasks[entry["external_task_id"]].append(entry["task_id"])
    return tasks


def _jobs(path: Path) -> Mapping[str, Job]:
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


# -- the killer


def crash(rule: Rule, folder: Path, *, kills: int, seed: int, on_uncertain: str = "raise") -> Tally:
    """Kill batches so many times, and see each through to its end.

    This process must have no threads, because it forks.
    """
    random, tally = Random(seed), Tally(rule.name)
    with running_emulator(rule) as url:
        while tally.kills < kills:
            number = tally.jobs // JOBS
            batch = Batch(
                url=url,
                journal=folder / f"{rule.name}-{number}.db",
                names=[f"batch-{number}-job-{job:03}" for job in range(JOBS)],
                on_uncertain=on_uncertain,
            )
            allowed = min(random.randint(1, KILLS_EACH), kills - tally.kills)
            _see_batch_through(batch, tally, allowed, random)
            print(f"{rule.name}: {tally.kills} of {kills} kills, {tally.jobs} jobs", flush=True)
    return tally


def _see_batch_through(batch: Batch, tally: Tally, kills: int, random: Random) -> None:
    last = tally.kills + kills
    while True:
        for _ in range(random.randint(0, 4)):
            _asked(f"{batch.url}/_emulator/faults", drawn_fault(random))
        death = drawn_death(random) if tally.kills < last else None
        code, charged = _life(batch, death), _charged(batch.url)
        if death is None or code != KILLED:
            break
        tally.see_kill(batch, charged)
    if code not in (ALL_SUCCEEDED, SOME_UNCERTAIN):
        raise RuntimeError(f"a batch that was left alone ended with code {code}")
    tally.see_end(batch, charged)


def _life(batch: Batch, death: Death | None) -> int:
    """Start the batch, and kill it when its time has come; its exit code."""
    process, told = _started(work, batch, death)
    try:
        if death is None:
            process.join(LIFE_S)
        else:
            if not death.is_from_start:
                told.poll(LIFE_S)
            process.join(death.delay_s if death.step is None else _LATEST_S)
    finally:
        process.kill()
        process.join()
    return process.exitcode or 0


def _started(target: Any, *arguments: object) -> tuple[Any, Connection]:
    if _FORK is None:
        raise RuntimeError("this needs fork(), which the system does not have")
    told, tells = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=target, args=(*arguments, tells), daemon=True)
    process.start()
    tells.close()
    return process, told


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.crash")
    options.add_argument("--kills", type=int, default=20, help="for each rule")
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--rule", choices=RULES, help="all of them if not given")
    options.add_argument("--on-uncertain", default="raise", choices=["raise", "resubmit"])
    given = options.parse_args()
    seed = Random().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}")
    tallies = []
    for rule in [RULES[given.rule]] if given.rule else RULES.values():
        with tempfile.TemporaryDirectory() as folder:
            tally = crash(
                rule,
                Path(folder),
                kills=given.kills,
                seed=seed,
                on_uncertain=given.on_uncertain,
            )
        tallies.append(tally)
    for tally in tallies:
        print(f"{tally}\n  left by the kills: {tally.coverage()}")
    return 0 if all(tally.is_right for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
