"""A client with a receiver: one wait for what is pushed and what is polled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    CallbackReceiver,
    Done,
    EffectTask,
    NetworkError,
    PollPolicy,
    RetryPolicy,
    SingleImageEffect,
    TaskFailedError,
    TaskStatus,
)
from kling_effects_async.emulator import Fault
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.callback_inbox import an_inbox
from tests.support.callbacks import OTHER_SECRET, SECRET, a_receiver, body_of, new_body_of, signed
from tests.support.overheard import Overheard, a_desk, emulator_of, known_id

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
OTHER = SingleImageEffect("squish", image="https://img.example/b.jpg")
SUCCEEDED, PROCESSING = TaskStatus.SUCCEEDED, TaskStatus.PROCESSING


def port_of(receiver: CallbackReceiver) -> int:
    return int(receiver.public_url.removesuffix("/kling").rpartition(":")[2])


def now() -> float:
    return asyncio.get_running_loop().time()


# -- what ends a wait


@pytest.mark.looptime
@pytest.mark.parametrize("body", [body_of, new_body_of], ids=["effects form", "newer form"])
async def test_a_signed_message_ends_the_wait_at_once(body: Callable[[str], bytes]) -> None:
    async with a_desk(SECRET) as desk:
        task = await desk.client.submit(SQUISH)
        waiting = asyncio.ensure_future(task.result())
        await asyncio.sleep(10)
        before, polls = now(), desk.polls
        await desk.receiver.send_signed(body(known_id(task)))
        result = await waiting
        assert now() - before < 0.01
        assert desk.polls == polls
    assert result.video.url.endswith("callback.mp4")
    assert result.video.task_id == result.task_id == task.task_id


@pytest.mark.looptime
async def test_a_signed_failure_ends_the_wait_with_its_reason() -> None:
    async with a_desk(SECRET) as desk:
        task = await desk.client.submit(SQUISH)
        await desk.receiver.send_signed(body_of(known_id(task), "failed"))
        with pytest.raises(TaskFailedError, match="Image pixel is invalid"):
            await task


@pytest.mark.looptime
async def test_a_message_before_the_answer_to_its_submit_is_not_lost() -> None:
    """Fault 60: out of order; with the end first, a late step before it changes nothing."""
    async with a_desk(SECRET, lists_tasks=False) as desk:
        await desk.client.submit(OTHER)
        for number in range(300):  # others' messages do not push it out before there are 256
            name = f"order-{number // 100}" if number % 100 == 0 else f"other-{number}"
            await desk.receiver.send_signed(body_of("klings-id", name=name), f"m{number}")
        step = body_of("klings-id", "processing", name="order-1")
        await desk.receiver.send_signed(step, "late")
        for number in range(300):  # forged ones push nothing out
            await desk.receiver.send(body_of("klings-id", name=f"forged-{number}"))
        polls = desk.polls
        await desk.client.submit(SQUISH, external_task_id="order-1")
        await asyncio.sleep(0.1)
        assert desk.polls == polls + 1  # it has another id, so it is a reason to poll
        task = await desk.client.submit(SQUISH, external_task_id="order-0")
        assert task.latest is not None
        assert not task.latest.is_final  # no more than 256 are kept


@pytest.mark.looptime
async def test_an_end_that_is_pushed_before_the_answer_to_its_submit_counts_with_it() -> None:
    """Fault 60: out of order; the task ends while the answer to its submit is on its way."""
    async with (
        a_receiver(SECRET) as receiver,
        emulator_of(webhook_secret=SECRET, task_seconds=2.0) as emulator,
        emulator.client(callbacks=receiver) as client,
    ):
        emulator.fail_next(Fault.late(10))
        task = await client.submit(SQUISH)
        assert task.latest is not None
        assert task.latest.status is SUCCEEDED
        assert (await task).task_id == task.task_id
        assert client.stats().polls == 0


@pytest.mark.looptime
async def test_the_clip_of_a_message_can_be_downloaded(tmp_path: Path) -> None:
    """The emulator's own message, over HTTP, with the address of a real clip."""
    async with (
        a_receiver(SECRET) as receiver,
        emulator_of(webhook_secret=SECRET) as emulator,
        emulator.client(callbacks=receiver) as client,
    ):
        result = await client.run(SQUISH)
        path = await client.download(result.video, tmp_path / "clip.mp4")
        assert path.stat().st_size > 1000
        assert receiver.stats.signed == 2


@pytest.mark.looptime
async def test_a_success_without_its_video_is_polled_for_at_once() -> None:
    async with a_desk(SECRET, lists_tasks=False) as desk:
        task = await desk.client.submit(SQUISH)
        waiting = asyncio.ensure_future(task.result())
        await asyncio.sleep(60.1)
        assert not waiting.done()
        began_at, bare = now(), body_of(known_id(task)).replace(b'"videos"', b'"nothing"')
        await desk.receiver.send_signed(bare)
        result = await waiting
        assert now() - began_at < 0.05
        assert "callback.mp4" not in result.video.url


