"""The engine on a clock that is turned by hand: who is asked, when, and what ends a wait."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from attrs import evolve

from kling_effects_async import BearerToken, EffectsClient, Service
from kling_effects_async.errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    ClientClosedError,
    EffectRejectedError,
    InvalidRequestError,
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ResultMissingError,
    ServiceError,
    TaskFailedError,
    TaskNotFoundError,
    TaskTimeoutError,
    TlsError,
)
from kling_effects_async.models import EffectResult, TaskSnapshot, TaskStatus, Video
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.polling.tracked_task import TrackedTask
from tests.support.polled_service import PolledService, QuickClock

VIDEO = Video(url="https://v.example/o.mp4")
Answer = TaskSnapshot | Exception | None


def snapshot(status: TaskStatus, word: str = "", message: str = "") -> TaskSnapshot:
    videos = (VIDEO,) if status is TaskStatus.SUCCEEDED else ()
    raw = word or status.value
    return TaskSnapshot(task_id="t1", status=status, raw_status=raw, message=message, videos=videos)


SUBMITTED = snapshot(TaskStatus.SUBMITTED)
PROCESSING = snapshot(TaskStatus.PROCESSING)
SUCCEEDED = snapshot(TaskStatus.SUCCEEDED)
FAILED = snapshot(TaskStatus.FAILED, message="Image pixel is invalid")
NO_VIDEO = TaskSnapshot(task_id="t1", status=TaskStatus.SUCCEEDED, raw_status="succeed")


class Desk:
    """A poller with a scripted service behind it: the last answer is repeated for ever."""

    def __init__(self, *answers: Answer, **policy: float) -> None:
        self.clock = QuickClock()
        self.answers = list(answers)
        self.asked_at: list[float] = []
        self.poller = Poller(
            PolledService(self.fetch),
            policy=PollPolicy(**policy),  # type: ignore[arg-type]  # `parallel` is given as an int
            clock=self.clock,
            rng=lambda: 0.5,
        )

    async def fetch(self, task_id: str) -> TaskSnapshot:
        self.asked_at.append(self.clock.monotonic())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.Event().wait()  # an answer that never comes
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    def task(self, task_id: str = "t1") -> EffectTask:
        return EffectTask(self.poller.track(task_id, None), self.poller)

    async def after(self, seconds: float, waiting: Awaitable[EffectResult]) -> EffectResult:
        """The result, if it is there after so many seconds."""
        running = asyncio.ensure_future(waiting)
        await self.clock.advance(seconds)
        if not running.done():
            running.cancel()
            raise AssertionError(f"still waiting after {seconds} s")
        return await running


@pytest.fixture
async def desks() -> AsyncIterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(*answers: Answer, **policy: float) -> Desk:
        made.append(Desk(*answers, **policy))
        return made[-1]

    yield make
    for desk in made:
        await desk.poller.aclose()


Desks = Callable[..., Desk]


async def test_a_wait_ends_with_the_videos(desks: Desks) -> None:
    desk = desks(SUBMITTED, PROCESSING, SUCCEEDED)
    result = await desk.after(10, desk.task().result())
    assert result.video == VIDEO


async def test_a_failed_task_raises_with_the_services_reason(desks: Desks) -> None:
    desk = desks(FAILED)
    with pytest.raises(TaskFailedError, match="task t1 failed: Image pixel is invalid"):
        await desk.after(1, desk.task().result())


async def test_nothing_is_asked_before_somebody_waits(desks: Desks) -> None:
    desk = desks(PROCESSING)
    desk.task()
    await desk.clock.advance(100)
    assert desk.asked_at == []


async def test_a_second_waiter_does_not_poll_again(desks: Desks) -> None:
    desk = desks(PROCESSING, PROCESSING, SUCCEEDED)
    task = desk.task()
    both = asyncio.gather(task, task)
    await desk.clock.advance(10)
    first, second = await both
    assert first == second
    assert len(desk.asked_at) == 3


async def test_an_ended_task_can_be_awaited_again_for_free(desks: Desks) -> None:
    desk = desks(SUCCEEDED)
    task = desk.task()
    first = await desk.after(1, task.result())
    assert await task == first
    assert len(desk.asked_at) == 1


async def test_iteration_yields_changes_only_and_ends_with_the_final_one(desks: Desks) -> None:
    desk = desks(SUBMITTED, SUBMITTED, PROCESSING, PROCESSING, SUCCEEDED)
    seen = []

    async def iterate() -> None:
        async for change in desk.task():
            seen.append(change.status)

    running = asyncio.create_task(iterate())
    await desk.clock.advance(20)
    await running
    assert seen == [TaskStatus.SUBMITTED, TaskStatus.PROCESSING, TaskStatus.SUCCEEDED]


async def test_a_late_iterator_is_told_every_change_from_the_start(desks: Desks) -> None:
    desk = desks(SUBMITTED, PROCESSING, SUCCEEDED)
    task = desk.task()
    await desk.after(10, task.result())
    assert [change.status.value async for change in task] == [
        "submitted",
        "processing",
        "succeeded",
    ]


async def test_cancelling_a_waiter_leaves_the_others_and_the_task_alone(desks: Desks) -> None:
    """Fault 33: cancel while waiting for a result."""
    desk = desks(PROCESSING, PROCESSING, SUCCEEDED)
    task = desk.task()
    leaving = asyncio.ensure_future(task.result())
    staying = asyncio.ensure_future(task.result())
    await desk.clock.advance(0.5)
    leaving.cancel()
    await desk.clock.advance(10)
    assert leaving.cancelled()
    assert (await staying).task_id == "t1"


async def test_nobody_waiting_means_nobody_asking(desks: Desks) -> None:
    desk = desks(PROCESSING)
    waiting = asyncio.ensure_future(desk.task().result())
    await desk.clock.advance(5)
    waiting.cancel()
    await desk.clock.settle()
    asked = len(desk.asked_at)
    await desk.clock.advance(1000)
    assert len(desk.asked_at) == asked


async def test_the_deadline_ends_a_wait_and_says_how_to_go_on(desks: Desks) -> None:
    """Fault 41: the task never ends."""
    desk = desks(PROCESSING, deadline_s=60)
    with pytest.raises(TaskTimeoutError, match=r"did not end within 60 s .*attach\(\)") as caught:
        await desk.after(60, desk.task().result())
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.task_id == "t1"


async def test_the_deadline_holds_against_a_request_that_hangs(desks: Desks) -> None:
    desk = desks(None, deadline_s=60)
    with pytest.raises(TaskTimeoutError):
        await desk.after(60, desk.task().result())


async def test_the_deadline_holds_while_other_requests_hang(desks: Desks) -> None:
    desk = desks(None, deadline_s=60, parallel=1)
    first = asyncio.ensure_future(desk.task("t1").result())
    second = asyncio.ensure_future(desk.task("t2").result())
    await desk.clock.advance(60)
    assert isinstance(first.exception(), TaskTimeoutError)
    assert isinstance(second.exception(), TaskTimeoutError)
    assert len(desk.asked_at) == 1


async def test_a_wait_that_timed_out_may_be_begun_again(desks: Desks) -> None:
    desk = desks(PROCESSING, deadline_s=10)
    task = desk.task()
    with pytest.raises(TaskTimeoutError):
        await desk.after(10, task.result())
    desk.answers = [SUCCEEDED]
    assert (await desk.after(5, task.result())).task_id == "t1"


def again(message: str = "no", **members: float) -> ServiceError:
    return ServiceError(message, http_status=503, retryable=True, **members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([again()] * 3, id="503x3"),
        pytest.param([ServiceError("no", http_status=500, retryable=True)] * 3, id="500x3"),
        pytest.param([again()] * 8, id="503x8"),
        pytest.param([NetworkError("reset")], id="reset"),
        pytest.param([NetworkError("reset")] * 4, id="resetx4"),
        pytest.param([RateLimitError("slow", retryable=True, retry_after_s=3.0)], id="429"),
        pytest.param([TaskNotFoundError("early", retryable=True)], id="404"),
        pytest.param([ReplyError("an HTML page")], id="html"),
        pytest.param([snapshot(TaskStatus.UNKNOWN, "paused")], id="odd"),
        pytest.param([RequestTimeoutError("slow")], id="slow"),
    ],
)
async def test_passing_failures_never_ends_a_wait(desks: Desks, failures: list[Answer]) -> None:
    desk = desks(PROCESSING, *failures, SUCCEEDED)
    assert (await desk.after(200, desk.task().result())).task_id == "t1"


async def test_failures_without_a_break_ends_a_wait_after_its_span(desks: Desks) -> None:
    desk = desks(again(), max_outage_s=120)
    with pytest.raises(ServiceError):
        await desk.after(140, desk.task().result())
    assert desk.asked_at[-1] >= 120


async def test_one_good_answer_starts_the_span_of_failures_anew(desks: Desks) -> None:
    desk = desks(*[again()] * 9, PROCESSING, *[again()] * 9, SUCCEEDED, max_outage_s=120)
    assert (await desk.after(400, desk.task().result())).task_id == "t1"


async def test_a_pause_that_is_asked_for_is_kept_by_all_questions(desks: Desks) -> None:
    """Fault 13: wait at least Retry-After, plus jitter on top."""
    limited = RateLimitError("slow", retryable=True, retry_after_s=30.0)
    desk = desks(limited, SUCCEEDED)
    both = asyncio.gather(desk.task("t1").result(), desk.task("t2").result())
    await desk.clock.advance(0)
    desk.answers = [SUCCEEDED]
    await desk.clock.advance(40)
    await both
    assert all(moment >= 30 for moment in desk.asked_at[2:])


async def test_a_pause_beyond_the_deadline_ends_the_wait_at_once(desks: Desks) -> None:
    """Fault 14: Retry-After of 10^9 seconds."""
    desk = desks(RateLimitError("slow", retryable=True, retry_after_s=1e9))
    with pytest.raises(RateLimitError) as caught:
        await desk.after(0, desk.task().result())
    assert caught.value.retry_after_s == 1e9


async def test_a_wrong_key_ends_a_wait_at_once(desks: Desks) -> None:
    """Fault 16: key wrong."""
    desk = desks(AuthenticationError("bad key"))
    with pytest.raises(AuthenticationError):
        await desk.after(0, desk.task().result())
    assert len(desk.asked_at) == 1


@pytest.mark.parametrize(
    "rejection",
    [
        AccountError("nothing left", code=1102),
        InvalidRequestError("no such path", http_status=404),
        ApiError("busy", code=-1),
        TlsError("expired", sent=False),
    ],
    ids=lambda rejection: type(rejection).__name__,
)
async def test_no_rejection_of_a_poll_ends_the_wait_for_a_task_that_was_heard_of(
    desks: Desks, rejection: KlingEffectsError
) -> None:
    """Fault 79: the task is paid, whatever a poll is answered."""
    desk = desks(PROCESSING, rejection, rejection, SUCCEEDED)
    assert (await desk.after(200, desk.task().result())).task_id == "t1"


async def test_the_first_rejection_about_a_task_nobody_heard_of_ends_the_wait(desks: Desks) -> None:
    desk = desks(InvalidRequestError("no such path", http_status=404))
    with pytest.raises(InvalidRequestError):
        await desk.after(0, desk.task().result())


async def test_a_wrong_key_ends_the_wait_for_a_task_that_was_heard_of(desks: Desks) -> None:
    """Fault 16: key wrong, and no patience mends it."""
    desk = desks(PROCESSING, AuthenticationError("bad key"))
    with pytest.raises(AuthenticationError):
        await desk.after(30, desk.task().result())


async def test_a_task_that_stays_unknown_is_not_found_after_the_grace(desks: Desks) -> None:
    """Fault 40: 404 on poll right after submit; later: TaskNotFound."""
    desk = desks(TaskNotFoundError("unknown", retryable=True), not_found_grace_s=30)
    task = desk.task()
    desk.poller.follow(desk.poller.track("t1", None), lambda _final: None)
    with pytest.raises(TaskNotFoundError):
        await desk.after(31, task.result())
    assert desk.asked_at[-1] == pytest.approx(30, abs=0.01)


async def test_an_unknown_task_that_nobody_here_submitted_is_given_up_sooner(desks: Desks) -> None:
    """Fault 40: with a grace of its own, and with what was heard."""
    words = "Task not found by id: t1"
    rejection = TaskNotFoundError(words, http_status=400, code=1201, retryable=True)
    desk = desks(rejection)
    with pytest.raises(TaskNotFoundError) as caught:
        await desk.after(10, desk.task().result())
    asked = len(desk.asked_at)
    assert desk.asked_at[-1] == pytest.approx(8, abs=0.01)
    assert str(caught.value) == (
        f"the service does not know task t1: polled {asked} times in 8 s, "
        f"it last said: {words} (HTTP 400, code 1201)"
    )
    assert caught.value.message == words
    assert rejection.polls == 0


def learned(desk: Desk, length_s: float) -> None:
    """Tasks of the scene took so long, each of the last ten."""
    for _ in range(10):
        seen = {"seen_s": length_s + 0.5, "seen_running_s": length_s - 0.5, "stated_s": length_s}
        desk.poller.history.learn("squish", **seen)


async def test_a_task_of_an_earlier_process_is_polled_when_its_end_is_due(desks: Desks) -> None:
    """Its age counts from its acceptance, and not from the restart."""
    desk = desks(PROCESSING)
    learned(desk, 60.0)
    task = desk.poller.track("t1", None, scene="squish")
    desk.poller.began(task, desk.clock.now() - timedelta(seconds=50))
    waiting = asyncio.ensure_future(EffectTask(task, desk.poller).result())
    await desk.clock.advance(20)
    waiting.cancel()
    first, second, *_ = desk.asked_at
    assert first == pytest.approx(0, abs=0.1)
    assert second == pytest.approx(7, abs=1.5)  # 57 s of age, and not 57 s from now


@pytest.mark.parametrize("age_s", [50.0, -3600.0])
async def test_the_service_says_how_old_an_attached_task_is(desks: Desks, age_s: float) -> None:
    """A time that is still to come, by this machine's clock, says nothing."""
    desk = desks(PROCESSING)
    desk.answers = [evolve(PROCESSING, created_at=desk.clock.now() - timedelta(seconds=age_s))]
    learned(desk, 60.0)
    task = EffectTask(desk.poller.track("t1", None, scene="squish"), desk.poller)
    waiting = asyncio.ensure_future(task.result())
    await desk.clock.advance(70)
    waiting.cancel()
    assert desk.asked_at[1] == pytest.approx(7 if age_s > 0 else 57, abs=1.5)


