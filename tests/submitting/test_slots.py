"""The account's limit of parallel tasks, found out from what the service accepts and rejects."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.errors import AccountError
from kling_effects_async.policy import SharePolicy, SlotPolicy
from kling_effects_async.submitting.slots import Slot, SlotLimiter


class Line:
    """Slots, and who was served in which order."""

    def __init__(self, start: int = 2, *, most: int = 1000, remembered: int | None = None) -> None:
        self.learned: list[int] = []
        self.served: list[str] = []
        self.slots = SlotLimiter(
            SlotPolicy(start=start, maximum=most),
            remembered=remembered,
            on_learned=self.learned.append,
        )

    async def take(self, name: str = "", *, is_next: bool = False) -> Slot:
        slot = await self.slots.take(is_next=is_next)
        self.served.append(name)
        return slot

    async def takes(self, *names: str, is_next: bool = False) -> list[asyncio.Task[Slot]]:
        tasks = [asyncio.create_task(self.take(name, is_next=is_next)) for name in names]
        await turns()
        return tasks

    async def running(self, number: int) -> list[Slot]:
        """So many tasks, accepted one after the other."""
        slots = []
        for _ in range(number):
            slot = await self.take()
            slot.accept()
            slots.append(slot)
        return slots


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_out_in_the_order_they_were_asked_for() -> None:
    line = Line(start=1)
    slot = await line.take("first")
    waiting = await line.takes(*"abcde")
    for task in waiting:
        slot.release()
        slot = await task
    assert line.served == ["first", *"abcde"]


async def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    line = Line(start=1)
    slot = await line.take("first")
    await line.takes("a")
    slot.release()  # "a" has it now, but had no turn of the loop yet
    await line.takes("b")
    assert line.served == ["first", "a"]


async def test_nobody_is_the_next_who_does_not_say_so() -> None:
    slots = SlotLimiter(SlotPolicy(start=1))
    slot = await slots.take()
    first, second = (asyncio.create_task(slots.take()) for _ in range(2))
    await turns()
    slot.release()
    await turns()
    assert (first.done(), second.done()) == (True, False)
    second.cancel()


async def test_until_the_first_rejection_every_acceptance_adds_a_place() -> None:
    line = Line(start=2)
    await line.running(10)
    assert line.slots.size == 12
    assert line.slots.running == 10


async def test_what_bounds_a_discovery_is_how_many_submits_are_without_an_answer() -> None:
    line = Line(start=3)
    waiting = await line.takes(*"abcdef")
    assert line.served == [*"abc"]
    (await waiting[0]).accept()
    await turns()
    assert line.served == [*"abcd"]


async def test_there_are_never_more_places_than_the_policy_allows() -> None:
    line = Line(start=2, most=4)
    await line.running(4)
    await line.takes("a")
    assert line.slots.size == line.slots.held == 4


async def test_a_rejection_shrinks_to_what_runs() -> None:
    """Fault 15: the slot limiter shrinks."""
    line = Line(start=10)
    await line.running(3)
    line.slots.reject(await line.take())
    assert line.slots.size == 3
    assert line.learned == [3]


async def test_rejections_of_places_given_out_before_count_once() -> None:
    """Fault 15: the slot limiter shrinks."""
    line = Line(start=10)
    await line.running(4)
    for slot in [await line.take() for _ in range(5)]:
        line.slots.reject(slot)
    assert line.learned == [4]


async def test_every_round_has_one_rejection_that_is_news() -> None:
    line = Line(start=10)
    for _ in range(3):
        slots = [line.slots.adopt() for _ in range(2)]
        assert [line.slots.reject(slot) for slot in slots] == [True, False]


async def test_a_slot_from_before_a_rejection_is_surplus_while_too_many_are_held() -> None:
    line = Line(start=4)
    (running,) = await line.running(1)
    first, second, third = [await line.take() for _ in range(3)]
    assert not second.is_surplus
    line.slots.reject(first)
    newer = line.slots.adopt()
    assert second.is_surplus
    assert not newer.is_surplus  # the rejection is known where it was given out
    newer.release()
    third.release()
    running.release()
    assert not second.is_surplus  # it is the one that there is


async def test_where_as_many_run_as_there_are_places_a_rejection_takes_a_quarter() -> None:
    line = Line(start=8, remembered=8)
    await line.running(8)
    line.slots.reject(line.slots.adopt())
    assert line.slots.size == 6


async def test_at_least_one_place_is_left_to_try_with() -> None:
    line = Line(start=5)
    for _ in range(3):
        line.slots.reject(await line.take())
    assert line.slots.size == 1
    assert (await line.take()).is_released is False


async def test_a_rejected_place_is_given_back() -> None:
    line = Line(start=5)
    line.slots.reject(await line.take())
    assert line.slots.held == 0


async def test_a_job_that_was_rejected_is_the_next_to_get_a_slot() -> None:
    """Fault 15: the job goes back to the queue."""
    line = Line(start=1, remembered=1)
    slot = await line.take("first")
    await line.takes(*"ab")
    await line.takes("rejected", is_next=True)
    slot.release()
    await turns()
    assert line.served == ["first", "rejected"]


async def test_after_a_rejection_a_run_of_ends_adds_one_place() -> None:
    line = Line(start=5)
    slots = await line.running(3)
    line.slots.reject(await line.take())
    waiting = await line.takes(*"abcde")
    for slot in slots[:2]:
        slot.release()
    assert line.slots.size == 3
    slots[2].release()
    assert line.slots.size == 4
    assert line.learned == [3, 4]
    line.slots.fail_waiting(TimeoutError())
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_each_further_place_takes_a_whole_run_of_ends() -> None:
    line = Line(start=5)
    slots = await line.running(3)
    line.slots.reject(await line.take())
    waiting = await line.takes(*(str(number) for number in range(20)))
    sizes = []
    for slot in [*slots, *(line.slots.adopt() for _ in range(4))]:
        slot.accept()
        slot.release()
        sizes.append(line.slots.size)
    assert sizes == [3, 3, 4, 4, 4, 4, 5]
    line.slots.fail_waiting(TimeoutError())
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_is_accepted_beyond_the_size_is_the_new_size() -> None:
    line = Line(remembered=2, most=4)
    for _ in range(5):
        line.slots.adopt().accept()
    assert line.learned == [3, 4]


async def test_no_place_is_added_while_nobody_waits_for_one() -> None:
    line = Line(start=5)
    slots = await line.running(3)
    line.slots.reject(await line.take())
    for slot in slots:
        slot.release()
    assert line.learned == [3]


async def test_no_place_is_added_for_a_share_that_may_have_no_more() -> None:
    shares = SharePolicy(max_per_share=1)
    slots = SlotLimiter(SlotPolicy(), shares=shares, remembered=2)
    (await slots.take(share="A")).accept()
    waiting = asyncio.create_task(slots.take(share="A"))
    await turns()
    for _ in range(5):
        slot = await slots.take(share="B")
        slot.accept()
        slot.release()
    assert slots.size == 2
    waiting.cancel()


async def test_a_rejection_breaks_a_run_of_ends() -> None:
    line = Line(start=9)
    slots = await line.running(4)
    line.slots.reject(await line.take())
    for slot in slots[:3]:
        slot.release()
    line.slots.reject(line.slots.adopt())  # of a new round: 1 runs
    waiting = await line.takes(*"ab")
    slots[3].release()
    assert line.learned == [4, 1, 2]
    line.slots.fail_waiting(TimeoutError())
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_attempts_that_came_to_nothing_are_no_run_of_ends() -> None:
    line = Line(remembered=2)
    for _ in range(10):
        (await line.take()).release()
    assert line.learned == []


async def test_a_remembered_size_is_kept_to() -> None:
    line = Line(start=20, remembered=3)
    await line.running(3)
    await line.takes("a")
    assert line.slots.size == line.slots.held == 3


async def test_a_remembered_size_is_no_more_than_the_policy_allows() -> None:
    assert Line(start=2, most=5, remembered=50).slots.size == 5


async def test_a_task_that_runs_already_gets_a_place_whether_there_is_one_or_not() -> None:
    line = Line(start=1, remembered=1)
    adopted = [line.slots.adopt() for _ in range(3)]
    waiting = await line.takes("a")
    for slot in adopted[:2]:
        slot.release()
    await turns()
    assert not waiting[0].done()
    adopted[2].release()
    await waiting[0]
    assert line.slots.held == 1


async def test_a_place_given_back_twice_counts_once() -> None:
    line = Line()
    slot = await line.take()
    slot.accept()
    slot.accept()
    slot.release()
    slot.release()
    assert (line.slots.held, line.slots.running) == (0, 0)


async def test_whoever_leaves_the_line_takes_no_place_along() -> None:
    line = Line(start=1)
    slot = await line.take()
    first, second = await line.takes("a", "b")
    first.cancel()
    await turns()
    slot.release()
    await second
    assert line.slots.held == 1


async def test_a_wait_cancelled_as_it_gets_its_slot_gives_the_slot_on() -> None:
    line = Line(start=1)
    slot = await line.take()
    first, second = await line.takes("a", "b")
    slot.release()  # "a" is served, and has had no turn of the loop yet
    first.cancel()
    await turns()
    assert first.cancelled()
    await second
    assert line.slots.held == 1


async def test_whoever_left_the_line_waits_no_more() -> None:
    line = Line(start=1)
    await line.take()
    (waiting,) = await line.takes("a")
    assert line.slots.waiting == 1
    waiting.cancel()
    await turns()
    assert line.slots.waiting == 0


async def test_whoever_is_told_of_an_error_waits_no_more() -> None:
    line = Line(start=1)
    await line.take()
    waiting = await line.takes("a", "b")
    line.slots.fail_waiting(TimeoutError())
    assert line.slots.waiting == 0
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_no_name_is_kept_once_its_wait_is_over() -> None:
    class Name(str):
        """A weak reference to it shows whether it is kept."""

    slots = SlotLimiter(SlotPolicy(start=1, maximum=1))
    taken = await slots.take()
    name = Name("order-42")
    kept = weakref.ref(name)
    waiting = asyncio.create_task(slots.take(name=name))
    del name
    await turns()
    assert slots.position_of("order-42") == 1
    taken.release()
    await waiting
    assert slots.position_of("order-42") is None
    gc.collect()
    assert kept() is None


async def test_a_wait_cancelled_as_it_is_told_of_an_error_ends_as_cancelled() -> None:
    line = Line(start=1)
    await line.take()
    (waiting,) = await line.takes("a")
    line.slots.fail_waiting(AccountError("nothing left"))
    waiting.cancel()
    await turns()
    assert waiting.cancelled()


async def test_everybody_in_line_is_told_that_there_will_be_no_place() -> None:
    line = Line(start=1)
    slot = await line.take()
    waiting = await line.takes(*"abc")
    line.slots.fail_waiting(AccountError("nothing left", code=1102))
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(error) for error in errors} == {"nothing left (code 1102)"}
    assert len({id(error) for error in errors}) == 3  # each raises its own
    assert line.slots.held == 1
    slot.release()
    await line.take()
    assert line.slots.held == 1


async def test_whoever_was_served_keeps_the_place_when_the_line_is_told() -> None:
    line = Line(start=1)
    slot = await line.take()
    (waiting,) = await line.takes("a")
    slot.release()
    line.slots.fail_waiting(AccountError("nothing left"))
    assert (await waiting).is_released is False


async def test_whoever_looks_is_told_when_there_may_be_room() -> None:
    line = Line(start=1)
    with line.slots.watched() as event:
        slot = await line.take()
        assert not event.is_set()
        slot.release()
        assert event.is_set()


class Crowd:
    """Takers at every stage, and the slots that were given out and not given back."""

    def __init__(self, start: int, remembered: int | None) -> None:
        self.line = Line(start=start, remembered=remembered)
        self.waiting: list[asyncio.Task[Slot]] = []
        self.slots: list[Slot] = []

    def take(self, _pick: int) -> None:
        self.waiting.append(asyncio.create_task(self.line.take()))

    def take_first(self, _pick: int) -> None:
        self.waiting.append(asyncio.create_task(self.line.take(is_next=True)))

    def cancel(self, pick: int) -> None:
        if self.waiting:
            self.waiting[pick % len(self.waiting)].cancel()

    def accept(self, pick: int) -> None:
        if self.slots:
            self.slots[pick % len(self.slots)].accept()

    def release(self, pick: int) -> None:
        if self.slots:
            self.slots.pop(pick % len(self.slots)).release()

    def reject(self, pick: int) -> None:
        attempts = [slot for slot in self.slots if not slot.is_accepted]
        if attempts:
            slot = attempts[pick % len(attempts)]
            self.slots.remove(slot)
            self.line.slots.reject(slot)

    def adopt(self, _pick: int) -> None:
        self.slots.append(self.line.slots.adopt())

    def collect(self) -> None:
        """Take in what was given out; a slot of somebody who was cancelled is nobody's."""
        done = [task for task in self.waiting if task.done()]
        self.waiting = [task for task in self.waiting if not task.done()]
        self.slots += [task.result() for task in done if not task.cancelled()]

    def check(self) -> None:
        slots = self.line.slots
        assert slots.held == len(self.slots)
        assert slots.running == sum(slot.is_accepted for slot in self.slots)
        assert slots.size >= 1
        # Nobody waits while there is a slot.
        assert not self.waiting or slots.held >= slots.size


