"""The machine's wall clock is wrong, or is set while we wait: only tokens and HTTP dates use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kling_effects_async import (
    AccessKeys,
    AuthenticationError,
    EffectsClient,
    JobState,
    Journal,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
    TaskTimeoutError,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.transport.clock import SystemClock

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
DISCO = SingleImageEffect("disco_paws", image="https://img.example/a.jpg")
SECRET = "s" * 32
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
YEARS = timedelta(days=3653)


class Wall(SystemClock):
    """A wall clock that is moved on between two looks at it; the rest of time is the loop's."""

    def __init__(self, *moves: timedelta) -> None:
        self.time = NOON
        self._moves = cycle(moves or (timedelta(0),))

    def now(self) -> datetime:
        self.time += next(self._moves)
        return self.time


WALLS: dict[str, Callable[[], Wall]] = {
    "stands still": Wall,
    "years forth": lambda: Wall(YEARS, *[timedelta(0)] * 500),
    "years back": lambda: Wall(-YEARS, *[timedelta(0)] * 500),
    "to and fro": lambda: Wall(YEARS, -YEARS),
}
any_wall = pytest.mark.parametrize("wall", WALLS.values(), ids=WALLS)


def emulator(**options: object) -> Emulator:
    return Emulator(clips=Clips.STOCK, seed=1, **options)  # type: ignore[arg-type]  # as written