async def test_the_age_of_a_task_that_is_followed_from_its_submit_is_not_touched(
    desks: Desks,
) -> None:
    desk = desks(PROCESSING)
    task = desk.poller.track("t1", None, scene="squish")
    task.is_whole = True
    desk.poller.began(task, desk.clock.now() - timedelta(seconds=50))
    assert task.began_at == desk.clock.monotonic()


async def test_a_scene_that_is_told_later_is_the_schedule_s(desks: Desks) -> None:
    poller = desks(PROCESSING).poller
    attached = poller.track("t1", None)
    assert poller.track("t1", "order-1", scene="squish") is attached
    assert attached.scene == "squish"


async def test_a_deadline_before_the_grace_says_that_the_task_is_unknown(desks: Desks) -> None:
    desk = desks(TaskNotFoundError("unknown", retryable=True), deadline_s=3)
    with pytest.raises(TaskNotFoundError, match=r"polled 3 times in 3 s, it last said: unknown"):
        await desk.after(3, desk.task().result())


async def test_a_task_that_was_heard_of_may_be_unknown_for_as_long_as_ours(desks: Desks) -> None:
    desk = desks(PROCESSING, *[TaskNotFoundError("unknown", retryable=True)] * 6, SUCCEEDED)
    assert (await desk.after(60, desk.task().result())).task_id == "t1"
    assert 8 < desk.asked_at[-1] < 32


