"""Whose context a request is sent in: a submit in its caller's, a poll in nobody's."""

from __future__ import annotations

from contextvars import ContextVar

import aiohttp
import pytest

from kling_effects_async import SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator
from tests.conftest import PHOTOS

CALLER: ContextVar[str | None] = ContextVar("CALLER", default=None)
SQUISH = SingleImageEffect("squish", image=PHOTOS / "cat.jpg")


@pytest.mark.looptime
async def test_polls_are_no_part_of_what_the_first_waiter_does() -> None:
    """A tracer would show them as that caller's, long after it has ended."""
    sent: set[tuple[str, str | None]] = set()

    async def note(
        _session: aiohttp.ClientSession, _context: object, start: aiohttp.TraceRequestStartParams
    ) -> None:
        sent.add((start.method, CALLER.get()))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        Emulator(clips=Clips.STOCK, seed=1) as emulator,
        emulator.client(session=session) as client,
    ):
        CALLER.set("a request of a web service")
        await client.run(SQUISH)
    assert sent == {("POST", "a request of a web service"), ("GET", None)}
