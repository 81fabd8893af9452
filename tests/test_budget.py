"""A limit in units: what was spent and what runs both count, before anything is sent."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from attrs import evolve

from kling_effects_async.errors import BudgetExceededError
from kling_effects_async.spending.budget import Budget
from kling_effects_async.spending.job import Job, JobState
from kling_effects_async.spending.store import MemoryStore
from tests.paid_service import ACCOUNT, a_job


class SlowStore(MemoryStore):
    """Answers after a moment, as a journal does."""

    async def units_spent(self, account: str) -> Decimal:
        await asyncio.sleep(0)
        return await super().units_spent(account)

    async def typical_units(self, account: str, scene: str) -> Decimal | None:
        await asyncio.sleep(0)
        return await super().typical_units(account, scene)


async def spend(store: MemoryStore, name: str, units: str, scene: str = "squish") -> None:
    """A task that ended, and what it cost."""
    await store.add(a_job(name, scene=scene))
    for state in (JobState.SUBMITTING, JobState.ACCEPTED):
        await store.move(ACCOUNT, name, state)
    await store.move(ACCOUNT, name, JobState.SUCCEEDED, units=Decimal(units))


async def fits(budget: Budget, name: str, scene: str = "squish") -> bool:
    try:
        await budget.reserve(a_job(name, scene=scene))
    except BudgetExceededError:
        return False
    return True


async def test_without_a_limit_everything_fits() -> None:
    budget = Budget(None, MemoryStore())
    assert all([await fits(budget, f"{number}") for number in range(1000)])


async def test_a_scene_nobody_paid_for_yet_is_expected_to_cost_three_and_a_half() -> None:
    assert await fits(Budget(Decimal("3.5"), MemoryStore()), "a")
    assert not await fits(Budget(Decimal("3.4"), MemoryStore()), "a")


async def test_a_known_scene_is_expected_to_cost_what_it_cost() -> None:
    store = MemoryStore()
    await spend(store, "paid", "2")
    budget = Budget(Decimal(4), store)
    assert await fits(budget, "a")
    assert not await fits(budget, "b")


async def test_the_dearest_of_a_scene_is_expected() -> None:
    store = MemoryStore()
    for number, units in enumerate(["2", "5", "1"]):
        await spend(store, f"paid-{number}", units)
    assert not await fits(Budget(Decimal("12.9"), store), "a")
    assert await fits(Budget(Decimal(13), store), "a")


async def test_what_is_spent_and_what_runs_count_together() -> None:
    store = MemoryStore()
    await spend(store, "paid", "2")
    budget = Budget(Decimal(5), store)
    assert await fits(budget, "a")
    with pytest.raises(BudgetExceededError, match="Nothing was sent") as caught:
        await budget.reserve(a_job("b"))
    assert caught.value.spent_units == caught.value.running_units == 2
    assert caught.value.expected_units == 2
    assert caught.value.limit_units == 5


async def test_parallel_reservations_do_not_overshoot() -> None:
    budget = Budget(Decimal(14), SlowStore())
    fitting = await asyncio.gather(*(fits(budget, f"{number}") for number in range(10)))
    assert sum(fitting) == 4


async def test_a_job_that_was_not_accepted_gives_its_money_back() -> None:
    budget = Budget(Decimal(4), MemoryStore())
    assert await fits(budget, "a")
    budget.release(a_job("a"))
    assert await fits(budget, "b")


async def test_a_job_reserved_twice_counts_once() -> None:
    budget = Budget(Decimal(7), MemoryStore())
    for _ in range(2):
        await budget.hold(a_job("a"))
    assert await fits(budget, "b")


async def test_an_ended_task_counts_what_it_cost_and_no_more_as_running() -> None:
    store = MemoryStore()
    budget = Budget(Decimal(5), store)
    assert await fits(budget, "a")
    await spend(store, "a", "1")
    budget.settle(a_job("a"), Decimal(1))
    assert [await fits(budget, name) for name in "bcdef"] == [True] * 4 + [False]


async def test_a_service_that_tells_no_cost_counts_what_was_expected() -> None:
    budget = Budget(Decimal(7), MemoryStore())
    for name in "ab":
        assert await fits(budget, name)
        budget.settle(a_job(name), None)
    assert not await fits(budget, "c")


async def test_a_task_that_runs_already_counts_whatever_the_limit() -> None:
    budget = Budget(Decimal(4), MemoryStore())
    for name in "abc":
        await budget.hold(a_job(name))
    with pytest.raises(BudgetExceededError) as caught:
        await budget.reserve(a_job("d"))
    assert caught.value.running_units == Decimal("10.5")


async def test_another_accounts_spending_does_not_count() -> None:
    store = MemoryStore()
    theirs: Job = evolve(a_job("theirs"), account="theirs")
    await store.add(theirs)
    for state in (JobState.SUBMITTING, JobState.ACCEPTED):
        await store.move("theirs", "theirs", state)
    await store.move("theirs", "theirs", JobState.SUCCEEDED, units=Decimal(100))
    assert await fits(Budget(Decimal(4), store), "a")
