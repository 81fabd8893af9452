"""The client against the emulator: what a developer types, and what happens then."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kling_effects_async import (
    BearerToken,
    ClientClosedError,
    DualImageEffect,
    EffectsClient,
    ImageRejectedError,
    InvalidRequestError,
    PollPolicy,
    RetryPolicy,
    SettingsError,
    SingleImageEffect,
    SubmitPolicy,
    TaskFailedError,
    TaskStatus,
    UnknownSceneWarning,
)
from kling_effects_async.emulator import Clips, Emulator, Fault, ReplyShape

URL = "https://img.example/a.jpg"
SQUISH = SingleImageEffect("squish", image=URL)
ONE_TRY = RetryPolicy(attempts=1)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """A quick service: a task takes a tenth of a second."""
    async with Emulator(clips=Clips.STOCK, speed=600, seed=1) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[EffectsClient]:
    async with emulator.client(poll=PollPolicy(shortest_s=0.05)) as opened:
        yield opened


async def test_a_photograph_goes_in_and_a_video_comes_out(
    client: EffectsClient, cat: Path, tmp_path: Path
) -> None:
    result = await client.run(SingleImageEffect("squish", image=cat))
    path = await client.download(result.video, tmp_path / "squished.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"


async def test_two_people_go_in_and_a_video_comes_out(
    client: EffectsClient, astronaut: Path, coffee: Path
) -> None:
    effect = DualImageEffect("hug", left=astronaut, right=coffee.read_bytes(), duration_s=10)
    assert (await client.run(effect)).units is not None


async def test_a_handle_tells_the_changes_and_then_the_result(client: EffectsClient) -> None:
    task = await client.submit(SQUISH, external_task_id="order-42")
    assert task.external_task_id == "order-42"
    assert task.latest is not None
    assert task.latest.status is TaskStatus.SUBMITTED
    statuses = [snapshot.status async for snapshot in task]
    assert statuses[0] is TaskStatus.SUBMITTED
    assert statuses[-1] is TaskStatus.SUCCEEDED
    assert (await task).task_id == task.task_id


async def test_attach_by_either_id_finds_the_same_task(client: EffectsClient) -> None:
    task = await client.submit(SQUISH, external_task_id="order-42")
    by_id = client.attach(task.task_id)
    by_external_id = client.attach(external_task_id="order-42")
    assert (await by_id).video == (await by_external_id).video


async def test_a_task_attached_by_external_id_learns_its_id(
    client: EffectsClient, emulator: Emulator
) -> None:
    task = await client.submit(SQUISH, external_task_id="order-42")
    async with emulator.client(poll=PollPolicy(shortest_s=0.05)) as another:
        attached = another.attach(external_task_id="order-42")
        assert attached.task_id is None
        await attached
        assert attached.task_id == task.task_id


async def test_attach_asks_nothing(client: EffectsClient, emulator: Emulator) -> None:
    client.attach("123")
    assert emulator.requests["query"] == 0


async def test_attach_takes_exactly_one_id(client: EffectsClient) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        client.attach()
    with pytest.raises(ValueError, match="one of the two"):
        client.attach("1", external_task_id="2")


async def test_refresh_asks_at_once(client: EffectsClient, emulator: Emulator) -> None:
    task = await client.submit(SQUISH)
    await task.refresh()
    assert emulator.requests["query"] == 1


async def test_every_task_gets_an_external_id_of_its_own(client: EffectsClient) -> None:
    tasks = [await client.submit(SQUISH) for _ in range(3)]
    assert len({task.external_task_id for task in tasks}) == 3


async def test_a_list_is_a_page_or_all_tasks(client: EffectsClient) -> None:
    ids = {(await client.submit(SQUISH)).task_id for _ in range(5)}
    page = await client.list_tasks(page_size=2)
    assert len(page) == 2
    assert {task.task_id async for task in client.list_tasks(page_size=2)} == ids
    sizes = [len(page) async for page in client.list_tasks(page_size=2).pages()]
    assert sizes == [2, 2, 1]


async def test_an_image_kling_would_reject_is_rejected_before_it_is_sent(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 57: rejected locally before money is spent."""
    with pytest.raises(ImageRejectedError):
        await client.submit(SingleImageEffect("squish", image=b"GIF89a not an image"))
    assert emulator.requests["submit"] == 0


