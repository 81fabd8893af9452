"""Paid once although the journal is damaged, cut or gone: the service has what it forgot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async import (
    Done,
    EffectsClient,
    ExternalIdTakenError,
    JournalDamagedError,
    SingleImageEffect,
)
from kling_effects_async.emulator import Clips, Emulator, RepeatedId
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.lock import lock_path
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.submits import QUICK

EFFECTS = [
    SingleImageEffect("squish", image=f"https://img.example/{number}.jpg") for number in range(8)
]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """It takes a used id for a new task, so that whatever is sent twice is charged twice."""
    async with Emulator(
        clips=Clips.STOCK, speed=600, task_seconds=30.0, repeated_external_id=RepeatedId.ACCEPT
    ) as running:
        yield running


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def batch(client: EffectsClient) -> list[str]:
    """The tasks of the batch, each of which succeeded."""
    outcomes = [outcome async for outcome in client.run_many(EFFECTS, run="summer")]
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    return sorted(outcome.result.task_id for outcome in outcomes if isinstance(outcome, Done))


async def batch_of_a_killed_process(emulator: Emulator, db: Path) -> list[str]:
    """Its journal has everything in the log alone: what a kill leaves, copied while it is open."""
    async with emulator.client(journal=db, **QUICK) as client:
        tasks = await batch(client)
        kept = {file: file.read_bytes() for file in db.parent.iterdir()}
    for file, content in kept.items():
        file.write_bytes(content)
    return tasks


def garble(db: Path) -> None:
    db.write_bytes(db.read_bytes()[:5000] + b"\xff" * 5000)


async def test_after_damage_and_start_fresh_each_job_is_found_and_none_paid_again(
    emulator: Emulator, db: Path
) -> None:
    """Fault 27: rebuild from what the service has."""
    tasks = await batch_of_a_killed_process(emulator, db)
    garble(db)
    with pytest.raises(JournalDamagedError):
        await SqliteStore(db).open()
    async with (
        SqliteStore(db, start_fresh=True) as journal,
        emulator.client(journal=journal, **QUICK) as client,
    ):
        assert await batch(client) == tasks
        assert sorted([job.task_id or "" async for job in journal.jobs()]) == tasks
    assert (emulator.ledger.total, emulator.ledger.repeated()) == (len(EFFECTS), ())


@pytest.mark.parametrize(
    "lose",
    [
        lambda db: db.with_name("jobs.db-wal").unlink(),
        lambda db: os.truncate(db.with_name("jobs.db-wal"), 40_000),
        lambda db: [file.unlink() for file in db.parent.iterdir() if file != lock_path(db)],
        lambda db: lock_path(db).unlink(),
    ],
    ids=["no log", "half a log", "no database", "no lock file"],
)
async def test_a_journal_that_lost_its_tail_pays_nothing_again(
    emulator: Emulator, db: Path, lose: Callable[[Path], None]
) -> None:
    """Fault 88: nothing is paid again without a lookup first."""
    tasks = await batch_of_a_killed_process(emulator, db)
    lose(db)
    for _ in range(2):
        async with emulator.client(journal=db, **QUICK) as client:
            assert await batch(client) == tasks
    assert (emulator.ledger.total, emulator.ledger.repeated()) == (len(EFFECTS), ())


async def test_an_id_of_the_callers_that_was_forgotten_is_not_taken_for_his_own(
    emulator: Emulator, db: Path
) -> None:
    """Fault 88, 73: nobody knows whose task it is, and it is not paid again."""
    async with emulator.client(journal=db, **QUICK) as client:
        task = await client.submit(EFFECTS[0], external_task_id="order-42")
    db.unlink()
    async with emulator.client(journal=db, **QUICK) as client:
        with pytest.raises(ExternalIdTakenError) as caught:
            await client.submit(EFFECTS[0], external_task_id="order-42")
    assert (caught.value.task_id, emulator.ledger.total) == (task.task_id, 1)


async def test_a_job_that_went_back_to_planned_is_known_for_sent(
    emulator: Emulator, db: Path
) -> None:
    """Fault 88: the line that it was being submitted is lost, the job itself is not."""
    async with emulator.client(journal=db, **QUICK) as client:
        task = await client.submit(EFFECTS[0], external_task_id="order-42")
    async with SqliteStore(db, read_only=True) as journal:
        [job] = await journal.find("order-42")
    async with SqliteStore(db.with_name("cut.db")) as cut:
        await cut.add(evolve(job, state=JobState.PLANNED, task_id=None, was_sent=False))
    db.unlink()
    db.with_name("cut.db").rename(db)
    async with emulator.client(journal=db, **QUICK) as client:
        again = await client.submit(EFFECTS[0], external_task_id="order-42")
    assert (again.task_id, emulator.ledger.total) == (task.task_id, 1)


async def test_a_random_id_is_not_looked_up_in_a_journal_that_misses_rows(
    emulator: Emulator, db: Path
) -> None:
    lock_path(db).write_text(f"{9:020}\n")
    async with emulator.client(journal=db, **QUICK) as client:
        await client.submit(EFFECTS[0])
        assert emulator.requests["query"] == 0
