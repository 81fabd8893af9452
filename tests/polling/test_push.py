"""While ends are announced, polls are a safety net; once they are not, polls come as before."""

from __future__ import annotations

import asyncio

import pytest

from kling_effects_async import CallbackMessage, CallbackVerdict
from kling_effects_async.models import TaskSnapshot, TaskStatus, Video
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.announcements import Announcements
from kling_effects_async.polling.hints import HintLimiter
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.push import PushTrust, slow_poll_at
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.polling.tracked_task import NEVER, TrackedTask
from kling_effects_async.protocol.messages import Listed
from tests.support.polled_service import PolledService, QuickClock

VIDEO = Video(url="https://v.example/o.mp4")
LENGTH_S = 100.0


def snapshot(task_id: str, status: TaskStatus) -> TaskSnapshot:
    videos = (VIDEO,) if status is TaskStatus.SUCCEEDED else ()
    return TaskSnapshot(task_id=task_id, status=status, raw_status=status.value, videos=videos)


class Service:
    """Tasks of a hundred seconds, whose ends are announced or not; polls are counted."""

    def __init__(self, *, has_list: bool = False) -> None:
        self.clock = QuickClock()
        self.began_at: dict[str, float] = {}
        self.polled_at: list[float] = []
        self.poller = Poller(
            PolledService(self.one, self.page if has_list else None),
            policy=PollPolicy(),
            clock=self.clock,
            rng=lambda: 0.5,
        )

    def now_of(self, task_id: str) -> TaskSnapshot:
        is_over = self.clock.monotonic() - self.began_at[task_id] >= LENGTH_S
        return snapshot(task_id, TaskStatus.SUCCEEDED if is_over else TaskStatus.PROCESSING)

    async def one(self, task_id: str) -> TaskSnapshot:
        self.polled_at.append(self.clock.monotonic())
        return self.now_of(task_id)

    async def page(self, number: int, size: int, wanted: object) -> Listed:
        self.polled_at.append(self.clock.monotonic())
        tasks = [self.now_of(name) for name in self.began_at] if number == 1 else []
        return Listed(tasks=tasks, shown=len(tasks))

    def start(self, name: str) -> TrackedTask:
        """A task that was just accepted, with our address for its changes."""
        self.began_at[name] = self.clock.monotonic()
        tracked = self.poller.track(name, None, scene="squish")
        tracked.is_announced = True
        self.poller.learn(tracked, snapshot(name, TaskStatus.SUBMITTED))
        self.poller.follow(tracked, lambda final: None)
        return tracked

    def say(self, name: str, *, is_signed: bool = True) -> bool:
        """The message about its end comes in."""
        verdict = CallbackVerdict.SIGNED if is_signed else CallbackVerdict.UNSIGNED
        claim = snapshot(name, TaskStatus.SUCCEEDED)
        announcements = Announcements(self.poller, harmless=lambda said: said)
        return announcements.take(CallbackMessage(snapshot=claim, verdict=verdict))

    async def polls_of(self, name: str, *, says: bool, is_signed: bool = True) -> int:
        """How many polls one task takes from its submit to its end."""
        before = len(self.polled_at)
        tracked = self.start(name)
        await self.clock.advance(LENGTH_S)
        if says:
            self.say(name, is_signed=is_signed)
        await self.clock.advance(130)
        assert tracked.is_over
        return len(self.polled_at) - before


@pytest.mark.parametrize("has_list", [False, True], ids=["no list", "list"])
async def test_after_three_announced_ends_a_task_is_polled_once_a_minute(has_list: bool) -> None:
    service = Service(has_list=has_list)
    polls = [await service.polls_of(f"t{n}", says=True) for n in range(5)]
    assert min(polls[:3]) > 8
    assert polls[3:] == [1, 1]
    await service.poller.aclose()


async def test_pages_are_read_twice_a_minute_while_ends_are_announced() -> None:
    """All tasks under way share them, whenever they began."""
    service = Service(has_list=True)
    for number in range(3):
        await service.polls_of(f"t{number}", says=True)
    names = [f"many{number}" for number in range(40)]
    for name in names:
        service.start(name)
        await service.clock.advance(1)
    before = len(service.polled_at)
    await service.clock.advance(LENGTH_S - 40)
    for name in names:
        service.say(name)
        await service.clock.advance(1)
    assert len(service.polled_at) - before <= 8
    await service.poller.aclose()