async def test_an_unknown_scene_is_sent_with_a_warning_at_the_callers_line(
    client: EffectsClient, emulator: Emulator
) -> None:
    effect = SingleImageEffect("squisch", image=URL)
    with (
        pytest.warns(UnknownSceneWarning, match="did you mean 'squish'") as caught,
        pytest.raises(InvalidRequestError),
    ):
        await client.submit(effect)
    assert caught[0].filename == __file__
    assert emulator.requests["submit"] == 1


async def test_an_image_too_small_in_pixels_fails_after_acceptance(
    emulator: Emulator, client: EffectsClient
) -> None:
    body = {"effect_scene": "squish", "external_task_id": "tiny"}
    tiny = "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="  # noqa: E501  # the 5 x 5 PNG of the gateway's page
    members = {"model_name": "kling-v1-6", "image": tiny, "duration": "5"}
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    url = emulator.url + "/kling/v1/videos/effects"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json=body | {"input": members}) as response,
    ):
        assert response.status == 200
    with pytest.raises(TaskFailedError, match="Image pixel is invalid"):
        await client.attach(external_task_id="tiny")


@pytest.mark.parametrize("shape", ReplyShape)
async def test_every_reply_shape_ends_in_the_same_result(shape: ReplyShape) -> None:
    async with (
        Emulator(clips=Clips.STOCK, speed=600, reply_shape=shape, seed=1) as emulator,
        emulator.client(poll=PollPolicy(shortest_s=0.05)) as client,
    ):
        result = await client.run(SQUISH)
        assert result.video.url.startswith(emulator.url)


async def test_the_official_dialect_signs_and_is_understood() -> None:
    async with (
        Emulator(clips=Clips.STOCK, speed=600) as emulator,
        emulator.client(official=True, poll=PollPolicy(shortest_s=0.05)) as client,
    ):
        result = await client.run(SingleImageEffect("disco_paws", image=URL))
        assert result.videos


@pytest.mark.looptime
async def test_a_run_that_is_cancelled_says_which_task_goes_on(client: EffectsClient) -> None:
    """Fault 33: the task stays; says how to resume."""
    notes: list[str] = []

    async def run() -> None:
        try:
            await client.run(SQUISH, external_task_id="order-42")
        except asyncio.CancelledError as cancelled:
            notes.extend(cancelled.__notes__)
            raise

    task = await client.submit(SQUISH, external_task_id="order-42")
    running = asyncio.ensure_future(run())
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert notes == [f"task {task.task_id} goes on at the service: attach({task.task_id!r})"]
    assert (await client.attach(task.task_id)).task_id == task.task_id


@pytest.mark.looptime
@pytest.mark.parametrize("name", ["order-42", None])
async def test_a_submit_that_is_cancelled_while_the_client_is_left_ends_as_cancelled(
    emulator: Emulator, name: str | None
) -> None:
    """Fault 32: CancelledError goes on; asyncio.timeout and task groups rely on it."""
    emulator.fail_next(Fault.silence(accepted=True))
    async with emulator.client(submit=SubmitPolicy(cancel_grace_s=0.3)) as leaving:
        submit = asyncio.ensure_future(leaving.submit(SQUISH, external_task_id=name))
        await asyncio.sleep(0.3)
        submit.cancel()
        await asyncio.sleep(0.05)
    await asyncio.wait([submit])
    assert submit.cancelled()


async def test_leaving_the_client_fails_open_waits_and_leaves_nothing_behind(
    emulator: Emulator,
) -> None:
    before = asyncio.all_tasks()
    client = emulator.client()
    async with client:
        slow = await client.submit(SQUISH)
        waits = [asyncio.ensure_future(slow.result()) for _ in range(3)]
        await asyncio.sleep(0)
    for wait in waits:
        with pytest.raises(ClientClosedError, match="the task goes on at the service"):
            await wait
    await client.aclose()
    gc.collect()
    left = {task for task in asyncio.all_tasks() - before if "kling" in repr(task)}
    assert left == set()


async def test_a_closed_client_says_how_to_open_it(client: EffectsClient) -> None:
    """Fault 68: closed client."""
    task = await client.submit(SQUISH)
    await client.aclose()
    with pytest.raises(RuntimeError, match="async with client"):
        await client.submit(SQUISH)
    for use in (task.refresh(), task.result()):
        with pytest.raises(ClientClosedError):
            await use


def test_one_client_serves_two_asyncio_runs(cat: Path) -> None:
    """Fault 68: library used from several loops."""
    client: EffectsClient | None = None

    async def once() -> str:
        nonlocal client
        port = 0 if client is None else int(client.service.base_url.rpartition(":")[2])
        at = Emulator(clips=Clips.STOCK, speed=600, port=port, bearer_keys=["one-key"])
        async with at as emulator:
            client = client or emulator.client(poll=PollPolicy(shortest_s=0.05))
            async with client:
                return (await client.run(SQUISH)).task_id

    assert asyncio.run(once()) != asyncio.run(once())