ACTS: dict[str, Callable[[Crowd, int], None]] = {
    "take": Crowd.take,
    "take_first": Crowd.take_first,
    "cancel": Crowd.cancel,
    "accept": Crowd.accept,
    "release": Crowd.release,
    "reject": Crowd.reject,
    "adopt": Crowd.adopt,
}


# After an act the loop may have a turn, or the next act comes in the same moment.
@given(
    start=st.integers(1, 4),
    remembered=st.none() | st.integers(1, 4),
    acts=st.lists(
        st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 9), st.booleans()), max_size=60
    ),
)
def test_no_order_of_takes_ends_and_cancels_loses_or_doubles_a_place(
    start: int, remembered: int | None, acts: list[tuple[str, int, bool]]
) -> None:
    async def play() -> None:
        crowd = Crowd(start, remembered)
        for name, pick, has_turn in acts:
            ACTS[name](crowd, pick)
            assert crowd.line.slots.held >= 0
            if has_turn:
                await turns()
                crowd.collect()
                crowd.check()
        await turns()
        crowd.collect()
        crowd.check()
        # Nobody starves: as tasks end, everybody in line is served.
        while crowd.waiting:
            assert crowd.slots
            crowd.release(0)
            await turns()
            crowd.collect()
        while crowd.slots:
            crowd.release(0)
        crowd.check()

    asyncio.run(play())


