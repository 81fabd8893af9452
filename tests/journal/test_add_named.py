"""Names of clips: the same rules from a journal and from the memory."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async.errors import (
    AccountChangedError,
    IdempotencyConflictError,
    JournalFullError,
)
from kling_effects_async.journal.clip_numbers import ClipNumbers
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import JobStore
from kling_effects_async.journal.used_names import UsedNames
from tests.support.paid_service import ACCOUNT, a_job

MANY = 2000


def in_folder(name: str, folder: str = "/clips") -> Job:
    return evolve(a_job(name), download_to=folder)


async def names_of(store: JobStore, *jobs: Job, wished: str = "cat.mp4") -> list[str | None]:
    named = await asyncio.gather(*(store.add_named(job, wished) for job in jobs))
    return [job.clip_name for job in named]


async def test_names_are_given_in_the_order_of_the_calls(store: JobStore) -> None:
    jobs = [in_folder(f"job-{number}") for number in range(50)]
    names = await names_of(store, *jobs)
    assert names == ["cat.mp4", *(f"cat-{number}.mp4" for number in range(2, 51))]


async def test_a_job_keeps_its_name_and_is_the_one_that_is_held(store: JobStore) -> None:
    first = await store.add_named(in_folder("a"), "cat.mp4")
    assert (first.clip_name, first.download_to) == ("cat.mp4", "/clips")
    await store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    again = await store.add_named(in_folder("a"), "dog.mp4")
    assert (again.clip_name, again.state) == ("cat.mp4", JobState.SUBMITTING)
    assert await store.add(a_job("a")) == again


async def test_a_job_from_before_gets_a_name_and_a_folder(store: JobStore) -> None:
    await store.add(a_job("a"))
    await store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    named = await store.add_named(in_folder("a"), "cat.mp4")
    assert (named.state, named.clip_name, named.download_to) == (
        JobState.SUBMITTING,
        "cat.mp4",
        "/clips",
    )
    assert (await store.find("a")) == [named]


async def test_each_folder_has_its_own_names(store: JobStore) -> None:
    assert await names_of(store, in_folder("a"), in_folder("b", "/more")) == ["cat.mp4"] * 2
    assert await names_of(store, in_folder("b")) == ["cat-2.mp4"]
    (held,) = await store.find("b")
    assert (held.download_to, held.clip_name) == ("/clips", "cat-2.mp4")
    assert await names_of(store, in_folder("b", "/third"), wished="dog.mp4") == ["cat-2.mp4"]


async def test_names_that_differ_by_case_alone_are_one(store: JobStore) -> None:
    """Fault 54: case clash."""
    assert await names_of(store, in_folder("a"), wished="Café.mp4") == ["Café.mp4"]
    assert await names_of(store, in_folder("b"), wished="CAFÉ.mp4") == ["CAFÉ-2.mp4"]


async def test_a_number_that_a_name_has_of_itself_is_left_out(store: JobStore) -> None:
    assert await names_of(store, in_folder("a"), wished="cat-2.mp4") == ["cat-2.mp4"]
    assert await names_of(store, in_folder("b"), in_folder("c")) == ["cat.mp4", "cat-3.mp4"]


async def test_a_name_that_will_hold_the_tasks_id_needs_no_number(store: JobStore) -> None:
    jobs = (in_folder("a"), in_folder("b"))
    assert await names_of(store, *jobs, wished="cat-<task_id>.mp4") == ["cat-<task_id>.mp4"] * 2


async def test_another_job_under_a_used_id_gets_no_name(store: JobStore) -> None:
    """Fault 22: same external id, other content."""
    await store.add(a_job("a"))
    with pytest.raises(IdempotencyConflictError):
        await store.add_named(evolve(in_folder("a"), fingerprint="a dog"), "cat.mp4")
    assert await names_of(store, in_folder("b")) == ["cat.mp4"]


async def test_a_name_of_another_account_is_not_given_twice(store: JobStore) -> None:
    other = evolve(in_folder("a"), account="other")
    assert await names_of(store, other, in_folder("b")) == ["cat.mp4", "cat-2.mp4"]


async def test_a_named_job_of_a_rotated_key_is_not_added_again(tmp_path: Path) -> None:
    """Fault 72: the key was rotated, the journal is the old one."""
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        old = evolve(in_folder("a"), account="old", service="https://gw.example")
        await journal.add_named(old, "cat.mp4")
        with pytest.raises(AccountChangedError):
            await journal.add_named(evolve(old, account="new"), "cat.mp4")


async def test_names_are_in_the_file_and_found_again(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        await names_of(journal, in_folder("a"), in_folder("b"))
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        assert await names_of(journal, in_folder("c"), in_folder("b"), in_folder("a")) == [
            "cat-3.mp4",
            "cat-2.mp4",
            "cat.mp4",
        ]
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT 1 FROM jobs WHERE clip_key = 'k' AND download_to = 'f'"
        ).fetchall()
    assert "jobs_by_clip" in str(plan)  # a search in a million jobs is one step


def test_the_next_number_of_a_name_is_not_searched_for_from_the_start() -> None:
    numbers, taken, asked = ClipNumbers(), set[str](), 0

    def is_taken(key: str) -> bool:
        nonlocal asked
        asked += 1
        return key in taken

    for _ in range(MANY):
        taken.add(numbers.free_name("/clips", "cat.mp4", is_taken))
    assert len(taken) == MANY
    assert asked <= 2 * MANY
    for number in range(MANY):  # more bases than are remembered
        for _ in range(2):
            name = numbers.free_name("/clips", f"{number}.mp4", is_taken)
            assert name not in taken
            taken.add(name)
    assert numbers.free_name("/clips", "0.mp4", is_taken) == "0-3.mp4"
    assert numbers.free_name("/more", "0.mp4", lambda _: False) == "0.mp4"


def test_names_without_a_journal_are_given_once_whoever_asks() -> None:
    names, given = UsedNames(), list[str]()

    def name(first: int) -> None:
        given.extend(names.name_of(f"{first + n}", "/clips", "cat.mp4") for n in range(200))

    threads = [threading.Thread(target=name, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given)) == 600
    assert names.name_of("0", "/clips", "other.mp4") in given


def test_a_full_folder_for_temporary_files_is_reported() -> None:
    """Fault 53: disk full."""
    names = UsedNames(max_pages=8)
    given = (names.name_of(f"{number}", "/clips", f"{number}.mp4") for number in range(MANY))
    with pytest.raises(JournalFullError, match="TMPDIR"):
        list(given)
