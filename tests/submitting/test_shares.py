"""Shares on a whole client: who waits for whose tasks, and where one stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    EffectsClient,
    Journal,
    SettingsError,
    SharePolicy,
    SingleImageEffect,
    SlotPolicy,
    SubmitPolicy,
    derived_id,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.submitting.breaker import SubmitBreaker
from kling_effects_async.testing import ManualClock
from tests.support.command_line import acceptance
from tests.support.submits import QUICK, SQUISH, seconds_taken

TASK_S = 10.0
FOUR = SlotPolicy(start=4, maximum=4)


def picture(name: str) -> Effect:
    return SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")


FORTY = [picture(f"a{number}") for number in range(40)]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=TASK_S, slots=4) as one:
        yield one


async def until(holds: Callable[[], bool]) -> None:
    """For a client with a journal, whose thread lives in real time."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def forty_runs(client: EffectsClient) -> None:
    await asyncio.gather(*(client.run(effect, share="A") for effect in FORTY))


async def a_bulk_run(client: EffectsClient) -> None:
    async with aclosing(client.run_many(FORTY, share="A")) as outcomes:
        async for _outcome in outcomes:
            pass


async def a_bulk_submit(client: EffectsClient) -> None:
    async with aclosing(client.submit_many(FORTY, share="A")) as tasks:
        async for _task in tasks:
            pass


@pytest.mark.looptime
@pytest.mark.parametrize("load", [forty_runs, a_bulk_run, a_bulk_submit])
async def test_one_effect_waits_for_one_task_of_forty_at_most(
    emulator: Emulator, load: Callable[[EffectsClient], Any]
) -> None:
    async with emulator.client(slots=FOUR) as client:
        forty = asyncio.ensure_future(load(client))
        await asyncio.sleep(1)
        assert client.stats().waiting_by_share.keys() == {"A"}
        assert await seconds_taken(client.submit(picture("b"), share="B")) <= TASK_S + 2
        forty.cancel()
        await asyncio.gather(forty, return_exceptions=True)


@pytest.mark.looptime
@pytest.mark.parametrize("after_s", [0.02, 0.3, 1.0])
async def test_one_effect_passes_the_forty_that_a_small_account_rejected(after_s: float) -> None:
    """A client that meets the account for the first time assumes more slots than there are."""
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=TASK_S, slots=1) as small,
        small.client() as client,
    ):
        forty = asyncio.ensure_future(forty_runs(client))
        await asyncio.sleep(after_s)
        await client.submit(picture("b"), share="B", external_task_id="b")
        accepted = [entry.external_task_id for entry in small.ledger.entries]
        assert accepted.index("b") <= 2
        forty.cancel()
        await asyncio.gather(forty, return_exceptions=True)


@pytest.mark.looptime
async def test_a_share_has_no_more_tasks_than_its_most_and_others_go_on(
    emulator: Emulator,
) -> None:
    shares = SharePolicy(max_per_share=2)
    async with emulator.client(slots=FOUR, shares=shares) as client:
        forty = asyncio.ensure_future(a_bulk_run(client))
        await asyncio.sleep(1)
        assert client.stats().running == 2
        assert await seconds_taken(client.submit(picture("b"), share="B")) < 1
        await asyncio.sleep(TASK_S / 2)
        assert client.stats().running == 3
        forty.cancel()
        await asyncio.gather(forty, return_exceptions=True)


@pytest.mark.looptime
async def test_a_user_is_told_where_he_stands(emulator: Emulator) -> None:
    async with emulator.client(slots=FOUR) as client:
        forty = asyncio.ensure_future(forty_runs(client))
        await asyncio.sleep(1)
        runs = [
            asyncio.ensure_future(
                client.run(picture(f"b{number}"), external_task_id=f"b-{number}", share="B")
            )
            for number in range(3)
        ]
        await asyncio.sleep(1)
        assert [client.queue_position(f"b-{number}") for number in range(3)] == [1, 2, 5]
        assert client.stats().waiting_by_share == {"A": 36, "B": 3}
        await runs[0]
        assert client.queue_position("b-0") is None
        await asyncio.gather(*runs)
        assert client.stats().waiting_by_share.keys() == {"A"}
        forty.cancel()
        await asyncio.gather(forty, return_exceptions=True)


