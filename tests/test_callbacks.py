"""A client without a receiver gets no callbacks: whatever is sent as one costs nothing.

A task may have a ``callback_url``; who listens there is the caller's own server. A client learns of
an end by polling, whether a callback comes, comes twice, is forged, or never comes.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import aiohttp
import pytest
from attrs import frozen

from kling_effects_async import EffectResult, EffectTask, SingleImageEffect, TaskStatus
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.protocol.callbacks import read_callback
from tests.support.callback_inbox import Inbox, an_inbox
from tests.support.descriptors import listening_sockets, needs_a_list

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
NOBODY = "http://127.0.0.1:1/hook"
OTHER_CLIP = "https://thief.example/1.mp4"

Meanwhile: TypeAlias = Callable[[str, Inbox], Awaitable[None]]


def forged(task_id: str) -> bytes:
    """A callback as Kling writes it, about an end that never was."""
    result = {"videos": [{"id": "1", "url": OTHER_CLIP, "duration": "5"}]}
    return json.dumps(
        {"task_id": task_id, "task_status": "succeed", "task_result": result}
    ).encode()


def known_id(task: EffectTask) -> str:
    assert task.task_id is not None
    return task.task_id


@frozen
class Waited:
    """What a wait brought, after how long, and for which requests."""

    result: EffectResult
    seconds: float
    requests: dict[str, int]


async def waited(
    callback_url: str | None, inbox: Inbox, *, has_list: bool, meanwhile: Meanwhile
) -> Waited:
    """Submit a task of a minute and wait for it, with the same chances each time."""
    emulator = Emulator(clips=Clips.STOCK, task_seconds=60.0, lists_tasks=has_list, seed=1)
    async with emulator, emulator.client(rng=lambda: 0.5) as client:
        began_at = asyncio.get_running_loop().time()
        task = await client.submit(SQUISH, external_task_id="order-42", callback_url=callback_url)
        sending = asyncio.ensure_future(meanwhile(known_id(task), inbox))
        result = await task
        seconds = asyncio.get_running_loop().time() - began_at
        await sending
        return Waited(result, seconds, dict(emulator.requests))


async def nothing_else(_task_id: str, _inbox: Inbox) -> None:
    """Leave it at the emulator's own two messages."""


async def too_many(task_id: str, inbox: Inbox) -> None:
    """While the task runs: forged, doubled, about another task, and unreadable."""
    async with aiohttp.ClientSession() as http:
        for body in (forged(task_id), forged(task_id), forged("866889456698785799"), b"{}") * 5:
            await asyncio.sleep(2)
            await (await http.post(inbox.url, data=body)).read()


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    async with an_inbox() as inbox:
        yield inbox


@pytest.mark.looptime
@pytest.mark.parametrize("has_list", [True, False], ids=["list", "no list"])
async def test_callbacks_change_neither_the_result_nor_the_number_of_requests(
    inbox: Inbox, has_list: bool
) -> None:
    """Faults 59, 60, 61: forged, doubled, of unknown tasks; or it never comes."""
    alone = await waited(None, inbox, has_list=has_list, meanwhile=nothing_else)
    never = await waited(NOBODY, inbox, has_list=has_list, meanwhile=nothing_else)
    assert inbox.bodies == []
    comes = await waited(inbox.url, inbox, has_list=has_list, meanwhile=nothing_else)
    assert len(inbox.bodies) == 2
    many = await waited(inbox.url, inbox, has_list=has_list, meanwhile=too_many)
    assert len(inbox.bodies) == 2 + 2 + 20
    assert never.requests == comes.requests == many.requests == alone.requests
    assert sum(alone.requests.values()) < 40
    for case in (alone, never, comes, many):
        assert case.result.external_task_id == "order-42"
        assert case.result.video.url != OTHER_CLIP
        assert case.seconds == pytest.approx(alone.seconds, abs=0.5)
        assert 60 <= case.seconds < 70


@needs_a_list
async def test_a_client_with_a_callback_address_listens_on_nothing(inbox: Inbox) -> None:
    """Faults 59, 62: there is no receiver that could be lied to, or flooded."""
    async with Emulator(clips=Clips.STOCK, speed=600) as emulator:
        before = listening_sockets()
        async with emulator.client() as client:
            task = await client.submit(SQUISH, callback_url=inbox.url)
            assert listening_sockets() <= before
            assert (await task).videos
            assert listening_sockets() <= before
        assert len(await inbox.wait_for(2)) == 2


@needs_a_list
def test_a_socket_that_listens_is_seen() -> None:
    before = listening_sockets()
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = server.getsockname()
        assert listening_sockets() - before == {name}
    assert name not in listening_sockets()


@pytest.mark.looptime
async def test_what_a_forged_callback_claims_is_no_tasks_end() -> None:
    """Fault 59: what is read of a body changes no task that is waited for."""
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=60.0) as emulator,
        emulator.client() as client,
    ):
        task = await client.submit(SQUISH)
        task_id = known_id(task)
        claimed = read_callback(forged(task_id))
        assert (claimed.status, claimed.task_id) == (TaskStatus.SUCCEEDED, task_id)
        assert not (await task.refresh()).is_final
        assert (await task).video.url != OTHER_CLIP
        assert emulator.ledger.total == 1
