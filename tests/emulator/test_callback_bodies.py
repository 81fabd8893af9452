"""Bodies of callbacks beside the documented ones, and beside the ones that people have seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from kling_effects_async.emulator import CallbackShape, Fault
from tests.support.callback_inbox import an_inbox
from tests.support.emulator_caller import calling, stock
from tests.support.samples import FOLDER, samples

SAMPLES = samples("callbacks")
SEEN = {
    row["id"]: row["body"]
    for row in map(json.loads, (FOLDER / "public_bodies.jsonl").read_text("utf-8").splitlines())
}
# Since 2026-01-23; the callback that was seen is older.
DEDUCTIONS = {
    "final_unit_deduction: str",
    "final_balance_deduction.quota: str",
    "final_balance_deduction.list_price: str",
}
NAME = {"task_info.external_task_id: str"}


def members(value: Any, path: str = "") -> Iterator[str]:
    """Every member as ``outputs[].url: str``, whatever stands in it; an empty one has its kind."""
    if isinstance(value, dict) and value:
        for name, content in value.items():
            yield from members(content, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for item in value:
            yield from members(item, f"{path}[]")
    else:
        yield f"{path}: {type(value).__name__}"


def documented(name: str) -> set[str]:
    return set(members(SAMPLES[name]["callback"]["body"]))


async def written(shape: CallbackShape, *, fails: bool = False, name: str | None) -> list[Any]:
    """The two messages of a task, as the emulator sends them."""
    async with (
        an_inbox() as inbox,
        stock(callback_shape=shape, units="3") as emulator,
        calling(emulator) as caller,
    ):
        if fails:
            emulator.fail_next(Fault.task_failed("Failure to pass the risk control system"))
        await caller.submit(callback_url=inbox.url, external_task_id=name)
        await asyncio.sleep(3600)
        return await inbox.wait_for(2)


@pytest.mark.looptime
async def test_a_finished_task_has_the_members_of_the_callback_that_was_seen() -> None:
    running, finished = await written(CallbackShape.LEGACY, name=None)
    assert set(members(finished)) - DEDUCTIONS == set(members(SEEN["B01"]))
    assert list(finished)[: len(SEEN["B01"])] == list(SEEN["B01"])
    assert finished["task_result"]["images"] == finished["task_result"]["audios"] == []
    assert running["task_info"] == finished["task_info"] == {}


@pytest.mark.looptime
async def test_the_legacy_form_has_the_documented_members() -> None:
    running, finished = await written(CallbackShape.LEGACY, name="job-0002")
    _, failed = await written(CallbackShape.LEGACY, fails=True, name="job-0002")
    assert set(members(running)) == documented("legacy-processing")
    # An effect has no parent video.
    assert {
        member
        for member in documented("legacy-succeed") - set(members(finished))
        if not member.startswith("task_info.parent_video")
    } == set()
    assert set(members(failed)) - documented("legacy-failed") <= DEDUCTIONS
    assert documented("legacy-failed") <= set(members(failed))
    assert (finished["task_status"], finished["final_unit_deduction"]) == ("succeed", "3")
    assert (failed["task_status"], failed["final_unit_deduction"]) == ("failed", "0")


@pytest.mark.looptime
async def test_the_newer_form_has_the_documented_members() -> None:
    running, finished = await written(CallbackShape.NEWER, name="job-0003")
    _, failed = await written(CallbackShape.NEWER, fails=True, name="job-0003")
    assert set(members(running)) == documented("newer-processing")
    assert set(running) == set(finished) == set(failed)
    (seen,) = SEEN["B11"]["data"]
    assert set(members(finished)) == {"external_id: str", *members(seen)}
    assert (finished["status"], finished["external_id"]) == ("succeeded", "job-0003")
    assert (failed["status"], failed["outputs"]) == ("failed", [])
    assert failed["message"] == SAMPLES["newer-failed"]["callback"]["body"]["message"]
    # Seen of failed tasks: an amount of nothing.
    assert [task["billing"][0]["amount"] for task in (finished, failed)] == ["3", "0"]


@pytest.mark.looptime
async def test_the_newer_form_of_a_task_without_a_name_names_nothing() -> None:
    for body in await written(CallbackShape.NEWER, name=None):
        assert "external_id" not in body


@pytest.mark.looptime
@pytest.mark.parametrize("shape", CallbackShape)
async def test_moments_are_milliseconds_and_go_forward(shape: CallbackShape) -> None:
    first, last = await written(shape, name="job-0001")
    created, updated = (
        ("created_at", "updated_at")
        if shape is CallbackShape.LEGACY
        else ("create_time", "update_time")
    )
    assert first[created] == last[created] > 10**12
    assert first[created] < first[updated] < last[updated]


@pytest.mark.looptime
async def test_a_test_callback_is_what_the_consoles_button_sends() -> None:
    async with an_inbox() as inbox, stock() as emulator:
        await emulator.send_test_callback(inbox.url)
        (body,) = await inbox.wait_for(1)
    sample = SAMPLES["newer-test-button"]["callback"]["body"]
    assert list(body) == list(sample)
    assert set(members(body)) == set(members(sample))
    assert (body["status"], body["message"]) == ("submitted", "")
    assert body["create_time"] == body["update_time"]
