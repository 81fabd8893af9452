"""Effects of different pictures, run as one batch by a client of ``SLOTS`` slots."""

from __future__ import annotations

from collections.abc import Iterable

from kling_effects_async import Done, EffectsClient, SingleImageEffect
from kling_effects_async.effects import Effect

SLOTS = 5


def squish(number: int) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{number}.jpg")


async def ids(client: EffectsClient, effects: Iterable[Effect], run: str | None = "r") -> list[str]:
    """The tasks of a run in which every effect succeeds."""
    found = []
    async for outcome in client.run_many(effects, run=run):
        assert isinstance(outcome, Done), outcome
        found.append(outcome.result.task_id)
    return found
