"""A client with a receiver that no service reaches: the test sends what comes there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from kling_effects_async import CallbackReceiver, EffectsClient, EffectTask
from kling_effects_async.callbacks.messages import Subscriber
from kling_effects_async.emulator import Clips, Emulator
from tests.support.callbacks import signed

__all__ = ["Desk", "Overheard", "a_desk", "emulator_of", "known_id"]


def emulator_of(**options: Any) -> Emulator:
    return Emulator(**{"clips": Clips.STOCK, "task_seconds": 60.0, "seed": 1, **options})


class Overheard(CallbackReceiver):
    """A receiver that the emulator cannot reach, and whose secret paths the test knows."""

    def __init__(self, *secrets: str) -> None:
        super().__init__("https://bot.example/kling", secrets)
        self.tokens: list[str] = []

    def subscribe(self, token: str, subscriber: Subscriber) -> Callable[[], None]:
        self.tokens.append(token)
        return super().subscribe(token, subscriber)

    async def send(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        """To the client that came last."""
        answer = await self.receive(headers or {}, body, path=f"/kling/{self.tokens[-1]}")
        return answer.status

    async def send_signed(self, body: bytes, message_id: str = "msg-1") -> int:
        return await self.send(body, signed(body, message_id=message_id))


@frozen
class Desk:
    emulator: Emulator
    client: EffectsClient
    receiver: Overheard

    @property
    def polls(self) -> int:
        requests = self.emulator.requests
        return requests["query"] + requests["list"]


@asynccontextmanager
async def a_desk(*secrets: str, **options: Any) -> AsyncIterator[Desk]:
    receiver = Overheard(*secrets)
    emulator = emulator_of(**options)
    async with emulator, emulator.client(callbacks=receiver, rng=lambda: 0.5) as client:
        yield Desk(emulator, client, receiver)


def known_id(task: EffectTask) -> str:
    assert task.task_id is not None
    return task.task_id
