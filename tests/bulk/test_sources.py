"""What a run takes its effects from, and what is no effect."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    EffectsClient,
    Failed,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Emulator
from tests.support.bulk_run import ids, squish


async def lazily(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


NO_EFFECTS = [Path("cat.jpg"), "cat.jpg", {"scene": "squish"}, b"cat", None, 7, ("squish", "cat")]


@pytest.mark.parametrize(
    "source",
    [
        "cat.jpg",
        b"cat",
        Path("cat.jpg"),
        None,
        squish(1),
        {"scene": "squish", "image": "cat.jpg"},
        lazily,
        lambda: [squish(1)],
        *([squish(1), item] for item in NO_EFFECTS),
        (squish(1), "cat.jpg"),
    ],
)
@pytest.mark.looptime
async def test_what_is_no_source_of_effects_is_said_at_the_call(
    client: EffectsClient, emulator: Emulator, source: Any
) -> None:
    for call in (client.run_many, client.submit_many):
        with pytest.raises(
            TypeError, match=r"_many takes effects.*SingleImageEffect\('squish', im"
        ):
            call(source)
    assert emulator.ledger.total == 0


@pytest.mark.looptime
async def test_a_coroutine_is_no_source_of_effects(client: EffectsClient) -> None:
    async def effects() -> list[Effect]:
        return [squish(1)]

    with pytest.raises(TypeError, match="await it"):
        client.run_many(effects())  # type: ignore[arg-type]  # that is the mistake
    gc.collect()  # a coroutine that was never awaited would warn now, and warnings are errors here


@pytest.mark.parametrize("item", NO_EFFECTS, ids=str)
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.looptime
async def test_what_is_no_effect_in_a_lazy_source_ends_the_iteration(
    client: EffectsClient, emulator: Emulator, item: Any, is_async: bool
) -> None:
    mixed = [squish(1), squish(2), item, squish(3)]
    for call in (client.run_many, client.submit_many):
        source: Any = lazily(*mixed) if is_async else iter(mixed)
        outcomes = call(source)
        with pytest.raises(TypeError, match=r"takes effects.*, not "):
            assert [outcome async for outcome in outcomes if isinstance(outcome, Failed)] == []
    await asyncio.sleep(30)
    assert emulator.ledger.total <= 2


@pytest.mark.looptime
async def test_what_was_submitted_before_a_wrong_item_goes_on(
    client: EffectsClient, emulator: Emulator
) -> None:
    async def effects() -> AsyncIterator[Any]:
        yield squish(1)
        await asyncio.sleep(2)
        yield "cat.jpg"

    with pytest.raises(TypeError, match="not str"):
        async for _ in client.run_many(effects(), run="r"):
            pass
    assert emulator.ledger.total == 1
    assert len(await ids(client, [squish(1)])) == 1
    assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_what_was_submitted_before_a_source_raises_goes_on(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 35: the error is the caller's, and the same batch again pays for nothing twice."""

    async def effects() -> AsyncIterator[Effect]:
        yield squish(1)
        yield squish(2)
        await asyncio.sleep(2)
        raise ZeroDivisionError("of the caller")

    for call in (client.run_many, client.submit_many):
        with pytest.raises(ZeroDivisionError, match="of the caller"):
            async for _ in call(effects(), run="r"):
                pass
        assert emulator.ledger.total == 2
    assert len(await ids(client, [squish(1), squish(2)])) == 2
    assert emulator.ledger.total == 2


@pytest.mark.parametrize("item", NO_EFFECTS, ids=str)
@pytest.mark.looptime
async def test_submit_and_run_say_what_an_effect_is(
    client: EffectsClient, emulator: Emulator, item: Any
) -> None:
    for call in (client.submit, client.run):
        with pytest.raises(TypeError, match=r"submit takes effects: SingleImageEffect\('squish'"):
            await call(item)
    assert emulator.ledger.total == 0


@pytest.mark.looptime
async def test_any_iterable_of_effects_is_as_good_as_a_list(client: EffectsClient) -> None:
    class Numbered:
        def __getitem__(self, number: int) -> Effect:
            if number == 3:
                raise IndexError
            return squish(number)

    sources: list[Any] = [
        Numbered(),
        {squish(0), squish(1), squish(2)},
        dict.fromkeys(map(squish, range(3))),
        dict(enumerate(map(squish, range(3)))).values(),
        tuple(map(squish, range(3))),
    ]
    for source in sources:
        assert len(await ids(client, source)) == 3
