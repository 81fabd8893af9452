"""Batches are killed by SIGKILL, and every job is paid once; ``nox -s crash`` kills more of them.

Faults 7, 8, 11, 12, 23, 24, 25: answers that were lost, and kills on both sides of the request.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.harness import numbers_in, output_of_harness

KILLS = 20

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks its processes")


def crash(rule: str, folder: Path, *options: object, code: int = 0) -> dict[str, int]:
    """The numbers of the summary line."""
    words = ["tests.crash", "--rule", rule, "--seed", 1, *options]
    return numbers_in(output_of_harness(*words, folder=folder, code=code), rule)


@pytest.mark.parametrize("rule", ["reject", "accept"])
def test_every_job_of_a_killed_batch_is_paid_once_and_finished(rule: str, tmp_path: Path) -> None:
    """Under both rules for an external id that was used before."""
    told = crash(rule, tmp_path, "--kills", KILLS)
    assert told["kills"] == KILLS
    assert told["duplicates"] == told["lost"] == told["uncertain"] == 0
    assert told["finished"] == told["jobs"] > 0


def test_without_a_lookup_nothing_is_sent_twice_and_uncertain_jobs_are_listed(
    tmp_path: Path,
) -> None:
    told = crash("no-lookup", tmp_path, "--kills", KILLS)
    assert told["kills"] == KILLS
    assert told["duplicates"] == told["lost"] == told["sent_again"] == 0
    assert told["finished"] + told["uncertain"] == told["jobs"]
    assert told["finished"] > 0


def test_the_harness_sees_it_when_a_job_is_paid_twice(tmp_path: Path) -> None:
    """By the one policy that prefers a second charge to a missing clip."""
    told = crash("no-lookup", tmp_path, "--kills", 5, "--on-uncertain", "resubmit", code=1)
    assert told["duplicates"] > 0


async def test_a_journal_whose_first_opening_was_killed_can_be_opened(tmp_path: Path) -> None:
    """A file in the midst of its first write, with the rollback journal SQLite made for it."""
    source, killed = tmp_path / "source.db", tmp_path / "killed.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")  # so that pages go to the file before the commit
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE t AS SELECT randomblob(100000)")
        for ending in ("", "-journal"):
            shutil.copy(f"{source}{ending}", f"{killed}{ending}")
    assert killed.stat().st_size > 0
    async with SqliteStore(killed) as journal:
        assert not any((await journal.counts()).values())