@pytest.mark.looptime
async def test_an_effect_of_a_bulk_run_is_found_by_its_derived_id(emulator: Emulator) -> None:
    async with (
        emulator.client(slots=SlotPolicy(start=1, maximum=1)) as client,
        aclosing(client.run_many(FORTY[:3], run="summer", share="A")) as outcomes,
    ):
        await anext(outcomes)
        await asyncio.sleep(1)
        places = [client.queue_position(derived_id(each, salt="summer")) for each in FORTY[:3]]
        assert sorted(place or 0 for place in places) == [0, 0, 1]


async def test_nobody_stands_anywhere_before_the_first_submit(emulator: Emulator) -> None:
    client = emulator.client()
    assert client.queue_position("order-42") is None
    async with client:
        assert client.queue_position("order-42") is None
        with pytest.raises(TypeError, match="external_task_id must be a str"):
            client.queue_position(42)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "error", "said"),
    [
        ("", SettingsError, "must not be empty"),
        ("a\nb", SettingsError, "printable"),
        ("\ud800", SettingsError, "printable"),
        ("u" * 129, SettingsError, "at most 128 characters, not 129"),
        (17, TypeError, "share must be a str such as 'user-17', not int"),
    ],
)
async def test_what_is_no_name_of_a_share_is_rejected_at_the_call(
    emulator: Emulator, share: Any, error: type[Exception], said: str
) -> None:
    async with emulator.client() as client:
        with pytest.raises(error, match=said):
            await client.submit(SQUISH, share=share)
        with pytest.raises(error, match=said):
            await client.run(SQUISH, share=share)
        with pytest.raises(error, match=said):
            client.run_many([SQUISH], share=share)
        with pytest.raises(error, match=said):
            client.submit_many([SQUISH], share=share)
    assert emulator.requests["submit"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {"vip": 0}},
        {"weights": {"vip": 1.5}},
        {"weights": {"vip": True}},
        {"weights": {"a\n": 1}},
        {"weights": {7: 1}},
        {"weights": 3},
        {"max_per_share": 0},
        {"max_per_share": 2.5},
    ],
)
def test_a_wrong_policy_is_rejected_when_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SharePolicy(**wrong)


def test_a_policy_cannot_be_changed() -> None:
    weights = {"vip": 3}
    policy = SharePolicy(weights=weights)
    weights["vip"] = 30
    assert (policy.weight_of("vip"), policy.weight_of("user-17")) == (3, 1)
    assert len({policy, SharePolicy(weights={"vip": 3})}) == 1


