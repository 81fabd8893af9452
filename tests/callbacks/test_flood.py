"""Ten thousand forged messages at once, about tasks that are waited for and one that is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from kling_effects_async import EffectTask, RetryPolicy, SingleImageEffect, SubmissionUncertainError
from kling_effects_async.emulator import Fault
from kling_effects_async.journal.job import JobState
from tests.support.callbacks import OTHER_SECRET, SECRET, body_of, new_body_of, signed
from tests.support.overheard import a_desk, known_id

Message: TypeAlias = tuple[bytes, dict[str, str]]

MANY = 10_000


def effect_of(number: int) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{number}.jpg")


def forged(tasks: list[EffectTask], rng: random.Random) -> Iterator[Message]:
    """Messages of every kind, none of them rightly signed."""
    old = datetime.now(UTC) - timedelta(hours=1)
    for number in range(MANY // 10):
        task = rng.choice(tasks)
        name, mark = known_id(task), f"m{number}"
        body, failed = body_of(name, name=task.external_task_id), body_of(name, "failed")
        yield body, {}
        yield body, signed(body, secret=OTHER_SECRET, message_id=mark)
        yield body + b" ", signed(body, message_id=mark)
        yield body, signed(body, at=old, message_id=mark)
        yield body_of(f"stranger-{number}", name="lost"), {}
        yield body_of("klings-own", name=task.external_task_id), {"webhook-id": mark}
        yield rng.randbytes(300), signed(body)
        yield b"[" * 2000, {}
        yield failed, {"webhook-signature": "v1,AAAA", "webhook-id": "x" * 200}
        yield new_body_of(name, name="lost"), {"webhook-timestamp": "9" * 300}


@pytest.mark.looptime
async def test_ten_thousand_forged_messages_end_no_wait_and_cost_few_polls() -> None:
    """Faults 59, 60: not even a lost submit is looked up for them; a real one ends its wait."""
    async with a_desk(SECRET, lists_tasks=False, task_seconds=300.0) as desk:
        client = desk.client
        desk.emulator.fail_next(Fault.cut_after_reading(accepted=True))
        desk.emulator.fail_next(Fault.html(on="query"), times=RetryPolicy().attempts)
        with pytest.raises(SubmissionUncertainError):
            await client.submit(effect_of(0), external_task_id="lost")
        assert desk.emulator.faults_left == 0
        tasks = [await client.submit(effect_of(number)) for number in range(1, 21)]
        waits = [asyncio.ensure_future(task.result()) for task in tasks]
        await asyncio.sleep(30)
        polls = desk.polls
        statuses = [await desk.receiver.send(*each) for each in forged(tasks, random.Random(1))]
        await asyncio.sleep(0.3)
        assert desk.polls - polls <= 50
        assert not any(wait.done() for wait in waits)
        assert set(statuses) == {200, 400, 429}
        lost = await client.job("lost")
        assert lost is not None
        assert lost.state is JobState.UNCERTAIN
        body = body_of(known_id(tasks[0]))
        assert await desk.receiver.send(body, signed(body, message_id="real")) == 200
        await asyncio.sleep(0.01)
        assert [wait.done() for wait in waits] == [True] + [False] * 19
        for wait in waits[1:]:
            wait.cancel()