def claims(task_id: str) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Messages about an end that never was; none of them is rightly signed."""
    body = body_of(task_id)
    old = datetime.now(UTC) - timedelta(hours=1)
    return {
        "unsigned": (body, {}),
        "wrong": (body, signed(body, secret=OTHER_SECRET)),
        "changed": (body + b" ", signed(body)),
        "stale": (body, signed(body, at=old)),
        "failed": (body_of(task_id, "failed"), {}),
        "newer": (new_body_of(task_id), {"webhook-signature": "v1,AAAA"}),
    }


@pytest.mark.looptime
@pytest.mark.parametrize("kind", claims("t1"))
@pytest.mark.parametrize("has_list", [True, False], ids=["list", "no list"])
async def test_a_message_that_proves_nothing_makes_one_poll_and_ends_nothing(
    kind: str, has_list: bool
) -> None:
    """Fault 59: a forged callback is a hint at most."""
    async with a_desk(SECRET, lists_tasks=has_list) as desk:
        task = await desk.client.submit(SQUISH)
        waiting = asyncio.ensure_future(task.result())
        await asyncio.sleep(20)
        polls = desk.polls
        await asyncio.sleep(0.3)  # nothing is due in this time
        assert desk.polls == polls
        for _ in range(50):
            assert await desk.receiver.send(*claims(known_id(task))[kind]) == 200
        await asyncio.sleep(0.3)
        assert desk.polls == polls + 1
        assert not waiting.done()
        result = await waiting
        assert "callback.mp4" not in result.video.url


@pytest.mark.looptime
async def test_hints_that_go_on_cost_ever_fewer_polls() -> None:
    """Fault 59: somebody sends one each half second, about a task that runs."""
    async with a_desk(SECRET, lists_tasks=False, task_seconds=600.0) as desk:
        task = await desk.client.submit(SQUISH)
        await asyncio.sleep(200)  # from now on it is polled each 15 s
        polls = desk.polls
        for _ in range(120):
            await desk.receiver.send(body_of(known_id(task)))
            await asyncio.sleep(0.5)
        assert 5 <= desk.polls - polls <= 5 + 4


@pytest.mark.looptime
async def test_what_is_no_news_makes_no_poll() -> None:
    async with a_desk(SECRET, lists_tasks=False) as desk:
        task = await desk.client.submit(SQUISH)
        await asyncio.sleep(40)
        assert task.latest is not None
        assert task.latest.status is PROCESSING
        polls = desk.polls
        await desk.receiver.send(body_of(known_id(task), "processing"))
        await desk.receiver.send(body_of(known_id(task), "submitted"))
        await asyncio.sleep(0.3)
        assert desk.polls == polls


@pytest.mark.looptime
@pytest.mark.parametrize("has_list", [True, False], ids=["list", "no list"])
async def test_after_three_announced_ends_a_task_of_a_minute_costs_no_more_than_a_poll(
    has_list: bool,
) -> None:
    async with (
        a_receiver(SECRET) as receiver,
        emulator_of(webhook_secret=SECRET, lists_tasks=has_list) as emulator,
        emulator.client(callbacks=receiver, rng=lambda: 0.5) as client,
    ):
        for _ in range(3):
            await client.run(SQUISH)
        before = emulator.requests["query"] + emulator.requests["list"]
        await client.run(SQUISH)
        assert emulator.requests["query"] + emulator.requests["list"] - before <= 1


@pytest.mark.looptime
async def test_a_hint_about_a_real_end_ends_the_wait_by_the_poll_it_causes() -> None:
    async with a_desk(lists_tasks=False) as desk:
        task = await desk.client.submit(SQUISH)
        waiting = asyncio.ensure_future(task.result())
        await asyncio.sleep(60.1)
        began_at = now()
        assert not waiting.done()
        await desk.receiver.send(body_of(known_id(task)))
        result = await waiting
        assert now() - began_at < 0.05
        assert "callback.mp4" not in result.video.url


@pytest.mark.looptime
async def test_late_and_reordered_messages_change_nothing() -> None:
    """Fault 60: a status never goes back, and an end absorbs what comes after it."""
    async with a_desk(SECRET) as desk:
        task = await desk.client.submit(SQUISH)
        name = known_id(task)
        await desk.receiver.send_signed(body_of(name, "processing"), "2")
        await desk.receiver.send_signed(body_of(name, "submitted"), "1")
        assert task.latest is not None
        assert task.latest.status is PROCESSING
        await desk.receiver.send_signed(body_of(name), "4")
        result = await task
        await desk.receiver.send_signed(body_of(name, "processing"), "3")
        await desk.receiver.send_signed(body_of(name, "failed"), "5")
        assert (await task) == result
        seen = [snapshot.status async for snapshot in task]
        assert seen == [TaskStatus.SUBMITTED, PROCESSING, SUCCEEDED]


@pytest.mark.looptime
async def test_unknown_tasks_and_contradicting_ids_are_counted_and_cost_nothing() -> None:
    """Fault 60: no fetch for a task that nobody waits for."""
    async with a_desk(SECRET) as desk:
        task = await desk.client.submit(SQUISH, external_task_id="order-1")
        await desk.client.submit(OTHER, external_task_id="order-2")
        await asyncio.sleep(20)
        polls = desk.polls
        for number in range(20):
            await desk.receiver.send(body_of(f"stranger-{number}"))
            await desk.receiver.send_signed(body_of("gone", name="order-9"), f"a{number}")
            mixed = body_of(known_id(task), name="order-2")
            await desk.receiver.send_signed(mixed, f"b{number}")
        await asyncio.sleep(0.3)
        assert desk.polls == polls
        assert desk.receiver.stats.unknown == 60
        assert task.latest is not None
        assert not task.latest.is_final


@pytest.mark.looptime
@pytest.mark.parametrize("status", ["succeed", "failed"])
async def test_a_message_with_another_id_only_makes_a_poll(status: str) -> None:
    """A gateway's task, or another one under an external id that was taken twice."""
    async with a_desk(SECRET) as desk:
        task = await desk.client.submit(SQUISH, external_task_id="order-1")
        own_id, polls = task.task_id, desk.client.stats().polls
        await desk.receiver.send_signed(body_of("another-id", name="order-1", status=status))
        await asyncio.sleep(0.1)
        assert desk.client.stats().polls == polls + 1
        result = await task
        assert result.task_id == task.task_id == result.video.task_id == own_id
        assert "callback.mp4" not in result.video.url
        assert desk.receiver.stats.unknown == 0


