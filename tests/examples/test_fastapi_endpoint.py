"""The FastAPI service of ``docs/examples``, with the emulator as Kling."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web
from examples import fastapi_endpoint

from kling_effects_async.emulator import Fault
from tests.conftest import PHOTOS
from tests.examples.conftest import Place, fast_forwarded
from tests.support.callbacks import SECRET
from tests.support.web_users import photo_of, served

CAT = (PHOTOS / "cat.jpg").read_bytes()


@asynccontextmanager
async def started(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The service as a new process would have it; the emulator reaches it through a socket."""
    monkeypatch.setenv("FOLDER", str(place.folder))
    monkeypatch.setenv("PUBLIC_URL", f"{address_of(place.listening)}/kling")
    monkeypatch.setenv("KLING_CALLBACK_SECRETS", SECRET)
    module = importlib.reload(fastapi_endpoint)
    transport = httpx.ASGITransport(module.api)
    async with (
        module.lifespan(module.api),
        httpx.AsyncClient(transport=transport, base_url="http://bot.example", timeout=None) as http,
        served(passing_on_to(http), place.listening),
    ):
        yield http


def address_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def passing_on_to(http: httpx.AsyncClient) -> web.Application:
    async def pass_on(request: web.Request) -> web.Response:
        headers = {name: text for name, text in request.headers.items() if name != "Host"}
        body = await request.read()
        answer = await http.post(request.path, content=body, headers=headers)
        return web.Response(status=answer.status_code, body=answer.content)

    app = web.Application()
    app.router.add_post("/kling/{token}", pass_on)
    return app


async def upload(http: httpx.AsyncClient, user: str, photo: bytes) -> str:
    answer = await http.post("/jobs", params={"user": user}, content=photo)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def all_ended() -> None:
    """Until every job that the service has begun has ended."""
    await asyncio.gather(*list(fastapi_endpoint.api.state.work.values()))


async def state_of(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await http.get(f"/jobs/{name}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@fast_forwarded
async def test_from_an_upload_to_the_clip(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(place, monkeypatch) as http:
        name = await upload(http, "ann", CAT)
        assert await upload(http, "ann", CAT) == name
        assert (await state_of(http, name))["state"] in {"planned", "submitting", "accepted"}
        await all_ended()
        assert await state_of(http, name) == {
            "state": "succeeded",
            "message": "",
            "queue_position": None,
        }
        answer = await http.get(f"/jobs/{name}/clip")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "video/mp4")
        assert len(answer.content) == int(answer.headers["Content-Length"])
        assert answer.content[4:8] == b"ftyp"
        assert fastapi_endpoint.receiver.stats.signed >= 1
    assert place.emulator.ledger.accepted(name) == place.emulator.ledger.total == 1
    assert "asyncio" not in {record.name for record in caplog.records}  # no task failed unseen


@fast_forwarded
async def test_each_user_has_a_job_of_his_own_and_a_place_in_the_queue(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions: list[int | None] = []
    async with started(place, monkeypatch) as http:
        names = [await upload(http, user, CAT) for user in ("ann", "ben", "eve", "zoe")]
        while fastapi_endpoint.api.state.work:
            positions += [(await state_of(http, name))["queue_position"] for name in names]
            await asyncio.sleep(1)
    assert 1 in positions
    assert place.emulator.ledger.total == len(set(names)) == 4


@fast_forwarded
async def test_many_photos_of_one_user_do_not_hold_up_one_of_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(place, monkeypatch) as http:
        for number in range(3):  # the client finds out that there are two slots
            await upload(http, "zoe", photo_of(CAT, number))
        await all_ended()
        for number in range(8):
            await upload(http, "ann", photo_of(CAT, number))
        name = await upload(http, "ben", CAT)
        await all_ended()
    order = [entry.external_task_id for entry in place.emulator.ledger.entries]
    assert order.index(name) < len(order) - 3


@fast_forwarded
async def test_a_job_is_known_before_the_journal_has_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(place, monkeypatch) as http:
        promised = fastapi_endpoint.store("ann", CAT)
        fastapi_endpoint.begin(fastapi_endpoint.api, promised)
        assert (await state_of(http, promised.stem))["state"] == "planned"


@fast_forwarded
async def test_a_clip_that_cannot_be_fetched_is_a_502(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(place, monkeypatch) as http:
        name = await upload(http, "ann", CAT)
        await all_ended()
        place.emulator.fail_next(Fault.answer(403, on="download"), times=20)
        answer = await http.get(f"/jobs/{name}/clip")
    assert (answer.status_code, "cannot be fetched" in answer.text) == (502, True)


@fast_forwarded
@pytest.mark.timeout(60)  # where a job is forgotten, it waits without an end
async def test_a_job_goes_on_after_a_long_outage(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to its submit was lost, and no lookup is answered for a while."""
    place.emulator.fail_next(Fault.cut_after_reading(accepted=True))
    place.emulator.fail_next(Fault.answer(503, on="query"), times=60)
    place.emulator.fail_next(Fault.answer(503, on="list"), times=60)
    async with started(place, monkeypatch) as http:
        name = await upload(http, "ann", CAT)
        await all_ended()
        assert (await state_of(http, name))["state"] == "succeeded"
    assert (place.emulator.ledger.total, place.emulator.ledger.repeated()) == (1, ())


@fast_forwarded
async def test_a_restart_finishes_what_was_promised(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(place, monkeypatch) as http:
        names = [await upload(http, "ann", photo_of(CAT, number)) for number in range(4)]
    assert fastapi_endpoint.api.state.work == {}  # a stop leaves nothing running
    promised = fastapi_endpoint.store("ben", CAT).stem  # and nothing else before it was killed
    async with started(place, monkeypatch) as http:
        await all_ended()
        states = [(await state_of(http, name))["state"] for name in [*names, promised]]
        assert states == ["succeeded"] * 5
    assert (place.emulator.ledger.total, place.emulator.ledger.repeated()) == (5, ())


@fast_forwarded
async def test_failures_are_told_in_words(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.emulator.fail_next(Fault.task_failed("Failure to pass the risk control system"))
    async with started(place, monkeypatch) as http:
        name = await upload(http, "ann", CAT)
        await all_ended()
        told = await state_of(http, name)
        assert (told["state"], told["message"]) == (
            "failed",
            "Failure to pass the risk control system",
        )
        assert (await http.get(f"/jobs/{name}/clip")).status_code == 404
        assert (await http.get("/jobs/nobody")).status_code == 404
        for user, photo, status, words in (
            ("ann", b"no picture", 422, "takes JPEG and PNG"),
            ("ann", b" " * (10 * 2**20 + 1), 413, "10 MB"),
            ("../ann", CAT, 422, "pattern"),
            ("ann/..", CAT, 422, "pattern"),
        ):
            answer = await http.post("/jobs", params={"user": user}, content=photo)
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
        forged = await http.post("/kling/guess", content=b"{}")
        assert forged.status_code == 404
    assert not (place.folder / "ann").exists()