async def test_where_none_is_announced_polls_are_what_they_are_without() -> None:
    """Fault 61: it never comes."""
    never, without = Service(), Service()
    for number in range(5):
        await never.polls_of(f"t{number}", says=False)
        without.start(f"t{number}").is_announced = False
        await without.clock.advance(LENGTH_S)
        await without.clock.advance(130)
    assert never.polled_at == without.polled_at
    for service in (never, without):
        await service.poller.aclose()


async def test_one_end_that_is_not_announced_makes_polls_usual_for_all() -> None:
    """Fault 61: it comes no more. Tasks under way are hurried too."""
    service = Service()
    for number in range(3):
        await service.polls_of(f"t{number}", says=True)
    lost = service.start("lost")
    await service.clock.advance(30)
    later = [service.start(f"later{number}") for number in range(3)]
    await service.clock.advance(95)  # "lost" ended 25 s ago, and is polled at 120 s of its age
    assert lost.is_over
    polls = len(service.polled_at)
    await service.clock.advance(11)  # otherwise they would be polled 25 s from now
    assert len(service.polled_at) >= polls + 3
    assert all(task.is_over for task in later)
    again = await service.polls_of("t9", says=True)
    assert again > 3
    await service.poller.aclose()


async def test_no_end_is_known_later_than_a_minute_after_it() -> None:
    """Fault 61: the safety net's bound, for the first message that is lost."""
    service = Service()
    for number in range(3):
        await service.polls_of(f"t{number}", says=True)
    tracked = service.start("lost")
    task = asyncio.ensure_future(EffectTask(tracked, service.poller).result())
    await service.clock.advance(LENGTH_S + 60)
    assert task.done()
    await service.poller.aclose()


async def test_a_message_shortly_after_a_poll_counts_for_it() -> None:
    """A poll may be quicker than a message on its way."""
    service = Service()
    for number in range(3):
        name = f"t{number}"
        tracked = service.start(name)
        for _ in range(40):
            await service.clock.advance(5)
            if tracked.is_over:
                break
        assert tracked.is_over
        assert service.say(name)
        await service.clock.advance(20)
    assert await service.polls_of("t9", says=True) == 1
    await service.poller.aclose()


async def test_unsigned_messages_slow_the_polls_too_where_they_are_true() -> None:
    """Each is confirmed by the poll that it causes."""
    service = Service()
    polls = [
        await service.polls_of(f"t{number}", says=True, is_signed=False) for number in range(5)
    ]
    assert min(polls[:3]) > 8
    assert polls[3:] == [2, 2]
    await service.poller.aclose()


async def test_ends_beyond_the_limit_of_hints_are_seen_at_the_usual_pace() -> None:
    """A hundred at once, all unsigned: fifty are polled for at once."""
    service = Service()
    for number in range(3):
        await service.polls_of(f"t{number}", says=True, is_signed=False)
    many = [service.start(f"many{number}") for number in range(100)]
    for _ in range(int(LENGTH_S)):  # in steps, as so many polls take many turns of the loop
        await service.clock.advance(1)
    for task in many:
        service.say(task.name, is_signed=False)
    for _ in range(5):
        await service.clock.settle()
    assert sum(task.is_over for task in many) == 50
    for _ in range(11):  # a tenth of their age, and not at 120 s
        await service.clock.advance(1)
    assert all(task.is_over for task in many)
    await service.poller.aclose()


async def test_a_false_claim_never_slows_a_poll() -> None:
    """Fault 59: a forged end of a task that runs; without the minute its real end is seen."""
    service = Service()
    for number in range(3):
        await service.polls_of(f"t{number}", says=True)
    tracked = service.start("t9")
    await service.clock.advance(50)
    service.say("t9", is_signed=False)
    await service.clock.advance(LENGTH_S - 50 + 8)  # and not at 110 s
    assert tracked.is_over
    await service.poller.aclose()