@pytest.mark.looptime
async def test_a_task_without_an_id_of_its_own_is_polled_for_it() -> None:
    """It is attached to by its external id, so a gateway's id is not known yet."""
    async with a_desk(SECRET, task_seconds=5.0) as desk:
        submitted = await desk.client.submit(SQUISH, external_task_id="order-1")
        await asyncio.sleep(5.1)
        receiver = Overheard(SECRET)
        async with desk.emulator.client(callbacks=receiver) as other:
            await other.submit(OTHER)  # so that it listens
            attached = other.attach(external_task_id="order-1")
            waiting = asyncio.ensure_future(attached.result())
            await asyncio.sleep(0)
            await receiver.send_signed(body_of("klings-own-id", name="order-1"))
            result = await waiting
    assert result.task_id == submitted.task_id
    assert "callback.mp4" not in result.video.url


# -- the address


@pytest.mark.looptime
async def test_every_way_to_submit_asks_for_callbacks(tmp_path: Path) -> None:
    """``submit``, ``run``, ``run_many`` and ``submit_many``; they end by what is pushed."""
    async with (
        a_receiver(SECRET) as receiver,
        emulator_of(webhook_secret=SECRET, task_seconds=30.0) as emulator,
        emulator.client(callbacks=receiver) as client,
    ):
        await (await client.submit(SQUISH))
        assert receiver.stats.signed == 2
        await client.run(SQUISH)
        assert receiver.stats.signed == 4
        assert [type(o) async for o in client.run_many([SQUISH])] == [Done]
        assert receiver.stats.signed == 6
        async for task in client.submit_many([OTHER]):
            assert isinstance(task, EffectTask)
            await task
        assert receiver.stats.signed == 8


@pytest.mark.looptime
async def test_an_address_of_the_caller_wins() -> None:
    async with (
        an_inbox() as inbox,
        a_receiver(SECRET) as receiver,
        emulator_of(webhook_secret=SECRET) as emulator,
        emulator.client(callbacks=receiver) as client,
    ):
        await client.run(SQUISH, callback_url=inbox.url)
        await inbox.wait_for(2)
        assert receiver.stats.signed == 0


@pytest.mark.looptime
async def test_each_client_of_a_receiver_has_its_own_path_until_it_is_closed() -> None:
    receiver = Overheard(SECRET)
    async with emulator_of() as emulator, emulator.client(callbacks=receiver) as one:
        task = await one.submit(SQUISH)
        async with emulator.client(callbacks=receiver) as two:
            await two.submit(OTHER)
            assert await receiver.send_signed(body_of(known_id(task))) == 200
            assert receiver.stats.unknown == 1  # sent to the other client
        assert await receiver.send_signed(body_of(known_id(task))) == 404
        assert len(set(receiver.tokens)) == 2
        assert all(len(token) == 24 for token in receiver.tokens)
    assert receiver.stats.not_found == 1


