"""What the emulator answers, beside what people have seen the real service answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kling_effects_async.emulator import Clips, Emulator
from tests.support.emulator_caller import (
    GATEWAY,
    OFFICIAL,
    Answer,
    Caller,
    calling,
    single,
    with_input,
)
from tests.support.samples import FOLDER

BODIES: dict[str, dict[str, Any]] = {
    row["id"]: row
    for row in map(json.loads, (FOLDER / "public_bodies.jsonl").read_text("utf-8").splitlines())
}
MEMBERS = ["id", "what", "reply_to", "asked_id", "status", "body", "a_person_reads", "source"]


async def repeated(caller: Caller) -> Answer:
    await caller.submit(external_task_id="probe-1")
    return await caller.submit(external_task_id="probe-1")


async def provoked(sample: str, caller: Caller) -> Answer:
    """The emulator's answer to what the sample is an answer to."""
    match sample:
        case "B02":
            return await caller.query("mf-auth-probe")
        case "B03":
            return await repeated(caller)
        case "B09":
            return await caller.send("GET", "/v1/task/list")
        case "B10":
            return await caller.list()
        case "B32":
            return await caller.submit(with_input(single(), image="data:image/png;base64,AAAA"))
        case _:
            raise ValueError(sample)


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
@pytest.mark.parametrize("sample", ["B02", "B03", "B09", "B10", "B32"])
async def test_the_emulator_answers_as_the_real_service_was_seen_to(sample: str, path: str) -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator, path) as caller:
        answer = await provoked(sample, caller)
    seen = BODIES[sample]
    assert answer.status == seen["status"]
    assert stable(answer.json) == stable(seen["body"])


@pytest.mark.parametrize("authorization", ["Bearer bogus", "Bearer api-key-kling-bogus"])
async def test_a_bogus_key_is_rejected_as_the_real_service_was_seen_to(authorization: str) -> None:
    async with (
        Emulator(clips=Clips.STOCK) as emulator,
        calling(emulator, OFFICIAL, authorization) as caller,
    ):
        answer = await caller.query("1")
    assert answer.status == BODIES["B04"]["status"]
    assert stable(answer.json) == stable(BODIES["B04"]["body"])


def stable(body: dict[str, Any]) -> dict[str, Any]:
    """The members that are the same each time; some records leave the request id out."""
    return {k: v for k, v in body.items() if k not in ("request_id", "timestamp")}


def test_every_public_body_has_the_members_of_its_kind() -> None:
    assert len(BODIES) == 26
    assert all(list(row) == MEMBERS for row in BODIES.values())
    told = ("documented", "observed pattern", "inferred from source")
    assert all(row["source"].startswith(told) for row in BODIES.values())
