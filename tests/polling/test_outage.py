"""A service that answers nobody for a while, with many who wait."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from kling_effects_async import EffectsClient, PollPolicy, SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import (
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ServiceError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.models import EffectResult, TaskSnapshot, TaskStatus, Video
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.transport.clock import SystemClock
from tests.support.polled_service import PolledService

pytestmark = pytest.mark.looptime(noop_cycles=2)

BUSY = ServiceError("busy", http_status=503, retryable=True)
LIMITED = RateLimitError("slow", http_status=429, retryable=True)
REJECTED = NetworkError("connection refused", sent=False)
OUTAGES = [
    pytest.param(BUSY, id="503"),
    pytest.param(LIMITED, id="429"),
    pytest.param(REJECTED, id="rejected"),
    pytest.param(NetworkError("reset"), id="reset"),
    pytest.param(RequestTimeoutError("no answer"), id="timeout"),
    pytest.param(ReplyError("an HTML page"), id="html"),
]


class Service:
    """Tasks that end at a given time; while it is down every request fails with ``failure``."""

    def __init__(self, ends_at: list[float], *, has_list: bool, **policy: float) -> None:
        self.ends_at = {f"t{number}": at for number, at in enumerate(ends_at)}
        self.failure: KlingEffectsError | None = None
        self.failing: set[str] | None = None  # these tasks alone
        self.single_takes_s = 0.02
        self.requests_at: list[float] = []
        self.poller = Poller(
            PolledService(self.one, self.page, has_list),
            policy=PollPolicy(**policy),  # type: ignore[arg-type]  # `parallel` is not given
            clock=SystemClock(),
            rng=random.Random(1).random,
        )
        self.waits = [asyncio.ensure_future(self.task(name).result()) for name in self.ends_at]

    def task(self, name: str) -> EffectTask:
        return EffectTask(self.poller.track(name, None), self.poller)

    def snapshot(self, name: str) -> TaskSnapshot:
        is_over = asyncio.get_running_loop().time() >= self.ends_at[name]
        status = TaskStatus.SUCCEEDED if is_over else TaskStatus.PROCESSING
        videos = (Video(url="https://v.example/o.mp4"),) if is_over else ()
        return TaskSnapshot(task_id=name, status=status, raw_status=status.value, videos=videos)

    async def one(self, task_id: str) -> TaskSnapshot:
        await self._request(task_id)
        return self.snapshot(task_id)

    async def page(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        await self._request("")
        page = list(self.ends_at)[::-1][(number - 1) * size : number * size]
        found = [self.snapshot(name) for name in page if name in wanted]
        return Listed(tasks=found, shown=len(page), first_id=page[0] if page else "")

    async def _request(self, name: str) -> None:
        self.requests_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.single_takes_s)
        if self.failure is not None and (self.failing is None or name in self.failing):
            raise self.failure

    def requests(self, since: float, until: float) -> int:
        return sum(since <= at < until for at in self.requests_at)

    def ended(self) -> int:
        return sum(wait.done() for wait in self.waits)


Make = Callable[..., Service]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Service] = []

    def service(ends_at: list[float], *, has_list: bool = False, **policy: float) -> Service:
        made.append(Service(ends_at, has_list=has_list, **policy))
        return made[-1]

    yield service
    for one in made:
        for wait in one.waits:
            wait.cancel()
        await one.poller.aclose()
        await asyncio.gather(*one.waits, return_exceptions=True)


async def until(moment: float) -> None:
    await asyncio.sleep(moment - asyncio.get_running_loop().time())


@pytest.mark.parametrize("has_list", [True, False], ids=["list", "no list"])
@pytest.mark.parametrize("failure", OUTAGES)
async def test_many_waits_cost_few_requests_in_an_outage_and_no_burst_after(
    make: Make, failure: KlingEffectsError, has_list: bool
) -> None:
    """Fault 63: server down with thousands waiting; one probe at a time, no stampede."""
    service = make([20.0 + number / 40 for number in range(2000)], has_list=has_list)
    await until(10)
    service.failure = failure
    await until(70)
    assert service.requests(10, 20) <= 2 * 10
    for start in range(20, 70, 10):
        assert service.requests(start, start + 10) <= 10
    assert service.ended() == 0
    service.failure = None
    await until(105)
    answered_at = min(moment for moment in service.requests_at if moment >= 70)
    for second in range(10):
        at = answered_at + second
        assert service.requests(at, at + 1) <= 5 * 2 ** (second // 2 + 1) + 6
    await until(answered_at + (5 if has_list else 20))
    assert service.ended() == 2000
    assert all(not wait.exception() for wait in service.waits)


async def test_a_page_tells_of_all_ends_at_once_after_an_outage(make: Make) -> None:
    """Fault 63: and the list is not blamed for it."""
    service = make([30.0] * 500, has_list=True)
    await until(10)
    service.failure = ReplyError("a proxy's page")  # of a list alone, so few would turn it off
    await until(60)
    service.failure = None
    await until(95)
    assert service.ended() == 500
    assert service.poller.list_breaker.is_usable
    assert service.requests(60, 95) <= 20


async def test_waits_end_after_the_span_and_say_that_the_task_goes_on(make: Make) -> None:
    """Fault 63: a wait ends in the end, and nothing that is paid is lost."""
    service = make([400.0] * 100, max_outage_s=120)
    await until(10)
    service.failure = BUSY
    await until(125)
    assert service.ended() == 0
    service.failure = REJECTED
    await until(10 + 120 + 35)
    assert service.ended() == 100
    error = service.waits[0].exception()
    assert isinstance(error, NetworkError)
    assert error is not service.waits[1].exception()
    assert "connection refused. There was no answer about task t0 for 1" in str(error)
    assert "attach() to it later" in str(error)
    assert service.task("t0").latest_failure is None  # it will be asked anew


async def test_a_wait_that_begins_in_an_outage_has_the_whole_span(make: Make) -> None:
    """Fault 63."""
    service = make([900.0] * 20, max_outage_s=120)
    service.failure = BUSY
    await until(100)
    service.ends_at["late"] = 900.0
    service.waits.append(asyncio.ensure_future(service.task("late").result()))
    await until(215)
    assert [wait.done() for wait in service.waits] == [True] * 20 + [False]
    await until(260)
    assert isinstance(service.waits[-1].exception(), ServiceError)


async def test_deadlines_hold_in_an_outage_and_name_the_failure(make: Make) -> None:
    """Fault 63."""
    service = make([900.0] * 100, deadline_s=60)
    await until(10)
    service.failure = BUSY
    await until(59)
    assert service.ended() == 0
    assert service.task("t99").latest_failure is BUSY
    await until(60.1)
    errors = [wait.exception() for wait in service.waits]
    assert all(isinstance(error, TaskTimeoutError) for error in errors)
    assert all("the last poll failed: busy (HTTP 503)" in str(error) for error in errors)


async def test_one_line_is_logged_when_it_begins_and_one_when_it_ends(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 63."""
    service = make([80.0] * 100)
    await until(10)
    with caplog.at_level(logging.WARNING):
        service.failure = BUSY
        await until(70)
        service.failure = None
        await until(120)
    first, last = [record.getMessage() for record in caplog.records]
    assert first == "the service answers no poll; one at a time is tried: busy (HTTP 503)"
    assert last.startswith("the service answers polls again, after ")
    assert 55 <= float(last.split()[-2]) <= 95