@pytest.mark.parametrize("limit", [1, 3, 20])
async def test_a_limit_is_found_and_kept_to_with_few_rejections(limit: int) -> None:
    """Fault 15: additive increase, multiplicative decrease."""
    line = Line(start=2)
    running: list[Slot] = []
    rejections = 0
    for _ in range(500):
        if line.slots.held >= line.slots.size:
            running.pop(0).release()
            continue
        slot = await line.take()
        if len(running) < limit:
            slot.accept()
            running.append(slot)
        else:
            rejections += 1
            line.slots.reject(slot)
    assert limit <= line.slots.size <= limit + 1
    assert rejections < 500 / limit


# -- why there are so many, and whose they are


async def test_each_change_of_the_size_is_told_with_its_reason() -> None:
    told: list[tuple[int, int, str]] = []
    slots = SlotLimiter(
        SlotPolicy(start=2, maximum=9), on_change=lambda *change: told.append(change)
    )
    assert slots.reason.startswith("the number to start with")
    first = await slots.take()
    first.accept()
    slots.reject(await slots.take())
    slots.adopt().accept()
    waiting = asyncio.ensure_future(slots.take())
    await turns()
    assert told == [
        (3, 1, "the service accepted one more"),
        (1, 1, "the service rejected a submit because all slots were taken"),
        (2, 2, "the service accepted one more"),
    ]
    assert slots.reason == told[-1][2]
    first.release()
    (await waiting).accept()
    another = asyncio.ensure_future(slots.take())
    await turns()
    (await waiting).release()
    await another
    assert told[-1] == (3, 1, "one more is tried, as nothing was rejected for a while")