async def test_the_history_learns_from_announced_ends() -> None:
    """So that polls come at the right time once callbacks stop."""
    service = Service()
    for number in range(10):
        await service.polls_of(f"t{number}", says=True)
    assert service.poller.history.earliest_end_in_s("squish", 0.0) == pytest.approx(95, abs=2)
    await service.poller.aclose()


async def test_a_message_while_its_task_is_polled_makes_one_more_poll() -> None:
    """The answer under way may be older than the message."""
    service = Service()
    answers: list[asyncio.Future[TaskSnapshot]] = []

    async def slowly(task_id: str) -> TaskSnapshot:
        answers.append(asyncio.get_running_loop().create_future())
        return await answers[-1]

    service.poller = poller = Poller(
        PolledService(slowly), policy=PollPolicy(), clock=service.clock, rng=lambda: 0.5
    )
    tracked = service.start("t1")
    await service.clock.settle()
    service.clock.jump(20)
    await service.clock.advance(0)
    assert len(answers) == 1
    service.say("t1", is_signed=False)
    answers[0].set_result(snapshot("t1", TaskStatus.PROCESSING))
    await service.clock.advance(1)  # by its age the next poll would be two seconds later
    assert len(answers) == 2
    answers[1].set_result(snapshot("t1", TaskStatus.SUCCEEDED))
    await service.clock.advance(0)
    assert tracked.is_over
    await poller.aclose()


# -- the rules alone


def task_of(name: str) -> TrackedTask:
    task = TrackedTask(name, None, "squish", 0.0)
    task.is_announced = True
    return task


def test_trust_takes_three_in_a_row_and_one_miss_ends_it() -> None:
    trust = PushTrust()
    for number in range(3):
        assert not trust.is_trusted
        task = task_of(f"t{number}")
        trust.told(task, now=10.0 * number)
        trust.ended(task, now=10.0 * number + 5)
    assert trust.is_trusted
    missed = task_of("missed")
    trust.ended(missed, now=100)
    assert trust.judges_at == 105
    assert not trust.judge(104.9)
    assert trust.is_trusted
    assert trust.judge(105)
    assert not trust.is_trusted
    assert not trust.judge(106)
    assert trust.judges_at == NEVER


def test_an_old_message_does_not_count() -> None:
    trust = PushTrust()
    for number in range(3):
        task = task_of(f"t{number}")
        trust.told(task, now=0)
        trust.ended(task, now=5.1)
    assert not trust.is_trusted


def test_a_task_whose_changes_are_not_sent_to_us_counts_for_nothing() -> None:
    trust = PushTrust()
    task = task_of("t1")
    task.is_announced = False
    trust.ended(task, now=0)
    assert trust.judges_at == NEVER
    assert not trust.slows(task)


@pytest.mark.parametrize(
    ("max_interval_s", "usual_s", "is_shared", "expected"),
    [
        (15.0, 1.0, False, 1060.0),
        (15.0, 200.0, False, 1200.0),  # a longer pause is kept
        (15.0, 1.0, True, 1050.0),  # a moment that is the same for many
        (100.0, 1.0, False, 1120.0),
        (float("inf"), 1.0, False, 1120.0),
    ],
)
def test_the_net_is_a_minute_by_default_and_two_at_most(
    max_interval_s: float, usual_s: float, is_shared: bool, expected: float
) -> None:
    policy = PollPolicy(max_interval_s=max_interval_s)
    assert slow_poll_at(policy, 1000.0, usual_s, is_shared=is_shared) == expected


def test_hints_about_one_task_make_ever_fewer_polls() -> None:
    """Fault 60: no fetch storm."""
    limiter, task = HintLimiter(), task_of("t1")
    taken = [second for second in range(600) if limiter.take(task, float(second))]
    assert taken[:6] == [0, 2, 6, 14, 30, 62]
    assert len(taken) == 14


def test_hints_about_all_tasks_are_limited_together() -> None:
    """Fault 60: fifty at once, then five a second, however many tasks are named."""
    limiter = HintLimiter()
    tasks = [task_of(f"t{number}") for number in range(1000)]
    assert sum(limiter.take(task, 0.0, is_end=False) for task in tasks[:200]) == 25
    assert sum(limiter.take(task, 0.0) for task in tasks[:500]) == 25
    assert sum(limiter.take(task, 4.0) for task in tasks[500:]) == 20