async def test_failures_of_some_tasks_hold_up_no_other(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 63: no outage while others get answers."""
    service = make([30.0] * 40)
    service.failure, service.failing = BUSY, {"t1", "t2", "t3", "t4"}
    await until(36)
    assert service.ended() == 36
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("failure", [BUSY, LIMITED], ids=["503", "429"])
async def test_a_list_that_fails_alone_is_no_outage_for_long(
    make: Make, failure: KlingEffectsError
) -> None:
    service = make([40.0] * 40, has_list=True)
    await until(5)
    service.failure, service.failing = failure, {""}
    await until(60)
    assert service.ended() == 40


async def test_not_found_is_an_answer(make: Make) -> None:
    service = make([900.0] * 40, attached_grace_s=5, not_found_grace_s=5)
    service.failure = TaskNotFoundError("unknown", retryable=True)
    await until(6)
    assert all(isinstance(wait.exception(), TaskNotFoundError) for wait in service.waits)


async def test_a_callers_own_question_passes_and_ends_the_outage(make: Make) -> None:
    service = make([40.0] * 10)
    await until(10)
    service.failure = BUSY
    await until(65)
    with pytest.raises(ServiceError):
        await service.task("t1").refresh()
    service.failure = None
    await service.task("t1").refresh()
    asked_at = asyncio.get_running_loop().time()
    await until(asked_at + 3)
    assert service.ended() == 10


async def test_a_pause_that_is_asked_for_is_kept_by_all(make: Make) -> None:
    service = make([900.0] * 100)
    await until(10)
    service.failure = RateLimitError("slow", http_status=429, retryable=True, retry_after_s=25.0)
    await until(11)
    before = len(service.requests_at)
    await until(34)
    assert len(service.requests_at) == before
    await until(110)
    assert len(service.requests_at) <= before + 8


async def test_a_fault_of_ours_in_the_one_poll_stops_nobody(make: Make) -> None:
    service = make([40.0] * 20)
    await until(10)
    service.failure = BUSY
    await until(40)
    service.failure = ZeroDivisionError()  # type: ignore[assignment]
    service.failing = {f"t{number}" for number in range(19)}
    await until(100)
    assert not service.waits[19].exception()


async def test_everything_is_paid_once_and_found_after_an_outage() -> None:
    """Fault 63: with a real service."""
    effects = [SingleImageEffect("squish", image=f"https://img.example/{n}.jpg") for n in range(20)]
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=(20.0, 40.0), seed=1) as emulator,
        emulator.client() as client,
    ):
        tasks = [await client.submit(effect) for effect in effects]
        waiting = asyncio.gather(*tasks)
        await asyncio.sleep(10)
        emulator.fail_next(Fault.answer(503, b"{}", on="list"), times=4)
        emulator.fail_next(Fault.answer(503, b"{}", on="query"), times=8)
        before = emulator.requests["query"] + emulator.requests["list"]
        results: list[EffectResult] = await waiting
        assert len(results) == 20
        assert emulator.requests["query"] + emulator.requests["list"] - before <= 90
    assert emulator.ledger.total == 20
    assert isinstance(client, EffectsClient)