async def test_no_wait_for_a_task_of_ours_ends_on_a_rejection_before_an_answer(
    desks: Desks,
) -> None:
    """Fault 79: the journal knows that it is paid."""
    desk = desks(InvalidRequestError("blocked", http_status=403), SUCCEEDED)
    desk.poller.follow(desk.poller.track("t1", None), lambda _final: None)
    assert (await desk.after(30, desk.task().result())).task_id == "t1"


async def test_success_without_a_video_is_asked_again(desks: Desks) -> None:
    """Fault 38: `succeed` with no video."""
    desk = desks(NO_VIDEO, NO_VIDEO, SUCCEEDED)
    assert (await desk.after(10, desk.task().result())).video == VIDEO


async def test_success_that_stays_without_a_video_is_not_called_failed(desks: Desks) -> None:
    """Fault 38: then ResultMissing; not "failed"."""
    desk = desks(NO_VIDEO, result_grace_s=30)
    with pytest.raises(ResultMissingError, match="names no video"):
        await desk.after(60, desk.task().result())


async def test_a_failure_without_a_reason_says_so(desks: Desks) -> None:
    """Fault 39: `failed` with no message."""
    desk = desks(snapshot(TaskStatus.FAILED))
    with pytest.raises(TaskFailedError, match="the service gave no reason"):
        await desk.after(0, desk.task().result())


