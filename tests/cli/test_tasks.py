"""``kling-effects status``, ``watch`` and ``list``: tasks at the service, asked for nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import SingleImageEffect
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import Ended, kling, kling_at, started

ROW = [
    *["task_id", "external_task_id", "status", "raw_status", "is_final", "message", "units"],
    *["created_at", "updated_at", "videos"],
]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        yield emulator


@pytest.fixture
async def slow() -> AsyncIterator[Emulator]:
    """Of which no task ends."""
    async with Emulator(clips=Clips.STOCK, speed=0.001) as emulator:
        yield emulator


async def submitted(at: Emulator, cat: Path, *names: str) -> list[str]:
    async with at.client() as client:
        effect = SingleImageEffect("squish", image=cat)
        tasks = [await client.submit(effect, external_task_id=name) for name in names]
    return [task.task_id or "" for task in tasks]


def rows(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.out.splitlines()]


# -- status


async def test_status_is_a_row_for_each_id_of_either_kind(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    first, second = await submitted(emulator, cat, "order-1", "order-2")
    line = ["status", first, "--external-task-id", "order-2", "--json"]
    ended = await kling_at(emulator, *line, folder=tmp_path)
    assert ended.code == 0
    assert [(row["task_id"], row["external_task_id"]) for row in rows(ended)] == [
        (first, "order-1"),
        (second, "order-2"),
    ]
    assert {*rows(ended)[0]} == set(ROW)
    assert (rows(ended)[0]["status"], rows(ended)[0]["units"]) == ("succeeded", "2")
    assert emulator.ledger.total == 2


async def test_no_column_of_a_status_is_cut_on_a_narrow_terminal(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    name = "an-order-with-a-long-name-" * 4
    (task_id,) = await submitted(emulator, cat, name)
    environ = {"KLING_SERVICE": emulator.url, "KLING_API_KEY": emulator.api_key, "COLUMNS": "40"}
    ended = await asyncio.to_thread(kling, "status", task_id, folder=tmp_path, **environ)
    heads, row = ended.out.splitlines()
    assert heads.split()[:2] == ["task", "id"]
    assert row.split()[:3] == [task_id, "succeeded", name]


async def test_an_unknown_task_does_not_hide_the_others(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    (task_id,) = await submitted(emulator, cat, "order-1")
    ended = await kling_at(emulator, "status", "no-such-task", task_id, folder=tmp_path)
    assert ended.code == ExitCode.REJECTED_THERE
    assert task_id in ended.out
    assert "no-such-task: " in ended.err


@pytest.mark.parametrize("command", ["status", "watch"])
def test_no_id_is_a_usage_error(command: str, tmp_path: Path) -> None:
    ended = kling(command, folder=tmp_path)
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.USAGE, 1)


# -- watch


async def test_watch_prints_the_changes_of_all_and_ends_with_the_last(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    ids = await submitted(emulator, cat, "order-1", "order-2")
    ended = await kling_at(emulator, "watch", *ids, folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert sorted(ended.out.splitlines()) == sorted(f"{i} succeeded, 2 units" for i in ids)


async def test_a_task_that_failed_is_the_exit_code_of_a_watch(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    emulator.fail_next(Fault.task_failed("the picture shows nobody"))
    ids = await submitted(emulator, cat, "order-1", "order-2")
    ended = await kling_at(emulator, "watch", *ids, "--json", folder=tmp_path)
    assert ended.code == ExitCode.TASK_FAILED
    last = {row["task_id"]: row for row in rows(ended)}
    assert [last[i]["status"] for i in ids] == ["failed", "succeeded"]
    assert last[ids[0]]["message"] == "the picture shows nobody"


async def test_a_watch_ends_after_its_timeout_and_the_task_goes_on(
    slow: Emulator, cat: Path, tmp_path: Path
) -> None:
    (task_id,) = await submitted(slow, cat, "order-1")
    ended = await kling_at(slow, "watch", task_id, "--timeout-s", "3", folder=tmp_path)
    assert ended.code == ExitCode.TIMED_OUT
    assert "it goes on at the service" in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_a_watch_without_a_traceback(
    number: int, code: int, slow: Emulator, cat: Path, tmp_path: Path
) -> None:
    (task_id,) = await submitted(slow, cat, "order-1")
    process = await started(slow, "watch", task_id, folder=tmp_path)
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(number)
    _out, err = await process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err


# -- list


async def test_list_has_the_tasks_of_the_service_and_filters_them(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    emulator.fail_next(Fault.task_failed("the picture shows nobody"))
    failed, done, *_more = await submitted(emulator, cat, "order-1", "order-2", "other-3")
    everything = await kling_at(emulator, "list", "--json", folder=tmp_path)
    assert {row["external_task_id"] for row in rows(everything)} == {
        *("order-1", "order-2", "other-3")
    }
    bad = await kling_at(emulator, "list", "--status", "failed", "--json", folder=tmp_path)
    assert [row["task_id"] for row in rows(bad)] == [failed]
    ours = await kling_at(emulator, "list", "--id", "order-", folder=tmp_path)
    assert (ours.code, len(ours.out.splitlines())) == (0, 3)
    assert done in ours.out


async def test_a_limit_is_kept_over_pages_and_said(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    await submitted(emulator, cat, "a", "b", "c")
    ended = await kling_at(emulator, "list", "--limit", "2", "--json", folder=tmp_path)
    assert len(rows(ended)) == 2
    assert "--limit shows more" in ended.err


async def test_a_service_without_a_list_is_told_in_two_sentences(tmp_path: Path) -> None:
    async with Emulator(lists_tasks=False) as emulator:
        ended = await kling_at(emulator, "list", folder=tmp_path)
    assert ended.code in (ExitCode.REJECTED_THERE, ExitCode.NO_ANSWER)
    assert ended.err.splitlines()[-1].endswith("this service may have no list of tasks")


async def test_no_signed_address_of_a_clip_is_printed(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    """Fault 67: fetch saves a clip; no list of tasks hands out its address."""
    (task_id,) = await submitted(emulator, cat, "order-1")
    for line in (["status", task_id], ["watch", task_id], ["list"]):
        ended = await kling_at(emulator, *line, "--json", folder=tmp_path)
        assert "http" not in ended.out
        assert rows(ended)[-1]["videos"][0].keys() == {"id", "duration_s"}
