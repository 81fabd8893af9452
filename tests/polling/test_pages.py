"""One page for all that are due, and what happens to a list that cannot be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from kling_effects_async import EffectsClient, PollPolicy, SingleImageEffect, TaskStatus
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import (
    AccountError,
    AuthenticationError,
    ClientClosedError,
    InvalidRequestError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ServiceError,
)
from kling_effects_async.models import TaskSnapshot, Video
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.transport.clock import sleep
from tests.support.polled_service import PolledService, QuickClock

VIDEO = Video(url="https://v.example/o.mp4")
LAUNCH = datetime(2026, 9, 1, tzinfo=UTC)


class Service:
    """Tasks that end at a given age, singly and on pages, and what can be wrong about lists.

    ``older`` and ``newer`` are how many tasks of other clients stand behind and before ours in the
    list, a second apart like ours; the list tells times if ``has_times``.
    """

    def __init__(self, *lengths_s: float) -> None:
        self.clock = QuickClock()
        self.ends_at = {f"t{number}": length for number, length in enumerate(lengths_s)}
        self.older = self.newer = 0
        self.has_times = False
        self.launched_at = LAUNCH
        self.unlisted: set[str] = set()
        self.hung: set[str | None] = set()
        self.stale_by_s = self.single_takes_s = self.page_takes_s = 0.0
        self.failure: Exception | None = None
        self.single_failure: Exception | None = None
        self.pages: list[float] = []
        self.singles: list[str] = []
        self.poller = Poller(
            PolledService(self.one, self.page),
            policy=PollPolicy(),
            clock=self.clock,
            rng=lambda: 0.5,
        )

    def snapshot(self, task_id: str, age_s: float) -> TaskSnapshot:
        is_over = age_s >= self.ends_at[task_id]
        status = TaskStatus.SUCCEEDED if is_over else TaskStatus.PROCESSING
        videos = (VIDEO,) if is_over else ()
        return TaskSnapshot(
            task_id=task_id,
            status=status,
            raw_status=status.value,
            videos=videos,
            created_at=self.created_at(task_id),
        )

    def created_at(self, name: str) -> datetime | None:
        """Ours, in their order, are between those of the others."""
        if not self.has_times:
            return None
        kind, number = name[0], int(name[1:])
        before = {"o": 0, "t": self.older, "n": self.older + len(self.ends_at)}[kind]
        return self.launched_at + timedelta(seconds=before + number)

    def newest_first(self) -> list[str]:
        ours = [name for name in self.ends_at if name not in self.unlisted]
        everything = [f"o{n}" for n in range(self.older)] + ours
        return (everything + [f"n{n}" for n in range(self.newer)])[::-1]

    async def one(self, task_id: str) -> TaskSnapshot:
        self.singles.append(task_id)
        if task_id in self.hung:
            self.unlisted.add(task_id)
            await asyncio.Event().wait()
        await sleep(self.clock, self.single_takes_s)
        if self.single_failure is not None:
            raise self.single_failure
        return self.snapshot(task_id, self.clock.monotonic())

    async def page(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        self.pages.append(self.clock.monotonic())
        await sleep(self.clock, self.page_takes_s)
        if self.failure is not None:
            raise self.failure
        page = self.newest_first()[(number - 1) * size : number * size]
        age_s = self.clock.monotonic() - self.stale_by_s
        return Listed(
            tasks=[self.snapshot(name, age_s) for name in page if name in wanted],
            shown=len(page),
            first_id=page[0] if page else "",
            newest_at=self.created_at(page[0]) if page else None,
            oldest_at=self.created_at(page[-1]) if page else None,
        )

    def wait(self, name: str) -> asyncio.Future[object]:
        task = EffectTask(self.poller.track(name, None), self.poller)
        return asyncio.ensure_future(task.result())

    def waits(self) -> list[asyncio.Future[object]]:
        return [self.wait(name) for name in self.ends_at]


async def finished(service: Service, seconds: float) -> None:
    waits = service.waits()
    await service.clock.advance(seconds)
    assert all(wait.done() and not wait.exception() for wait in waits)
    await service.poller.aclose()


async def test_many_tasks_cost_pages_and_almost_no_single_questions() -> None:
    service = Service(*[20 + number / 5 for number in range(100)])
    await finished(service, 45)
    assert len(service.pages) <= 55
    assert len(service.singles) <= 20  # the checks, and the last few that are too few for a page


async def test_pages_keep_a_rhythm_of_about_a_second() -> None:
    service = Service(*[30.0] * 50)
    await finished(service, 35)
    gaps = [b - a for a, b in zip(service.pages, service.pages[1:], strict=False)]
    assert min(gaps) >= 0.499
    assert max(gaps) < 3.5  # the pace of the tasks' age, shared by all


async def test_pages_end_with_the_last_who_waits() -> None:
    service = Service(*[60.0] * 50)
    waits = service.waits()
    await service.clock.advance(10)
    for wait in waits:
        wait.cancel()
    await service.clock.settle()
    before = len(service.pages) + len(service.singles)
    await service.clock.advance(100)
    assert len(service.pages) + len(service.singles) == before
    await service.poller.aclose()


async def test_a_pause_that_the_service_asks_for_is_kept_by_the_row() -> None:
    """Fault 13."""
    service = Service(*[60.0] * 50)
    waits = service.waits()
    await service.clock.advance(10)
    service.failure = RateLimitError("slower", retryable=True, retry_after_s=30)
    await service.clock.advance(1)
    service.failure = None
    asked = len(service.pages) + len(service.singles)
    await service.clock.advance(28)
    assert len(service.pages) + len(service.singles) == asked
    await service.clock.advance(40)
    assert all(wait.done() for wait in waits)
    await service.poller.aclose()


async def test_a_pause_holds_back_what_was_due_already() -> None:
    """Fault 13."""
    service = Service(*[60.0] * 200)
    service.unlisted = set(service.ends_at)
    service.single_failure = RateLimitError("slower", retryable=True, retry_after_s=60)
    waits = service.waits()
    await service.clock.advance(50)
    assert len(service.singles) <= PollPolicy().parallel
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_a_task_that_ends_while_it_waits_for_a_page_counts_no_more() -> None:
    """Or the one that is left would be asked about as often as pages are asked for."""
    service = Service(*[300.0] * 20)
    service.launched_at = service.clock.now() - timedelta(seconds=300)
    tasks = [service.poller.track(name, None) for name in service.ends_at]
    ends: list[TaskSnapshot | None] = []
    for task in tasks:
        service.poller.follow(task, ends.append)
    await service.clock.advance(10)
    for task in tasks[1:]:
        service.poller.learn(task, service.snapshot(task.task_id or "", 300.0))
    pages, singles = len(service.pages), len(service.singles)
    await service.clock.advance(280)
    assert len(ends) == 19
    assert len(service.pages) - pages <= 1
    assert len(service.singles) - singles <= 60
    await service.poller.aclose()


async def test_a_task_that_is_known_apart_by_both_its_ids_costs_no_more() -> None:
    service = Service(*[60.0] * 10)
    waits = service.waits()
    twin = service.poller.track(None, "order-3")
    twin.task_id = "t3"  # as its first answer told
    task = EffectTask(twin, service.poller)
    waits.append(asyncio.ensure_future(task.result()))
    await service.clock.advance(50)
    assert service.singles.count("t3") <= 5  # the checks
    await service.clock.advance(15)
    assert all(wait.done() and not wait.exception() for wait in waits)
    await service.poller.aclose()


async def test_whoever_waits_again_is_on_the_next_page() -> None:
    service = Service(*[30.0] * 50)
    waits = service.waits()
    await service.clock.advance(10)
    waits[0].cancel()
    await service.clock.settle()
    waits[0] = service.waits()[0]
    await service.clock.advance(22)
    assert all(wait.done() for wait in waits)
    assert len(service.singles) <= 10  # the checks
    await service.poller.aclose()


async def test_a_page_that_takes_longer_than_the_rhythm_is_waited_for() -> None:
    service = Service(*[30.0] * 50)
    service.page_takes_s = 4.0
    await finished(service, 45)
    assert len(service.pages) <= 14


async def test_tasks_that_wait_for_a_page_are_queried_when_the_list_goes() -> None:
    service = Service(*[40.0] * 50)
    waits = service.waits()
    await service.clock.advance(10)
    before = len(service.pages)
    service.failure = AuthenticationError("lists are not for you any more", code=1103)
    await service.clock.advance(36)
    assert all(wait.done() and not wait.exception() for wait in waits)
    assert len(service.pages) - before <= 3
    await service.poller.aclose()


async def test_a_task_queried_just_before_a_page_is_not_polled_again_at_once() -> None:
    service = Service(*[60.0] * 4)
    waits = service.waits()
    await service.clock.advance(10)
    waits.pop().cancel()  # now they are too few for a page
    service.poller.list_breaker.next_at = service.clock.monotonic() + 1e-15
    before = len(service.singles)
    await service.clock.advance(10)
    assert len(service.singles) - before <= 3 * 12
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_no_page_is_asked_while_nothing_can_have_ended() -> None:
    service = Service(*[30.0] * 20)
    for _ in range(8):
        service.poller.history.learn("", seen_s=30.5, seen_running_s=29.5, stated_s=30.0)
    waits = service.waits()
    await service.clock.advance(27)
    assert len(service.pages) == 1  # the first look: it could have ended long ago
    await service.clock.advance(5)
    assert all(wait.done() for wait in waits)
    await service.poller.aclose()


async def test_a_few_tasks_are_asked_about_singly() -> None:
    service = Service(3, 3, 3)
    await finished(service, 5)
    assert service.pages == []


async def test_what_a_page_does_not_show_is_asked_about_singly() -> None:
    service = Service(*[5.0] * 20)
    service.unlisted = {"t3"}
    await finished(service, 8)
    assert set(service.singles) >= {"t3"}
    assert service.poller.list_breaker.is_usable


async def test_more_than_one_page_is_read_where_more_tasks_are_due() -> None:
    service = Service(*[5.0] * 1200)
    await finished(service, 10)
    assert len(service.singles) < 100


@pytest.mark.parametrize("has_times", [True, False])
async def test_pages_are_read_on_past_newer_tasks_of_others(has_times: bool) -> None:
    """Fault 81: more than 500 newer tasks in the list than the one waited for."""
    service = Service(*[30.0] * 20)
    service.older, service.newer, service.has_times = 10_000, 1_300, has_times
    await finished(service, 40)
    assert service.poller.list_breaker.is_usable
    assert len(service.singles) <= 12  # the checks
    assert len(service.pages) <= 3 * 42


async def test_a_reading_ends_where_everything_is_older_than_the_oldest_of_ours() -> None:
    service = Service(*[30.0] * 20)
    service.older, service.has_times = 10_000, True
    service.unlisted = {f"t{number}" for number in range(5)}
    waits = service.waits()
    await service.clock.advance(5)  # the single answers told when those five were created
    before = len(service.pages)
    await service.clock.advance(5)
    at_once = [time for time in service.pages[before:] if service.pages.count(time) > 1]
    assert len(at_once) == 2 * len(set(at_once))  # one page behind theirs, and no more
    await service.clock.advance(30)
    assert all(wait.done() and not wait.exception() for wait in waits)
    await service.poller.aclose()


async def test_tasks_too_far_down_for_so_few_cost_no_endless_pages_and_no_trust() -> None:
    service = Service(*[300.0] * 8)
    service.newer, service.older, service.has_times = 20_000, 10_000, True
    waits = service.waits()
    await service.clock.advance(100)
    assert service.poller.list_breaker.is_usable
    assert len(service.pages) <= 3 * 40
    assert len(service.singles) <= 8 * 40
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_a_list_that_gives_the_same_page_again_and_again_is_read_to_its_end() -> None:
    service = Service(*[8.0] * 1_200)
    full_page = service.page

    async def first_page(
        _number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        return await full_page(1, size, wanted)

    service.poller = Poller(
        PolledService(service.one, first_page),
        policy=PollPolicy(),
        clock=service.clock,
        rng=lambda: 0.5,
    )
    await finished(service, 30)
    assert max(service.pages.count(time) for time in service.pages) == 2  # the second tells it
    assert len(service.singles) <= 700 * 10  # as without a list


async def test_a_task_that_ends_between_a_page_and_its_check_proves_nothing() -> None:
    service = Service(*[20.0 + number / 10 for number in range(300)])
    service.single_takes_s = 0.4  # long enough for ends to fall between
    waits = service.waits()
    for number, name in enumerate(service.ends_at):  # the oldest, which is checked, ends next
        service.poller.track(name, None).began_at = number / 1e6
    await service.clock.advance(60)
    assert all(wait.done() and not wait.exception() for wait in waits)
    assert service.poller.list_breaker.is_usable
    assert len(service.singles) <= 30
    await service.poller.aclose()


async def test_a_slow_list_is_not_read_many_times_at_once() -> None:
    service = Service(*[3000.0] * 300)
    service.page_takes_s = 6.0
    waits = []
    for name in service.ends_at:  # one after the other, so that some are due at any time
        waits.append(service.wait(name))
        await service.clock.advance(0.1)
    later = [time for time in service.pages if time > 7]  # the first reading told how slow it is
    assert max(sum(1 for time in later if end - 6 < time <= end) for end in later) <= 4
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_a_reading_of_many_pages_is_not_overtaken_by_others() -> None:
    service = Service(*[3000.0] * 1_500)
    service.has_times, service.newer, service.page_takes_s = True, 3_000, 0.4
    waits = [service.wait(name) for name in list(service.ends_at)[:1_400]]
    for name in list(service.ends_at)[1_400:]:
        await service.clock.advance(0.03)
        waits.append(service.wait(name))
    assert max(service.pages.count(time) for time in service.pages) == 1
    assert len(service.pages) <= 9
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_a_list_that_is_missing_is_asked_once() -> None:
    service = Service(*[5.0] * 20)
    service.failure = InvalidRequestError("no such path", http_status=404)
    await finished(service, 8)
    assert len(service.pages) == 1


async def test_what_a_failed_page_leaves_is_asked_about_once_each() -> None:
    service = Service(*[5.0] * 20)
    service.failure = InvalidRequestError("no such path", http_status=404)
    waits = service.waits()
    await service.clock.advance(0.1)
    assert sorted(service.singles) == sorted(service.ends_at)
    await service.clock.advance(10)
    assert all(wait.done() for wait in waits)
    await service.poller.aclose()


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("no right to this path", http_status=403, code=1103),
        AccountError("no right to a list", http_status=403),
        ValueError("a fault of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_list_that_is_rejected_ends_no_wait(error: Exception) -> None:
    service = Service(*[5.0] * 20)
    await service.clock.advance(1)
    service.failure = error
    await finished(service, 12)


async def test_a_list_that_is_always_throttled_is_found_out() -> None:
    service = Service(*[20.0] * 10)
    service.failure = RateLimitError("slowly", http_status=429, retry_after_s=2.0, retryable=True)
    await finished(service, 90)
    assert not service.poller.list_breaker.is_usable


async def test_one_garbled_page_does_not_turn_the_list_off() -> None:
    service = Service(*[20.0] * 20)
    waits = service.waits()
    await service.clock.advance(5)
    service.failure = ReplyError("HTTP 200 with text/html instead of JSON")
    await service.clock.advance(1)
    service.failure = None
    await service.clock.advance(20)
    assert all(wait.done() for wait in waits)
    assert service.poller.list_breaker.is_usable
    await service.poller.aclose()


async def test_a_list_that_was_left_alone_gets_another_chance() -> None:
    service = Service(*[3000.0] * 20)
    service.failure = InvalidRequestError("no such path", http_status=404)
    waits = service.waits()
    await service.clock.advance(500)
    assert len(service.pages) == 1
    service.failure = None
    await service.clock.advance(200)
    assert len(service.pages) > 1
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_a_stale_list_is_found_out_while_the_oldest_task_really_runs() -> None:
    service = Service(3000.0, *[20.0 + number for number in range(20)])
    service.stale_by_s = 1000.0
    waits = service.waits()
    service.poller.track("t0", None).began_at = -0.5
    await service.clock.advance(200)
    assert [wait.done() for wait in waits] == [False] + [True] * 20
    waits[0].cancel()
    await service.poller.aclose()


async def test_nobody_is_queued_twice_while_single_answers_are_slow() -> None:
    service = Service(*[60.0] * 200)
    service.unlisted = {f"t{number}" for number in range(40)}
    service.single_takes_s = 20.0
    waits = service.waits()
    await service.clock.advance(50)
    assert len(service.singles) <= 40 * 3 + 20
    for wait in waits:
        wait.cancel()
    await service.poller.aclose()


async def test_a_check_that_hangs_holds_up_nobody_else() -> None:
    service = Service(*[5.0] * 20)
    service.hung = {"t0"}
    waits = service.waits()
    await service.clock.advance(10)
    assert [wait.done() for wait in waits] == [False] + [True] * 19
    await service.poller.aclose()
    with pytest.raises(ClientClosedError):
        await waits[0]


async def test_a_list_that_hangs_is_not_waited_for_again_and_again() -> None:
    service = Service(*[5.0] * 20)
    service.failure = RequestTimeoutError("no answer within 20 s", sent=True)
    await finished(service, 30)
    assert not service.poller.list_breaker.is_usable
    assert len(service.pages) == 2


async def test_a_list_that_fails_for_a_moment_is_requested_again() -> None:
    service = Service(*[5.0] * 20)
    service.failure = ServiceError("busy", http_status=503, retryable=True)
    waits = service.waits()
    await service.clock.advance(1.5)
    service.failure = None
    await service.clock.advance(8)
    assert all(wait.done() for wait in waits)
    assert service.poller.list_breaker.is_usable
    await service.poller.aclose()


async def test_a_list_that_shows_nothing_of_ours_is_found_out() -> None:
    service = Service(*[8.0] * 20)
    service.unlisted = set(service.ends_at)
    await finished(service, 12)
    assert not service.poller.list_breaker.is_usable
    assert len(service.pages) <= 3


async def test_a_list_that_is_behind_is_found_out_and_ends_are_seen_all_the_same() -> None:
    service = Service(*[10 + number / 2 for number in range(200)])
    service.stale_by_s = 1000.0
    waits = service.waits()
    await service.clock.advance(200)
    assert not service.poller.list_breaker.is_usable
    assert all(wait.done() for wait in waits)
    await service.poller.aclose()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=(20.0, 40.0), seed=1) as running:
        yield running


async def run_all(client: EffectsClient, number: int) -> None:
    effects = [
        SingleImageEffect("squish", image=f"https://img.example/{n}.jpg") for n in range(number)
    ]
    async for outcome in client.run_many(effects, run="test"):
        assert outcome.effect in effects


@pytest.mark.looptime
async def test_a_whole_batch_costs_less_than_two_requests_a_task(emulator: Emulator) -> None:
    async with emulator.client() as client:
        await run_all(client, 100)
    assert emulator.requests["submit"] == 100
    assert emulator.requests["query"] + emulator.requests["list"] < 90


@pytest.mark.looptime
async def test_a_gateway_without_a_list_is_found_out_by_its_html_page() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=5.0, lists_tasks=False) as emulator,
        emulator.client() as client,
    ):
        await run_all(client, 30)
        assert emulator.requests["list"] == 1


@pytest.mark.looptime
async def test_a_page_that_fails_loses_no_task(emulator: Emulator) -> None:
    async with emulator.client() as client:
        emulator.fail_next(Fault.answer(503, b"{}", on="list"), times=2)
        await run_all(client, 30)
    assert emulator.ledger.total == 30


async def test_a_page_says_how_old_the_tasks_of_an_earlier_process_are() -> None:
    service = Service(*[900.0] * 60)
    service.has_times = True
    service.launched_at = service.clock.now() - timedelta(seconds=300)
    tasks = [service.poller.track(name, None) for name in service.ends_at]
    waits = [asyncio.ensure_future(EffectTask(t, service.poller).result()) for t in tasks]
    await service.clock.advance(5)
    assert set(service.singles) <= {"t0"}  # the others were seen on pages alone
    ages_s = [service.clock.monotonic() - task.began_at for task in tasks]
    assert ages_s == [pytest.approx(305 - number) for number in range(60)]
    await service.poller.aclose()
    await asyncio.gather(*waits, return_exceptions=True)