async def took_s(act: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await act
    return loop.time() - began_at


@pytest.mark.looptime
@any_wall
async def test_an_end_is_known_as_soon_and_for_as_many_questions(wall: Callable[[], Wall]) -> None:
    """Fault 65: the schedule, cold and with what it has learned."""
    async with (
        emulator(task_seconds=30.0) as at,
        at.client(clock=wall(), rng=lambda: 0.5) as client,
    ):
        for number in range(12):
            assert 30 <= await took_s(client.run(SQUISH)) < 36, number
    assert at.requests["query"] + at.requests["list"] < 12 * 20


@pytest.mark.looptime
@any_wall
async def test_a_deadline_comes_when_its_seconds_are_over(wall: Callable[[], Wall]) -> None:
    """Fault 65."""
    async with (
        emulator(task_seconds=10_000.0) as at,
        at.client(clock=wall(), poll=PollPolicy(deadline_s=600)) as client,
    ):
        task = await client.submit(SQUISH)
        with pytest.raises(TaskTimeoutError):
            await took_s(task.result())
        assert 600 <= asyncio.get_running_loop().time() < 601


@pytest.mark.looptime
@any_wall
async def test_a_pause_that_the_service_asks_for_is_kept(wall: Callable[[], Wall]) -> None:
    """Fault 65: at the gate of submits, and between two tries of a question."""
    async with emulator() as at, at.client(clock=wall(), rng=lambda: 0.0) as client:
        for on in ("submit", "query"):
            at.fail_next(Fault.rate_limited(20, on=on))
        assert 20 <= await took_s(client.submit(SQUISH, external_task_id="o1")) < 30
        assert 20 <= await took_s(client.attach(external_task_id="o1").refresh()) < 30


async def looked_for_s(wall: Wall) -> float:
    """How long it takes to learn that a submit was not accepted, and to send it again."""
    async with emulator() as at, at.client(clock=wall, rng=lambda: 0.0) as client:
        await client.submit(SQUISH)
        at.fail_next(Fault.cut_after_reading())
        return await took_s(client.submit(SQUISH))


@pytest.mark.looptime
@any_wall
async def test_a_lost_submit_is_looked_for_after_the_same_pause(wall: Callable[[], Wall]) -> None:
    """Fault 65."""
    right_s = await looked_for_s(Wall())
    assert right_s > 1
    assert await looked_for_s(wall()) == pytest.approx(right_s, abs=0.5)


# -- tokens are what the wall clock is for


class Official:
    """Kling's own service, where each upload takes so long by everybody's clock."""

    def __init__(self, wall: Wall, upload_takes: timedelta) -> None:
        self.wall = wall
        self.upload_takes = upload_takes
        self.tokens: list[str] = []
        self.sizes: list[int] = []
        self.accepted = 0
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/videos/effects", self._submit)
        self.server = TestServer(app)

    def client(self, journal: Path) -> EffectsClient:
        return EffectsClient(
            AccessKeys("access-key", SECRET),
            service=Service.official(base_url=str(self.server.make_url("").origin())),
            clock=self.wall,
            journal=journal,
            retry=RetryPolicy(attempts=1),
        )

    async def _submit(self, request: web.Request) -> web.Response:
        self.sizes.append(len(await request.read()))
        self.wall.time += self.upload_takes
        self.upload_takes = timedelta(0)
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        claims = jwt.decode(
            self.tokens[-1], SECRET, ["HS256"], options={"verify_exp": False, "verify_nbf": False}
        )
        date = self.wall.time.strftime("%a, %d %b %Y %H:%M:%S GMT")
        if claims["exp"] < self.wall.time.timestamp():
            rejection = {"code": 1004, "message": "token expired"}
            return web.json_response(rejection, status=401, headers={"Date": date})
        self.accepted += 1
        data = {"task_id": f"t{self.accepted}", "task_status": "submitted"}
        return web.json_response({"code": 0, "message": "SUCCEED", "data": data})


async def state_of(path: Path) -> JobState:
    async with Journal(path, read_only=True) as journal:
        return (await anext(aiter(journal.jobs()))).state


async def test_a_token_that_expired_during_a_slow_upload_is_signed_anew(
    cat: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 18: what was rejected for its token was not accepted, so it is sent once more."""
    caplog.set_level(logging.WARNING)
    official = Official(Wall(), upload_takes=timedelta(minutes=31))
    effect = SingleImageEffect("disco_paws", image=cat)
    async with official.server, official.client(tmp_path / "jobs.db") as client:
        task = await client.submit(effect, external_task_id="o1")
    assert (task.task_id, official.accepted) == ("t1", 1)
    assert len(set(official.tokens)) == 2
    assert len(set(official.sizes)) == 1  # the whole picture again
    assert await state_of(tmp_path / "jobs.db") is JobState.ACCEPTED
    assert caplog.messages == []  # both clocks are right


async def test_a_token_lasts_for_the_slowest_upload(cat: Path, tmp_path: Path) -> None:
    """Fault 18: signed for each try, with half an hour to spare."""
    official = Official(Wall(), upload_takes=timedelta(minutes=29))
    async with official.server, official.client(tmp_path / "jobs.db") as client:
        await client.submit(SingleImageEffect("disco_paws", image=cat))
    assert len(official.tokens) == official.accepted == 1


async def test_a_service_that_calls_every_token_expired_is_asked_twice(tmp_path: Path) -> None:
    """Fault 18: one retry, then an error; the job is planned, as nothing was accepted."""

    class Never(Official):
        async def _submit(self, request: web.Request) -> web.Response:
            self.upload_takes = timedelta(hours=1)
            return await super()._submit(request)

    never = Never(Wall(), upload_takes=timedelta(hours=1))
    async with never.server, never.client(tmp_path / "jobs.db") as client:
        with pytest.raises(AuthenticationError):
            await client.submit(DISCO, external_task_id="o1")
    assert (len(never.tokens), never.accepted) == (2, 0)
    assert await state_of(tmp_path / "jobs.db") is JobState.PLANNED


async def test_a_token_is_signed_by_the_wall_clock(tmp_path: Path) -> None:
    """Fault 65: whatever time it was before; the service judges tokens by it."""
    wall = Wall()
    official = Official(wall, upload_takes=timedelta(0))
    async with official.server, official.client(tmp_path / "jobs.db") as client:
        for _ in range(2):
            await client.submit(DISCO)
            wall.time += YEARS
    assert (len(official.tokens), official.accepted) == (2, 2)
