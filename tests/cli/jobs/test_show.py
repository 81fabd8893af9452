"""``kling-effects jobs show``: one job, its history, and no secret of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
    SingleImageEffect,
)
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.support.journal_jobs import NOW, SECRET, URL, jobs, write


@pytest.mark.parametrize("name", ["order-1", "task-of-order-1"])
async def test_a_job_is_shown_with_its_history(name: str, db: Path) -> None:
    await write(db, "order-1", JobState.SUCCEEDED)
    ended = await jobs(db, "show", name)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert "units        2.5" in lines
    assert [line.split()[-1] for line in lines[-4:]] == [
        "planned",
        "submitting",
        "accepted",
        "succeeded",
    ]
    assert lines[-4].split()[1:4] == ["2026-11-01", "00:00:00", "UTC"]


async def test_a_shown_job_in_json_has_its_history_and_its_images(db: Path) -> None:
    await write(db, "order-1", JobState.UNCERTAIN)
    told = json.loads((await jobs(db, "show", "order-1", "--json")).out)
    assert [step["state"] for step in told["history"]] == ["planned", "submitting", "uncertain"]
    assert told["images"] == ["https://img.example/a.jpg?..."]


async def test_an_uncertain_job_is_shown_with_the_way_to_settle_it(db: Path) -> None:
    await write(db, "order-1", JobState.UNCERTAIN)
    ended = await jobs(db, "show", "order-1")
    assert ended.last_command == "jobs settle --journal effects.db order-1"


async def test_a_job_that_is_not_there_is_4(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED)
    ended = await jobs(db, "show", "order-2")
    assert (ended.code, ended.out) == (ExitCode.REJECTED_HERE, "")
    assert "no job with the external id or task id 'order-2'" in ended.err


async def test_no_signature_of_an_address_is_shown(db: Path) -> None:
    """Fault 67: a journal holds signed addresses, of images and of videos."""
    await write(db, "order-1", JobState.UNCERTAIN)
    await write(db, "order-2", JobState.DOWNLOADED)
    for arguments in (
        [],
        ["--json"],
        ["show", "order-1"],
        ["show", "order-1", "--json"],
        ["show", "order-2"],
    ):
        ended = await jobs(db, *arguments)
        assert ended.code == 0
        assert SECRET not in ended.out + ended.err


async def test_a_journal_cannot_steer_the_terminal(db: Path) -> None:
    job = make_job(
        SingleImageEffect("sq\x1b[2Juish", image=URL),
        account="gateway-0",
        external_task_id="order\n1",
        image_hashes=[""],
        now=NOW,
    )
    async with SqliteStore(db) as journal:
        await journal.add(job)
    for arguments in ([], ["show", "order\n1"]):
        ended = await jobs(db, *arguments)
        assert "sq?[2Juish" in ended.out
        assert "\x1b" not in ended.out + ended.err