LEFT_OPEN = """
import asyncio, sys
from kling_effects_async import BearerToken, EffectsClient

client = EffectsClient(BearerToken("test-key"), journal=sys.argv[1])

async def use():
    async for _ in client.resume():
        pass

asyncio.run(use())
asyncio.run(use())
"""


def test_a_client_that_was_left_open_with_its_journal_says_so(tmp_path: Path) -> None:
    """Fault 68: it is not busy with itself."""
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN, tmp_path / "jobs.db"], capture_output=True, text=True
    )
    assert "RuntimeError: this client was left open when its event loop ended" in ended.stderr


def test_a_client_open_in_one_loop_says_what_to_do_in_another() -> None:
    """Fault 68: library used from several loops."""
    client = EffectsClient(BearerToken("test-key"))

    async def use() -> None:
        client.attach("1")

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(use())
        with pytest.raises(RuntimeError, match=r"in each asyncio\.run use"):
            second.run(use())


def test_a_client_outside_of_any_loop_says_so() -> None:
    with pytest.raises(RuntimeError, match="inside a running event loop"):
        EffectsClient(BearerToken("test-key")).attach("1")


async def test_a_borrowed_session_is_used_and_left_open(emulator: Emulator) -> None:
    async with aiohttp.ClientSession() as session:
        async with emulator.client(session=session) as client:
            await client.submit(SQUISH)
        assert not session.closed


async def test_an_expired_address_is_renewed_by_asking_the_task(
    emulator: Emulator, client: EffectsClient, tmp_path: Path
) -> None:
    """Fault 49: video URL expired."""
    result = await client.run(SQUISH)
    emulator.fail_next(Fault.expired())
    queries = emulator.requests["query"]
    try:
        await client.download(result.video, tmp_path / "a.mp4")
    finally:
        assert emulator.requests["query"] == queries + 1


def test_a_missing_key_names_the_variables() -> None:
    with pytest.raises(SettingsError, match="KLING_API_KEY"):
        EffectsClient.from_env({})


@pytest.mark.looptime
@pytest.mark.parametrize("official", [False, True])
async def test_no_secret_is_in_any_log_error_or_repr(
    official: bool, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Fault 67: the redaction test greps all outputs for the key, the JWT and signatures."""
    secret = "top-secret-key-that-must-not-be-seen-anywhere"
    keys: dict[str, Any] = {"bearer_keys": (secret,), "access_keys": {"public-key": secret}}
    faults = [Fault.answer(500, b"{}"), Fault.not_http(), Fault.html(200), Fault.garbage()]
    seen: list[str] = []

    async def keep(call: Callable[[], Any]) -> None:
        try:
            seen.append(repr(await call()))
        except Exception as error:
            chain: BaseException | None = error
            while chain is not None:
                seen.extend([str(chain), repr(chain)])
                chain = chain.__cause__ or chain.__context__

    warnings.simplefilter("ignore", UnknownSceneWarning)
    async with (
        Emulator(clips=Clips.STOCK, **keys) as emulator,
        emulator.client(official=official, retry=ONE_TRY) as client,
    ):
        with caplog.at_level(logging.DEBUG):
            for fault in faults:
                emulator.fail_next(fault)
                await keep(lambda: client.submit(SQUISH))
            task = await client.submit(SQUISH)
            seen.extend([repr(client), repr(task)])
            await keep(task.result)
            video = (await task).video
            emulator.fail_next(Fault.html(200, on="download"), times=9)
            await keep(lambda: client.download(video, tmp_path / "a.mp4"))
            seen.append(repr(await client.list_tasks()))
    shown = "\n".join(seen + [record.getMessage() for record in caplog.records])
    assert secret not in shown
    assert "eyJ" not in shown
    assert "sign=" not in shown


def test_nothing_is_left_running_after_a_whole_program(cat: Path) -> None:
    async def program() -> None:
        async with (
            Emulator(clips=Clips.STOCK, speed=600) as emulator,
            emulator.client(poll=PollPolicy(shortest_s=0.05)) as client,
        ):
            await client.run(SingleImageEffect("squish", image=cat))

    asyncio.run(program())
    # asyncio.run has joined its executor; what is left now would be ours.
    assert [t.name for t in threading.enumerate() if t is not threading.main_thread()] == []