async def test_the_share_of_a_job_is_in_the_journal(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with emulator.client(journal=path, **QUICK) as client:
        await client.submit(picture("a"), external_task_id="a", share="user-17")
        await client.submit(picture("b"), external_task_id="b")
    async with Journal(path, read_only=True) as journal:
        assert {job.external_task_id: job.share async for job in journal.jobs()} == {
            "a": "user-17",
            "b": "",
        }


async def test_tasks_of_an_earlier_process_count_for_their_share(
    emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.db"
    shares = SharePolicy(max_per_share=1)
    async with emulator.client(journal=path, **QUICK) as dead:
        await dead.submit(picture("a"), external_task_id="a", share="A")
    async with emulator.client(journal=path, shares=shares, **QUICK) as client:
        resumed = asyncio.ensure_future(anext(client.resume()))
        await until(lambda: client.stats().running == 1)
        waiting = asyncio.ensure_future(client.submit(picture("a2"), share="A"))
        await client.submit(picture("b"), share="B")
        await until(lambda: client.stats().waiting_by_share == {"A": 1})
        for left in (resumed, waiting):
            left.cancel()
        await asyncio.gather(resumed, waiting, return_exceptions=True)


async def test_a_job_that_is_resumed_has_its_share_again(
    emulator: Emulator, tmp_path: Path, cat: Path
) -> None:
    path = tmp_path / "jobs.db"
    shares = SharePolicy(max_per_share=1)
    async with emulator.client(journal=path, slots=FOUR, shares=shares, **QUICK) as dead:
        runs = [
            asyncio.ensure_future(dead.run(picture(name), external_task_id=name, share="A"))
            for name in ("a1", "a2")
        ]
        await until(lambda: dead.stats().waiting_by_share == {"A": 1})
    await asyncio.gather(*runs, return_exceptions=True)
    async with emulator.client(journal=path, slots=FOUR, shares=shares, **QUICK) as client:
        resumed = asyncio.ensure_future(anext(client.resume()))
        await until(lambda: client.stats().waiting_by_share == {"A": 1})
        resumed.cancel()
        await asyncio.gather(resumed, return_exceptions=True)


async def a_planned_job_of_a(emulator: Emulator, path: Path) -> None:
    """Leave the job "b" in the journal, for the share A."""
    async with emulator.client(journal=path, slots=SlotPolicy(start=1, maximum=1), **QUICK) as dead:
        await dead.submit(picture("a"), share="A")
        waiting = asyncio.ensure_future(dead.submit(picture("b"), external_task_id="b", share="A"))
        await until(lambda: dead.stats().waiting_by_share == {"A": 1})
    await asyncio.gather(waiting, return_exceptions=True)


async def test_the_share_of_the_call_counts_for_a_job_that_was_another_ones(
    emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.db"
    await a_planned_job_of_a(emulator, path)
    shares = SharePolicy(max_per_share=1)
    async with emulator.client(journal=path, slots=FOUR, shares=shares, **QUICK) as client:
        await client.submit(picture("a2"), share="A")
        again = client.submit(picture("b"), external_task_id="b", share="B")
        assert (await asyncio.wait_for(again, 5)).task_id
        job = await client.job("b")
        assert job is not None
        assert job.share == "A"  # for resume


async def test_a_call_without_a_share_leaves_the_job_the_one_it_had(
    emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.db"
    await a_planned_job_of_a(emulator, path)
    shares = SharePolicy(max_per_share=1)
    async with emulator.client(journal=path, slots=FOUR, shares=shares, **QUICK) as client:
        await client.submit(picture("a2"), share="A")
        again = asyncio.ensure_future(client.submit(picture("b"), external_task_id="b"))
        await until(lambda: client.stats().waiting_by_share == {"A": 1})
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


@pytest.mark.looptime
async def test_a_task_that_is_at_the_service_already_counts_for_its_share(
    emulator: Emulator,
) -> None:
    async with emulator.client() as other:
        theirs = await other.submit(SQUISH, external_task_id="order-42")
    async with emulator.client(
        shares=SharePolicy(max_per_share=1),
        submit=SubmitPolicy(look_up_first=True, on_taken="adopt"),
    ) as client:
        found = await client.submit(SQUISH, external_task_id="order-42", share="A")
        assert found.task_id == theirs.task_id
        assert await seconds_taken(client.submit(picture("a"), share="A")) > TASK_S / 2


@pytest.mark.looptime
async def test_an_uncertain_task_that_is_found_counts_for_its_share() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=3_600) as emulator,  # it outlasts the lookups
        emulator.client(shares=SharePolicy(max_per_share=1)) as client,
    ):
        emulator.fail_next(Fault.silence(on="submit", accepted=True))
        submit = asyncio.ensure_future(
            client.submit(SQUISH, external_task_id="order-42", share="A")
        )
        await acceptance(emulator)
        submit.cancel()
        await asyncio.wait([submit])
        await client.submit(SQUISH, external_task_id="order-42", share="A")
        assert await seconds_taken(client.submit(picture("a"), share="A")) > 1_800


async def test_shares_pass_the_breaker_in_turn() -> None:
    breaker = SubmitBreaker(FOUR, ManualClock(), on_stop=lambda _reason: None, rng=lambda: 0.0)
    for _ in range(5):
        await breaker.pass_through("A")
    passed: list[str] = []

    async def submit(share: str) -> None:
        await breaker.pass_through(share)
        passed.append(share)

    submits = [asyncio.ensure_future(submit(share)) for share in "AAAAAB"]
    for _ in range(6):
        await asyncio.sleep(0)
        breaker.came_back()
    await asyncio.gather(*submits)
    assert passed == [*"ABAAAA"]


async def test_a_share_passes_the_breaker_as_often_as_it_has_slots() -> None:
    shares = SharePolicy(max_per_share=1)
    breaker = SubmitBreaker(
        FOUR, ManualClock(), shares=shares, on_stop=lambda _reason: None, rng=lambda: 0.0
    )
    for _ in range(5):
        await breaker.pass_through("A")
    submits = [asyncio.ensure_future(breaker.pass_through("A")) for _ in range(6)]
    for _ in submits:
        await asyncio.sleep(0)
        breaker.came_back()
    await asyncio.wait_for(asyncio.gather(*submits), 5)
