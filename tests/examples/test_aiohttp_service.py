"""The aiohttp service of ``docs/examples``, behind a real server, with the emulator as Kling."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from kling_effects_async.emulator import Fault
from tests.conftest import PHOTOS
from tests.examples.conftest import Place, fast_forwarded
from tests.support.web_users import photo_of, upload, watch

CAT = (PHOTOS / "cat.jpg").read_bytes()
WAITS = ["planned", "submitting", "accepted"]


async def watched(place: Place, url: str, name: str) -> list[dict[str, Any]]:
    return [state async for state in watch(place.http, url, name)]


def steps(states: list[dict[str, Any]]) -> list[str]:
    """The states without their repetitions, such as another place in the queue."""
    words = [state["state"] for state in states]
    return [word for number, word in enumerate(words) if words[number - 1 : number] != [word]]


def in_order(found: list[str], last: str) -> bool:
    order = [*WAITS, last]
    return found == sorted(set(found), key=order.index) and found[-1] == last


@fast_forwarded
async def test_an_upload_is_answered_at_once_and_becomes_a_clip(place: Place) -> None:
    async with place.started() as url:
        name = await upload(place.http, url, "ann", CAT)
        states = await watched(place, url, name)
        assert in_order(steps(states), "succeeded")
        assert "accepted" in steps(states)
        for key in ("is_last", "has_clip"):
            assert [state[key] for state in states] == [False] * (len(states) - 1) + [True]
        clip = await place.clip(url, name)
        async with place.http.get(f"{url}/jobs/{name}") as answer:
            assert "Your clip is ready." in await answer.text()
    assert clip[4:8] == b"ftyp"
    assert place.emulator.ledger.accepted(name) == 1
    assert (place.folder / "uploads" / "ann" / f"{name}.photo").read_bytes() == CAT


@fast_forwarded
async def test_the_pages_need_nothing_from_elsewhere(place: Place) -> None:
    async with place.started() as url:
        name = await upload(place.http, url, "ann", CAT)
        for path in ("/", f"/jobs/{name}"):
            async with place.http.get(f"{url}{path}") as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")
                assert "://" not in await answer.text()


@pytest.mark.parametrize("speed", [120.0])  # in real time, which no thread can outrun
async def test_a_page_shows_its_number_in_the_queue_and_the_expected_end(place: Place) -> None:
    """Two slots, and many photos of one user do not hold up one of another."""
    async with place.started() as url:
        await all_watched(place, url, "zoe", 3)  # the client finds out that there are two slots
        names = await all_uploaded(place, url, "ann", 10)
        names += await all_uploaded(place, url, "ben", 1)
        pages = await asyncio.gather(*(watched(place, url, name) for name in names))
        texts = {state["text"] for states in pages for state in states}
        assert len([text for text in texts if re.fullmatch(r"Number \d+ in the queue.", text)]) > 3
        order = [entry.external_task_id for entry in place.emulator.ledger.entries]
        assert order.index(names[-1]) < 3 + 8
        late = await all_watched(place, url, "eve", 1)
    assert any("Ready by" in state["text"] for states in late for state in states)


async def all_uploaded(place: Place, url: str, user: str, count: int) -> list[str]:
    photos = [photo_of(CAT, number) for number in range(count)]
    return [await upload(place.http, url, user, photo) for photo in photos]


async def all_watched(place: Place, url: str, user: str, count: int) -> list[list[dict[str, Any]]]:
    """What the pages of this many photos are told."""
    names = await all_uploaded(place, url, user, count)
    return await asyncio.gather(*(watched(place, url, name) for name in names))


@fast_forwarded
async def test_the_same_photo_of_the_same_user_is_paid_once(place: Place) -> None:
    async with place.started() as url:
        names = [await upload(place.http, url, user, CAT) for user in ("ann", "ann", "ben")]
        for name in names:
            await watched(place, url, name)
        again = await upload(place.http, url, "ann", CAT)
        assert steps(await watched(place, url, again)) == ["succeeded"]
    assert names[0] == names[1] == again != names[2]
    assert place.emulator.ledger.total == 2


@fast_forwarded
async def test_a_task_that_fails_is_told_in_the_words_of_the_service(place: Place) -> None:
    place.emulator.fail_next(Fault.task_failed("Failure to pass the risk control system"))
    async with place.started() as url:
        name = await upload(place.http, url, "ann", CAT)
        states = await watched(place, url, name)
        async with place.http.get(f"{url}/jobs/{name}/clip") as answer:
            assert answer.status == 404
    assert in_order(steps(states), "failed")
    told = "There will be no clip: Failure to pass the risk control system"
    assert states[-1]["text"] == told
    assert not states[-1]["has_clip"]


@fast_forwarded
async def test_what_is_no_photo_is_rejected_with_the_reason_and_not_stored(place: Place) -> None:
    async with place.started() as url:
        for fields, status, words in (
            ({"user": "ann", "photo": b"no picture"}, 422, "takes JPEG and PNG"),
            ({"user": "../ann", "photo": CAT}, 400, "letters and digits"),
            ({"user": "ann", "photo": "text"}, 400, "photo: a file"),
            ({"photo": CAT}, 400, "user"),
        ):
            form = aiohttp.FormData()
            for name, value in fields.items():
                form.add_field(name, value, filename=name if isinstance(value, bytes) else None)
            async with place.http.post(f"{url}/jobs", data=form) as answer:
                text = await answer.text()
            assert (answer.status, words in text) == (status, True), text
        for path in ("nobody", "nobody/events", "nobody/clip", "%2A", "..%2F..%2Fjobs.db"):
            async with place.http.get(f"{url}/jobs/{path}") as answer:
                assert answer.status == 404
    assert not (place.folder / "uploads").exists()
    assert place.emulator.requests["submit"] == 0


@fast_forwarded
async def test_what_the_service_writes_is_no_html_of_the_page(place: Place) -> None:
    place.emulator.fail_next(Fault.task_failed("<script>alert(1)</script>"))
    async with place.started() as url:
        name = await upload(place.http, url, "ann", CAT)
        await watched(place, url, name)
        async with place.http.get(f"{url}/jobs/{name}") as answer:
            assert "<script>alert" not in await answer.text()


@fast_forwarded
async def test_a_clip_that_cannot_be_fetched_is_a_502(place: Place) -> None:
    async with place.started() as url:
        name = await upload(place.http, url, "ann", CAT)
        await watched(place, url, name)
        place.emulator.fail_next(Fault.answer(403, on="download"), times=20)
        async with place.http.get(f"{url}/jobs/{name}/clip") as answer:
            assert (answer.status, await answer.text()) == (502, "The clip cannot be fetched now.")


@fast_forwarded
async def test_a_stop_ends_the_streams_of_events(place: Place) -> None:
    """Otherwise a stop waits a minute for them, and then breaks them."""
    async with place.started() as url:
        name = await upload(place.http, url, "ann", CAT)
        pages = [watch(place.http, url, name) for _ in range(2)]
        for states in pages:
            assert not (await anext(states))["is_last"]
    for states in pages:
        assert not any([state["is_last"] async for state in states])  # ended without an error


@fast_forwarded
@pytest.mark.timeout(60)  # where a job is forgotten, its page waits without an end
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_job_goes_on_after_a_long_outage_without_a_restart(
    place: Place, restarts: bool
) -> None:
    """Its answer was lost, or its task runs, while the service answers nothing for a while."""
    place.emulator.fail_next(Fault.cut_after_reading(accepted=True))
    place.emulator.fail_next(Fault.answer(503, on="query"), times=60)
    place.emulator.fail_next(Fault.answer(503, on="list"), times=60)
    async with place.started() as url:
        names = [await upload(place.http, url, user, CAT) for user in ("ann", "ben")]
        await asyncio.sleep(60)
        if not restarts:
            await all_succeed(place, url, names)
    if restarts:
        async with place.started() as url:
            await all_succeed(place, url, names)
    assert (place.emulator.ledger.total, place.emulator.ledger.repeated()) == (2, ())


async def all_succeed(place: Place, url: str, names: list[str]) -> None:
    pages = await asyncio.gather(*(watched(place, url, name) for name in names))
    assert [states[-1]["state"] for states in pages] == ["succeeded"] * len(names)