@pytest.mark.looptime
async def test_a_client_that_is_opened_again_keeps_its_path() -> None:
    receiver = Overheard()
    async with emulator_of() as emulator:
        client = emulator.client(callbacks=receiver)
        for _ in range(2):
            async with client:
                await client.submit(SQUISH)
    assert len(receiver.tokens) == 2
    assert len(set(receiver.tokens)) == 1


async def test_the_secret_path_is_in_no_log_and_no_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 59: who knows the path can send hints."""
    receiver = Overheard(SECRET)
    with caplog.at_level(logging.DEBUG):
        async with (
            emulator_of(speed=1e6) as emulator,
            emulator.client(callbacks=receiver, journal=tmp_path / "jobs.db") as client,
        ):
            task = await client.submit(SQUISH)
            await receiver.send(body_of(known_id(task)))
            await receiver.send(b"{}")
            await task
            shown = [caplog.text, repr(client), repr(receiver), repr(task), repr(receiver.stats)]
    (token,) = set(receiver.tokens)
    assert not [text for text in shown if token in text]


@pytest.mark.parametrize("given", ["https://bot.example/kling", CallbackReceiver, 5])
async def test_what_is_no_receiver_is_a_type_error(given: Any) -> None:
    async with emulator_of() as emulator:
        with pytest.raises(TypeError, match=r"callbacks must be a CallbackReceiver\(\.\.\.\)"):
            emulator.client(callbacks=given)


# -- restarts

QUICK = PollPolicy(shortest_s=0.05)


async def test_a_restart_is_reached_by_the_tasks_of_the_process_before(tmp_path: Path) -> None:
    """Fault 61: the path is in the journal, so nothing that is sent later is lost."""
    journal = tmp_path / "jobs.db"
    async with emulator_of(task_seconds=3600.0) as emulator:
        before, after = Overheard(SECRET), Overheard(SECRET)
        async with emulator.client(callbacks=before, journal=journal) as client:
            task = await client.submit(SQUISH, external_task_id="order-1")
        async with emulator.client(callbacks=after, journal=journal) as client:
            assert before.tokens == after.tokens
            finishing = asyncio.ensure_future(anext(client.resume()))
            await asyncio.sleep(0.1)
            await after.send_signed(body_of(known_id(task), name="order-1"))
            outcome = await finishing
        assert isinstance(outcome, Done)
        assert outcome.result.video.url.endswith("callback.mp4")
        assert emulator.ledger.total == 1


async def test_a_service_that_restarts_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    """Fault 61: what was sent while nobody listened is found by polls, and the rest is pushed."""
    journal = tmp_path / "jobs.db"
    effects = [
        SingleImageEffect("squish", image=f"https://img.example/{number}.jpg")
        for number in range(30)
    ]
    async with emulator_of(
        webhook_secret=SECRET, speed=100, task_seconds=(20.0, 120.0)
    ) as emulator:
        async with (
            a_receiver(SECRET) as before,
            emulator.client(callbacks=before, journal=journal, poll=QUICK) as client,
        ):
            tasks = [task async for task in client.submit_many(effects)]
            assert isinstance(tasks[0], EffectTask)
            await tasks[0]
        assert len(tasks) == 30
        await asyncio.sleep(0.3)  # nobody listens
        async with (
            a_receiver(SECRET, port=port_of(before)) as after,
            emulator.client(callbacks=after, journal=journal, poll=QUICK) as client,
        ):
            outcomes = [outcome async for outcome in client.resume()]
        assert {type(outcome) for outcome in outcomes} == {Done}
        assert emulator.ledger.total == 30
    async with SqliteStore(journal, read_only=True) as reader:
        states = [job.state async for job in reader.jobs()]
    assert states == [JobState.SUCCEEDED] * 30


async def test_a_planned_job_is_submitted_with_the_address_of_now(tmp_path: Path) -> None:
    """A receiver that has moved; what an earlier process planned names its old address."""
    journal = tmp_path / "jobs.db"
    async with a_receiver(SECRET) as receiver:
        async with emulator_of() as gone:
            client = gone.client(
                callbacks=Overheard(),
                journal=journal,
                account="a",
                retry=RetryPolicy(attempts=1),
            )
        async with client:
            with pytest.raises(NetworkError, match="no connection"):
                await client.submit(SQUISH, external_task_id="order-1")
        async with (
            emulator_of(webhook_secret=SECRET, speed=100) as emulator,
            emulator.client(callbacks=receiver, journal=journal, account="a", poll=QUICK) as client,
        ):
            outcomes = [outcome async for outcome in client.resume()]
            assert [type(outcome) for outcome in outcomes] == [Done]
            assert receiver.stats.signed == 2