async def test_an_unknown_word_is_warned_of_once(
    desks: Desks, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 36: unknown `task_status`."""
    odd = snapshot(TaskStatus.UNKNOWN, "paused")
    desk = desks(odd, odd, odd, SUCCEEDED)
    with caplog.at_level(logging.WARNING):
        await desk.after(30, desk.task().result())
    assert [r.getMessage() for r in caplog.records] == ["unknown task status 'paused': waiting on"]


@pytest.mark.parametrize("slept_s", [35, 600, 7200])
async def test_a_machine_that_slept_ends_no_wait(desks: Desks, slept_s: float) -> None:
    """Fault 64: the laptop sleeps and wakes, long or short."""
    desk = desks(PROCESSING, deadline_s=40)
    waiting = asyncio.ensure_future(desk.task().result())
    await desk.clock.advance(10)
    desk.answers = [SUCCEEDED]
    desk.clock.jump(slept_s)
    await desk.clock.advance(0)
    assert (await waiting).task_id == "t1"


async def test_a_loop_that_was_busy_for_a_moment_gets_no_time_back(desks: Desks) -> None:
    """Fault 64: a deadline is not put off by every hiccup."""
    desk = desks(PROCESSING, deadline_s=40)
    waiting = asyncio.ensure_future(desk.task().result())
    for _ in range(3):
        await desk.clock.advance(1)
        desk.clock.jump(12)
    await desk.clock.advance(2)
    with pytest.raises(TaskTimeoutError):
        await waiting


async def test_time_given_back_is_not_lost_at_the_next_change(desks: Desks) -> None:
    desk = desks(SUBMITTED, deadline_s=600)
    waiting = asyncio.ensure_future(desk.task().result())
    await desk.clock.advance(10)
    desk.answers = [PROCESSING]
    desk.clock.jump(7200)
    await desk.clock.advance(300)
    assert not waiting.done()
    desk.answers = [SUCCEEDED]
    await desk.clock.advance(60)
    assert (await waiting).task_id == "t1"


async def test_tasks_that_ended_are_forgotten(desks: Desks) -> None:
    desk = desks(SUCCEEDED, parallel=1000)
    tracked_tasks: weakref.WeakSet[TrackedTask] = weakref.WeakSet()
    for number in range(1000):
        tracked = desk.poller.track(f"t{number}", None)
        desk.poller.follow(tracked, lambda _final: None)
        tracked_tasks.add(tracked)
    del tracked
    await desk.clock.advance(60)
    gc.collect()
    assert len(tracked_tasks) < 300  # the timetables may hold a few entries that count no more


async def test_an_id_of_no_task_is_rejected_before_it_is_asked_for() -> None:
    async with EffectsClient(
        BearerToken("test-key"), service=Service.gateway("https://a.example")
    ) as one:
        with pytest.raises(EffectRejectedError, match="task_id must be an id"):
            one.attach("")


async def test_closing_fails_every_open_wait_with_a_clear_error(desks: Desks) -> None:
    desk = desks(PROCESSING)
    waits = [asyncio.ensure_future(desk.task(f"t{n}").result()) for n in range(3)]
    await desk.clock.advance(3)
    await desk.poller.aclose()
    for wait in waits:
        with pytest.raises(ClientClosedError, match=r"attach\(\) to it with an open client"):
            await wait


async def test_closing_while_a_question_hangs_leaves_no_asyncio_task(desks: Desks) -> None:
    desk = desks(None)
    wait = asyncio.ensure_future(desk.task().result())
    await desk.clock.advance(1)
    await desk.poller.aclose()
    with pytest.raises(ClientClosedError):
        await wait
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_fault_of_ours_reaches_who_waits(desks: Desks) -> None:
    desk = desks(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await desk.after(0, desk.task().result())


async def test_questions_under_way_are_bounded(desks: Desks) -> None:
    desk = desks(None, parallel=4)
    waits = [asyncio.ensure_future(desk.task(f"t{n}").result()) for n in range(20)]
    await desk.clock.advance(1)
    assert len(desk.asked_at) == 4
    for wait in waits:
        wait.cancel()


async def test_refresh_asks_at_once_and_ends_the_waits(desks: Desks) -> None:
    desk = desks(PROCESSING)
    task = desk.task()
    waiting = asyncio.ensure_future(task.result())
    await desk.clock.advance(0)
    desk.answers = [SUCCEEDED]
    assert (await task.refresh()).status is TaskStatus.SUCCEEDED
    assert (await waiting).task_id == "t1"
    assert len(desk.asked_at) == 2


async def test_the_pace_follows_the_age_up_to_the_ceiling(desks: Desks) -> None:
    """Fault 41: a task without an end costs ever fewer polls."""
    desk = desks(PROCESSING, deadline_s=1000, shortest_s=1, max_interval_s=15)
    with pytest.raises(TaskTimeoutError):
        await desk.after(1000, desk.task().result())
    pauses = [b - a for a, b in zip(desk.asked_at, desk.asked_at[1:], strict=False)]
    assert pauses[0] == pytest.approx(1)
    assert pauses[-1] == pytest.approx(15)
    assert [round(pause, 6) for pause in pauses] == sorted(round(pause, 6) for pause in pauses)
    assert len(pauses) < 110


async def test_errors_are_delivered_to_waiters_only(desks: Desks) -> None:
    """Fault 35: one job's error is its own."""
    desk = desks(PROCESSING)

    async def fetch(task_id: str) -> TaskSnapshot:
        if task_id == "bad":
            raise AuthenticationError("no")
        return SUCCEEDED

    poller = Poller(PolledService(fetch), policy=PollPolicy(), clock=desk.clock, rng=lambda: 0.5)
    good = EffectTask(poller.track("good", None), poller)
    bad = EffectTask(poller.track("bad", None), poller)
    done = asyncio.gather(good, bad, return_exceptions=True)
    await desk.clock.advance(1)
    result, error = await done
    assert isinstance(result, EffectResult)
    assert isinstance(error, KlingEffectsError)
    await poller.aclose()
    gc.collect()  # an exception nobody fetched would be reported here


async def test_a_fault_of_ours_about_a_held_task_is_not_met_again_at_once() -> None:
    desk = Desk(RuntimeError("Session is closed"))
    desk.poller.follow(tracked := desk.poller.track("t1", None), lambda _final: None)
    await desk.clock.advance(60)
    assert tracked.is_followed
    assert len(desk.asked_at) <= 1 + 60 / PollPolicy().max_interval_s
    await desk.poller.aclose()