def test_a_remembered_size_says_so() -> None:
    slots = SlotLimiter(SlotPolicy(start=2), remembered=4)
    assert slots.reason == "remembered from an earlier run"


async def test_what_has_no_share_is_one_share() -> None:
    slots = SlotLimiter(SlotPolicy(start=4), shares=SharePolicy(max_per_share=1))
    adopted = slots.adopt()
    waiting = asyncio.ensure_future(slots.take())
    await turns()
    assert not waiting.done()
    assert dict(slots.waiting_by_share) == {"": 1}
    adopted.release()
    await asyncio.wait_for(waiting, 1)


async def test_a_wait_is_no_job_s_that_had_its_turn_unless_it_says_so() -> None:
    line = Line(1)
    held = await line.take()
    usual = asyncio.ensure_future(line.slots.take())
    await turns()
    (before_it,) = await line.takes("b", is_next=True)
    held.release()
    await turns()
    assert (before_it.done(), usual.done()) == (True, False)
    (await before_it).release()
    await usual


async def test_a_wait_that_is_cancelled_as_a_slot_is_freed_takes_nothing() -> None:
    line = Line(1)
    held = await line.take()
    cancelled, other = await line.takes("a", "b")
    cancelled.cancel()
    held.release()  # before the cancelled one has run
    await asyncio.wait_for(other, 1)
    assert line.served == ["", "b"]


async def test_waits_that_failed_are_over() -> None:
    line = Line(1)
    await line.take()
    waits = await line.takes("a", "b")
    line.slots.fail_waiting(AccountError("nothing left", code=1102))
    assert (line.slots.waiting, line.slots.position_of("a")) == (0, None)
    assert [type(error) for error in await asyncio.gather(*waits, return_exceptions=True)] == [
        AccountError
    ] * 2
