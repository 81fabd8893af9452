"""The listeners of a client: what they get, and that none of them can do harm."""

from __future__ import annotations

import asyncio
import gc
import weakref
from datetime import UTC, datetime

import pytest

from kling_effects_async import Event, JobQueued, SlotsChanged
from kling_effects_async.event_hub import EventHub, EventStream

AT = datetime(2026, 6, 1, tzinfo=UTC)


def queued(name: str) -> JobQueued:
    return JobQueued(at=AT, external_task_id=name, scene="squish")


def names_in(events: list[Event]) -> list[str | None]:
    return [None if isinstance(event, SlotsChanged) else event.external_task_id for event in events]


async def read(stream: EventStream) -> list[Event]:
    return [event async for event in stream]


async def test_each_stream_has_every_event_since_it_was_made() -> None:
    hub = EventHub(None)
    early = hub.stream(10)
    hub.send(queued("a"))
    late = hub.stream(10)
    hub.send(queued("b"))
    hub.close()
    assert names_in(await read(early)) == ["a", "b"]
    assert names_in(await read(late)) == ["b"]


async def test_a_reader_gets_an_event_as_soon_as_it_happens() -> None:
    hub = EventHub(None)
    stream = hub.stream(10)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    hub.send(queued("a"))
    assert names_in([await first]) == ["a"]


async def test_a_slow_reader_misses_the_oldest_events_and_is_told_how_many() -> None:
    hub = EventHub(None)
    stream = hub.stream(3)
    for number in range(10):
        hub.send(queued(str(number)))
    hub.close()
    assert names_in(await read(stream)) == ["7", "8", "9"]
    assert stream.dropped == 7


async def test_the_end_of_a_client_ends_a_reader_that_waits() -> None:
    hub = EventHub(None)
    reader = asyncio.ensure_future(read(hub.stream(10)))
    await asyncio.sleep(0)
    hub.close()
    assert await reader == []


async def test_a_stream_that_was_left_gets_no_more_events() -> None:
    hub = EventHub(None)
    async with hub.stream(10) as stream:
        hub.send(queued("a"))
    hub.send(queued("b"))
    assert names_in(await read(stream)) == ["a"]


async def test_a_stream_that_nobody_refers_to_is_gone() -> None:
    hub = EventHub(None)
    left = weakref.ref(hub.stream(10))
    gc.collect()
    assert left() is None
    hub.send(queued("a"))


async def test_a_cancelled_reader_can_read_on() -> None:
    hub = EventHub(None)
    stream = hub.stream(10)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    hub.send(queued("a"))
    assert names_in([await anext(stream)]) == ["a"]


@pytest.mark.parametrize("error", [ValueError("sk-secret"), asyncio.CancelledError("sk-secret")])
async def test_what_a_listener_raises_is_logged_once_for_each_class(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    heard: list[Event] = []

    def listener(event: Event) -> None:
        heard.append(event)
        raise error

    hub = EventHub(listener)
    stream = hub.stream(10)
    hub.send(queued("a"))
    hub.send(queued("b"))
    hub.send(SlotsChanged(at=AT, size=1, running=0, reason="..."))
    hub.close()
    assert len(heard) == 3
    assert heard == await read(stream)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "JobQueued" in caplog.text
    assert "SlotsChanged" in caplog.text
    assert "test_event_hub.py" in caplog.text
    assert "sk-secret" not in caplog.text
