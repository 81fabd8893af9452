"""What ``--json`` prints is what docs/cli-json.md says, member by member and type by type."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kling_effects_async import SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import kling, kling_at
from tests.support.settings_file import write_settings

PAGE = Path(__file__).parents[2] / "docs" / "cli-json.md"


def is_time(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def is_decimal(value: object) -> bool:
    return isinstance(value, str) and Decimal(value).is_finite()


TYPES = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
    "time": is_time,
    "decimal": is_decimal,
}


def documented(title: str) -> Mapping[str, str]:
    """The members of one section's table, and their types."""
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.M)
    (section,) = [each for each in sections if each.startswith(f"{title}\n")]
    return dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", section, re.M))


def check(title: str, *rows: Mapping[str, Any], others: tuple[str, ...] = ()) -> None:
    members = documented(title)
    assert rows
    for row in rows:
        assert set(row) == {*members, *others}
        for name, kinds in members.items():
            assert any(TYPES[kind](row[name]) for kind in kinds.split(" or ")), (name, row[name])


def rows_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        yield emulator


async def test_tasks_and_jobs_are_as_documented(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    async def told(*line: object) -> list[Any]:
        return rows_of((await kling_at(emulator, *line, "--json", folder=tmp_path)).out)

    book = ("--journal", "jobs.db")
    (made,) = await told("run", "squish", cat, *book)
    check("`run` and `fetch`", made, *await told("fetch", made["task_id"], "-o", "b.mp4"))
    task = made["task_id"]
    check("`status`, `watch` and `list`", *await told("status", task))
    check("`status`, `watch` and `list`", *await told("watch", task), *await told("list"))
    check("`jobs`", *await told("jobs", *book))
    (job,) = await told("jobs", "show", task, *book)
    check("`jobs`", job, others=("images", "history"))
    assert {*job["history"][0]} == {"state", "at", "note"}


async def test_what_a_resume_prints_is_as_documented(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    async with emulator.client(journal=tmp_path / "jobs.db", account="studio") as client:
        await client.submit(SingleImageEffect("squish", image=cat))
    line = ["jobs", "resume", "--journal", "jobs.db", "--account", "studio", "--json"]
    ended = await kling_at(emulator, *line, folder=tmp_path)
    check("`jobs resume`", *rows_of(ended.out))


async def test_what_a_bulk_run_prints_is_as_documented(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    section = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.M)
    (bulk,) = [each for each in section if each.startswith("`bulk`")]
    members = {
        kind: {"event", *re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", line))}
        for kind, line in re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", bulk, re.M)
    }
    emulator.fail_next(Fault.task_failed())
    line = ["bulk", "squish", cat, "https://img.example/b.jpg", "-o", "clips", "--json"]
    line += ["--journal", "jobs.db", "--by", "18:00"]
    ended = [
        await kling_at(emulator, *line, *more, folder=tmp_path) for more in ([], ["--dry-run"])
    ]
    found = [row for each in ended for row in rows_of(each.out)]
    kinds = {"queued", "submitted", "accepted", "changed", "ended", "done", "failed", "summary"}
    assert kinds | {"planned", "estimate", "slots"} <= {row["event"] for row in found}
    for row in found:
        assert set(row) == members[row["event"]], row


async def test_the_doctor_is_as_documented(emulator: Emulator, tmp_path: Path) -> None:
    (found,) = rows_of((await kling_at(emulator, "doctor", "--json", folder=tmp_path)).out)
    check("`doctor`", found)
    assert {*found["settings"][0]} == {"name", "value", "source", "overridden"}
    assert {*found["checks"][0]} == {"name", "state", "message"}


def test_pictures_scenes_profiles_and_errors_are_as_documented(cat: Path, tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "small.png")
    pictures = kling(
        "check", cat, "small.png", "https://a.example/b.jpg", "--json", folder=tmp_path
    )
    check("`check`", *rows_of(pictures.out))
    check("Errors", json.loads(pictures.err.splitlines()[-1]))
    (scenes,) = rows_of(kling("scenes", "--all", "--json", folder=tmp_path).out)
    check("`scenes`", *scenes)
    write_settings(tmp_path, '[kling]\naccount = "a"\n[profile.w]\nservice = "vapi"\n')
    at = {"KLING_API_KEY": "sk-of-environment-0"}
    (profiles,) = rows_of(kling("auth", "status", "--json", folder=tmp_path, **at).out)
    check("`auth status`", *profiles)
