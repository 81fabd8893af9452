"""Paid once: what is sent, what is not sent again, and what is left in the journal."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import evolve

from kling_effects_async import (
    AccountChangedError,
    AccountError,
    AuthenticationError,
    BearerToken,
    BudgetExceededError,
    ClientStats,
    ContentRejectedError,
    Done,
    EffectRejectedError,
    EffectsClient,
    EffectTask,
    ExternalIdTakenError,
    Failed,
    IdempotencyConflictError,
    ImageRejectedError,
    InvalidRequestError,
    JournalBusyError,
    JournalError,
    JournalFullError,
    NetworkError,
    PollPolicy,
    RateLimitError,
    ReplyError,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SlotPolicy,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator, Fault, RepeatedId
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.journal import Journal
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.messages import Request
from kling_effects_async.submitting.planning import make_job
from tests.support.paid_service import ACCOUNT, Bench, Otherwise, PaidService, Trouble, a_job, lost

URL = "https://img.example/a.jpg"
SQUISH = SingleImageEffect("squish", image=URL)
LOST = Fault.cut_after_reading(accepted=False)
# For flows with a journal: its thread lives in real time, so the loop must not fast-forward.
QUICK: dict[str, Any] = {
    "account": ACCOUNT,
    "poll": PollPolicy(shortest_s=0.05),
    "retry": RetryPolicy(attempts=3, base_s=0.01),
    "submit": SubmitPolicy(settle_pause_s=0.02),
}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[EffectsClient]:
    async with emulator.client() as opened:
        yield opened


async def seconds_taken(act: Any) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await act
    return loop.time() - started


async def state_in(journal: Path, name: str) -> JobState:
    async with Journal(journal, read_only=True) as reader:
        (job,) = await reader.find(name)
        return job.state


# -- the same job


@pytest.mark.looptime
async def test_the_same_effect_under_the_same_id_is_one_task(
    client: EffectsClient, emulator: Emulator
) -> None:
    first = await client.submit(SQUISH, external_task_id="order-42")
    again = await client.submit(SQUISH, external_task_id="order-42")
    assert again.task_id == first.task_id
    assert emulator.requests["submit"] == 1


@pytest.mark.looptime
@pytest.mark.parametrize("rule", RepeatedId)
async def test_five_callers_at_once_with_one_id_share_one_task(rule: RepeatedId) -> None:
    async with (
        Emulator(clips=Clips.STOCK, repeated_external_id=rule) as emulator,
        emulator.client() as client,
    ):
        submits = [client.submit(SQUISH, external_task_id="order-42") for _ in range(5)]
        tasks = await asyncio.gather(*submits)
        assert len({task.task_id for task in tasks}) == 1
        assert emulator.requests["submit"] == emulator.ledger.total == 1


@pytest.mark.looptime
async def test_an_ended_job_submitted_again_is_the_same_task(
    client: EffectsClient, emulator: Emulator
) -> None:
    first = await client.run(SQUISH, external_task_id="order-42")
    again = await client.run(SQUISH, external_task_id="order-42")
    assert again.task_id == first.task_id
    assert emulator.requests["submit"] == 1


OTHERS = {
    "scene": SingleImageEffect("expansion", image=URL),
    "content": SingleImageEffect("squish", image=URL + "?other"),
}


@pytest.mark.looptime
@pytest.mark.parametrize("differs", OTHERS)
async def test_the_id_of_another_effect_is_a_conflict_and_nothing_is_sent(
    client: EffectsClient, emulator: Emulator, differs: str
) -> None:
    """Fault 22: same external id, other content."""
    await client.submit(SQUISH, external_task_id="order-42")
    with pytest.raises(IdempotencyConflictError, match="Nothing was sent") as caught:
        await client.submit(OTHERS[differs], external_task_id="order-42")
    assert differs in caught.value.differs
    assert emulator.requests["submit"] == 1


@pytest.mark.looptime
async def test_another_image_under_the_same_name_is_a_conflict(
    client: EffectsClient, emulator: Emulator, cat: Path, coffee: Path, tmp_path: Path
) -> None:
    """Fault 22: same external id, other content."""
    image = tmp_path / "a.jpg"
    image.write_bytes(cat.read_bytes())
    await client.submit(SingleImageEffect("squish", image=image), external_task_id="order-42")
    image.write_bytes(coffee.read_bytes())
    with pytest.raises(IdempotencyConflictError):
        await client.submit(SingleImageEffect("squish", image=image), external_task_id="order-42")
    assert emulator.requests["submit"] == 1


# -- a used id


USED = Trouble(error=InvalidRequestError("External_task_id a already exists", code=1201))


@pytest.mark.looptime
async def test_a_used_id_that_was_sent_from_here_adopts_the_task() -> None:
    """Fault 21: duplicate external id rejected; an earlier try was accepted after all."""
    bench = Bench()
    await bench.submit("known")
    bench.service.script.append(lost(is_accepted=False))
    bench.service.script.append(Trouble(arrives_after_s=1))
    running = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(5.5)  # two lookups found nothing, and it is on its way again
    task_id = bench.service.accept("a")  # the first try arrives
    assert (await running).task_id == task_id
    assert bench.service.total == 2


@pytest.mark.looptime
async def test_a_used_id_that_an_earlier_process_sent_adopts_the_task() -> None:
    """Fault 21, over a restart: the journal knows that it was sent."""
    first = Bench()
    await first.submit("known")
    first.service.script.append(lost(is_accepted=True))
    first.service.answers_lookups = False
    with pytest.raises(SubmissionUncertainError):
        await first.submit("a")
    # The next process is told that there is no such task, and that its id is used.
    second = Bench(first.service, first.store)
    first.service.answers_lookups = True
    first.service.hides("a", lookups=2)
    assert (await second.submit("a")).task_id == first.service.books["a"][0]


@pytest.mark.looptime
async def test_a_submit_that_was_rejected_counts_as_sent_over_a_restart() -> None:
    """Fault 21: who said no may have had it all the same, and this id is ours."""
    first = Bench()
    rejected = RateLimitError("far too fast", retryable=True, retry_after_s=10**9)
    first.service.script.append(Trouble(error=rejected, is_accepted=True))
    with pytest.raises(RateLimitError):
        await first.submit("a")
    assert (await Bench(first.service, first.store).submit("a")).task_id == "t0"
    assert first.service.total == 1


@pytest.mark.looptime
async def test_a_task_that_nobody_here_submitted_is_not_adopted(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 73: never deliver a stranger's clip in silence."""
    first = await client.submit(SQUISH, external_task_id="order-42")
    async with emulator.client() as other:
        for _ in range(2):  # the second call has not sent it either
            with pytest.raises(ExternalIdTakenError) as caught:
                await other.submit(SQUISH, external_task_id="order-42")
            assert caught.value.task_id == first.task_id
            assert str(first.task_id) in str(caught.value)
    assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_a_rejected_connection_does_not_make_a_strangers_task_ours() -> None:
    """Fault 73: what never left has not been sent."""
    bench = Bench()
    bench.service.accept("a")
    bench.service.script.append(Trouble(error=NetworkError("rejected", sent=False)))
    with pytest.raises(ExternalIdTakenError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.REJECTED


@pytest.mark.looptime
async def test_a_strangers_task_that_nobody_finds_is_an_error_without_its_id() -> None:
    """Fault 73, on a service that does not find tasks by external id."""
    async with (
        Emulator(clips=Clips.STOCK, finds_external_ids=False) as emulator,
        emulator.client() as client,
        emulator.client(submit=SubmitPolicy(on_uncertain="resubmit")) as other,
    ):
        await client.submit(SQUISH, external_task_id="order-42")
        with pytest.raises(ExternalIdTakenError) as caught:
            await other.submit(SQUISH, external_task_id="order-42")
        assert caught.value.task_id is None
        assert emulator.requests["submit"] == 2


@pytest.mark.looptime
async def test_by_policy_a_taken_id_is_adopted(client: EffectsClient, emulator: Emulator) -> None:
    first = await client.submit(SQUISH, external_task_id="order-42")
    async with emulator.client(submit=SubmitPolicy(on_taken="adopt")) as other:
        adopted = await other.submit(SQUISH, external_task_id="order-42")
        assert adopted.task_id == first.task_id
        assert (await adopted).task_id == first.task_id
    assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_an_id_made_from_the_content_is_adopted(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Two bulk runs without a journal: whoever has the id means the same content."""
    (first,) = [outcome async for outcome in client.run_many([SQUISH])]
    async with emulator.client() as other:
        (again,) = [outcome async for outcome in other.run_many([SQUISH])]
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert again.result.task_id == first.result.task_id
    assert emulator.ledger.total == 1


# -- a rotated key


async def test_under_a_new_key_nothing_is_sent_for_what_the_journal_holds(tmp_path: Path) -> None:
    """Fault 72: the same batch with another key, on the same journal."""
    journal = tmp_path / "jobs.db"
    options = QUICK | {"journal": journal, "account": None}
    keys = ("first-key", "second-key")
    async with Emulator(clips=Clips.STOCK, speed=600, bearer_keys=keys) as emulator:

        async def outcome(key: str, **more: Any) -> Any:
            service = Service.gateway(emulator.url)
            client = EffectsClient(BearerToken(key), service=service, **(options | more))
            async with client:
                (found,) = [found async for found in client.run_many([SQUISH])]
                return client.account, found

        old, first = await outcome("first-key")
        new, rejected = await outcome("second-key")
        assert isinstance(rejected, Failed)
        assert isinstance(rejected.error, AccountChangedError)
        assert (rejected.error.account, rejected.error.other_account) == (new, old)
        assert all(name in str(rejected.error) for name in (new, old, "account="))
        _, again = await outcome("second-key", account=old)
        assert again.result.task_id == first.result.task_id
        async with Journal(journal) as opened:
            assert await opened.adopt(old, new) == 1
        _, adopted = await outcome("second-key")
        assert adopted.result.task_id == first.result.task_id
        assert emulator.requests["submit"] == 1


async def test_resume_says_what_it_leaves_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 72: open jobs of other accounts."""
    path = tmp_path / "jobs.db"
    async with Journal(path) as journal:
        for name in ("a", "b"):
            await journal.add(evolve(a_job(name), account="the old key's"))
    async with (
        Emulator(clips=Clips.STOCK) as emulator,
        emulator.client(journal=path, account="the new key's") as client,
    ):
        assert [outcome async for outcome in client.resume()] == []
    assert "2 open jobs of other accounts were left alone" in caplog.text
    assert "the new key's" in caplog.text


# -- a lost answer


@pytest.mark.looptime
@pytest.mark.parametrize("rule", RepeatedId)
async def test_what_two_lookups_do_not_find_where_others_are_found_is_sent_again_once(
    rule: RepeatedId,
) -> None:
    """Faults 6, 7: no task came of it."""
    async with (
        Emulator(clips=Clips.STOCK, repeated_external_id=rule) as emulator,
        emulator.client() as client,
    ):
        await client.submit(SQUISH, external_task_id="known")
        emulator.fail_next(LOST)
        await client.submit(SQUISH, external_task_id="order-42")
        assert emulator.ledger.accepted("order-42") == 1
        assert emulator.requests["submit"] == 3


@pytest.mark.looptime
async def test_without_a_known_task_not_found_proves_nothing(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Faults 6, 7: the rule (c) of paying once."""
    emulator.fail_next(LOST)
    with pytest.raises(SubmissionUncertainError, match="Nothing was sent again") as caught:
        await client.submit(SQUISH, external_task_id="order-42")
    assert caught.value.external_task_id == "order-42"
    assert emulator.requests["submit"] == 1


@pytest.mark.looptime
async def test_a_job_left_uncertain_is_settled_by_submitting_it_again(
    client: EffectsClient, emulator: Emulator
) -> None:
    emulator.fail_next(LOST)
    with pytest.raises(SubmissionUncertainError):
        await client.submit(SQUISH, external_task_id="order-42")
    await client.submit(SQUISH, external_task_id="known")
    await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.looptime
async def test_by_policy_an_uncertain_submit_is_sent_again(emulator: Emulator) -> None:
    async with emulator.client(submit=SubmitPolicy(on_uncertain="resubmit")) as client:
        emulator.fail_next(LOST)
        await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.ledger.accepted("order-42") == 1
    assert emulator.requests["submit"] == 2


@pytest.mark.looptime
@pytest.mark.parametrize("on_uncertain", ["raise", "resubmit"])
async def test_where_lookups_fail_nothing_is_sent_again(
    emulator: Emulator, on_uncertain: str
) -> None:
    async with emulator.client(submit=SubmitPolicy(on_uncertain=on_uncertain)) as client:
        await client.submit(SQUISH, external_task_id="known")
        emulator.fail_next(LOST)
        emulator.fail_next(Fault.html(502, on="query"), times=50)
        with pytest.raises(SubmissionUncertainError):
            await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.requests["submit"] == 2


@pytest.mark.looptime
@pytest.mark.parametrize("ours", ["another", None])
async def test_an_answer_about_another_jobs_task_is_not_believed(ours: str | None) -> None:
    """Fault 89: uncertain: ours is looked up; the other job keeps its slot and its end.

    Some services do not repeat the external id; then the task's id tells whose it is.
    """
    service = PaidService()

    async def post(request: Request) -> TaskSnapshot:
        snapshot = await service.submit(request)
        return evolve(snapshot, external_task_id=ours, task_id="t0")

    bench = Bench(service)
    await bench.submit("another")
    mixed_up = Bench(
        service, bench.store, api=Otherwise(service, submit=post), on_accepted=bench.accepted
    )
    job = await mixed_up.submit("a")
    assert (job.state, job.task_id) == (JobState.ACCEPTED, "t1")
    assert service.lookups == ["a"]
    assert service.books == {"another": ["t0"], "a": ["t1"]}
    (other,) = await bench.store.find("t0")
    assert (other.external_task_id, other.state) == ("another", JobState.ACCEPTED)
    assert bench.held_slots.keys() == {"t0", "t1"}


@pytest.mark.looptime
async def test_an_answer_without_an_external_id_is_believed_where_its_task_is_new() -> None:
    """Fault 89: some services do not repeat the external id."""
    service = PaidService()

    async def post(request: Request) -> TaskSnapshot:
        return evolve(await service.submit(request), external_task_id=None)

    bench = Bench(service)
    api = Otherwise(service, submit=post)
    job = await Bench(service, bench.store, api=api, on_accepted=bench.accepted).submit("a")
    assert (job.task_id, service.lookups) == ("t0", [])


class UnreadableStore(MemoryStore):
    """A journal on a disk that cannot be read any more."""

    async def find(self, name: str) -> list[Job]:
        raise JournalError(f"cannot read what there is of {name}")


@pytest.mark.looptime
async def test_a_journal_that_cannot_be_read_makes_no_rejection_of_an_acceptance() -> None:
    """Fault 89: the service took the submit, whoever else may have its task by the journal."""
    service = PaidService()

    async def post(request: Request) -> TaskSnapshot:
        return evolve(await service.submit(request), external_task_id=None)

    bench = Bench(service)
    api = Otherwise(service, submit=post)
    store = UnreadableStore()
    job = await Bench(service, store, api=api, on_accepted=bench.accepted).submit("a")
    assert (job.state, job.task_id) == (JobState.ACCEPTED, "t0")


@pytest.mark.looptime
async def test_a_clear_not_found_ends_a_lookup(client: EffectsClient, emulator: Emulator) -> None:
    """Fault 90: two lookups of the task, and one of another for the proof."""
    await (await client.submit(SQUISH, external_task_id="known"))
    asked = emulator.requests["query"]
    emulator.fail_next(LOST)
    await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.requests["query"] == asked + 3


@pytest.mark.looptime
async def test_the_second_look_comes_as_much_later_as_the_answer_was_lost() -> None:
    """Fault 90: a line cut after 60 s is not settled after 5."""
    bench = Bench(submit=SubmitPolicy(settle_pause_s=5.0), retry=RetryPolicy(max_elapsed_s=600))
    await bench.submit("known")
    bench.service.script.append(evolve(lost(is_accepted=False), arrives_after_s=60))
    assert await seconds_taken(bench.submit("a")) >= 60 + 60
    assert bench.service.lookups == ["a", "a", "known"]


@pytest.mark.looptime
async def test_what_is_looked_for_first_is_not_paid_again(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 88: the journal that knew the job is lost, or another machine has it."""
    paid = await client.submit(SQUISH, external_task_id="order-42")
    careful = SubmitPolicy(look_up_first=True)
    async with emulator.client(submit=careful) as other:
        with pytest.raises(ExternalIdTakenError) as caught:
            await other.submit(SQUISH, external_task_id="order-42")
        assert caught.value.task_id == paid.task_id
        assert (await other.submit(SQUISH, external_task_id="order-43")).task_id != paid.task_id
    async with emulator.client(submit=evolve(careful, on_taken="adopt")) as other:
        adopted = await other.submit(SQUISH, external_task_id="order-42")
        assert adopted.task_id == paid.task_id
        assert (await adopted).task_id == paid.task_id
        assert other.stats.running == 0
    assert emulator.ledger.total == 2


@pytest.mark.looptime
async def test_nothing_is_sent_before_a_first_look_was_answered(emulator: Emulator) -> None:
    """Fault 88: where nobody can tell, nothing is paid."""
    async with emulator.client(submit=SubmitPolicy(look_up_first=True)) as client:
        emulator.fail_next(Fault.html(502, on="query"), times=50)
        with pytest.raises(ReplyError):
            await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.requests["submit"] == 0


@pytest.mark.looptime
async def test_the_second_lookup_comes_some_seconds_after_the_first() -> None:
    bench = Bench(submit=SubmitPolicy(settle_pause_s=7.0))
    await bench.submit("known")
    bench.service.script.append(lost(is_accepted=False))
    assert await seconds_taken(bench.submit("a")) >= 7
    assert bench.service.lookups == ["a", "a", "known"]


@pytest.mark.looptime
async def test_a_task_that_only_the_second_lookup_finds_is_not_sent_again() -> None:
    bench = Bench()
    await bench.submit("known")
    bench.service.script.append(lost(is_accepted=False))
    running = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    bench.service.accept("a")  # a late replica
    assert (await running).state is JobState.ACCEPTED
    assert bench.service.posts == ["known", "a"]


@pytest.mark.looptime
async def test_a_known_task_that_is_not_found_now_proves_nothing() -> None:
    bench = Bench()
    await bench.submit("known")
    bench.service.finds_external_ids = False
    bench.service.script.append(lost(is_accepted=True))
    with pytest.raises(SubmissionUncertainError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.UNCERTAIN
    assert bench.service.posts == ["known", "a"]


@pytest.mark.looptime
@pytest.mark.parametrize("on_uncertain", ["raise", "resubmit"])
async def test_an_id_called_used_is_never_taken_for_absent(on_uncertain: str) -> None:
    """Fault 21: whatever the lookups say, the service says that there is a task."""
    bench = Bench(submit=SubmitPolicy(on_uncertain=on_uncertain))
    await bench.submit("known")
    bench.service.script.extend([lost(is_accepted=False), USED])
    with pytest.raises(SubmissionUncertainError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.UNCERTAIN
    assert bench.service.posts == ["known", "a", "a"]


# -- cancellation


@pytest.mark.looptime
async def test_a_submit_cancelled_before_its_request_sends_nothing() -> None:
    """Fault 31: cancel before the request."""
    bench = Bench(slots=SlotPolicy(start=1, maximum=1))
    await bench.submit("first")
    waiting = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await bench.state("a") is JobState.PLANNED
    assert bench.service.posts == ["first"]
    assert bench.slots.held == 1


@pytest.mark.looptime
async def test_a_submit_cancelled_while_the_pace_is_kept_sends_nothing() -> None:
    """Fault 31: cancel before the request."""
    bench = Bench()
    bench.breaker.pause(30, RateLimitError("slow", code=1302))
    waiting = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await bench.state("a") is JobState.PLANNED
    assert bench.service.posts == []
    assert bench.slots.held == 0


@pytest.mark.looptime
async def test_a_submit_cancelled_in_mid_post_is_held_until_its_outcome_is_written() -> None:
    """Fault 32: cancel in mid-POST."""
    bench = Bench()
    bench.service.script.append(Trouble(answers_after_s=5))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submit
    assert await bench.state("a") is JobState.ACCEPTED
    assert bench.slots.running == 1


@pytest.mark.looptime
async def test_a_submit_cancelled_in_mid_post_is_the_same_task_when_submitted_again(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 32: cancel in mid-POST."""
    emulator.fail_next(Fault.late(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await client.submit(SQUISH, external_task_id="order-42")
    await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.requests["submit"] == emulator.ledger.total == 1


@pytest.mark.looptime
async def test_closing_sees_all_attempts_out_at_the_same_time() -> None:
    """A hundred hung submits keep a service from stopping for one grace, not for a hundred."""
    bench = Bench(submit=SubmitPolicy(cancel_grace_s=10), slots=SlotPolicy(start=20))
    for n in range(20):  # each acceptance lets one more out at once
        await bench.submit(f"first-{n}")
    bench.service.script.extend([Trouble(answers_after_s=1000)] * 20)
    submits = [asyncio.ensure_future(bench.submit(f"job-{n}")) for n in range(20)]
    await asyncio.sleep(1)
    assert await seconds_taken(bench.submitter.aclose()) == pytest.approx(10)
    assert {await bench.state(f"job-{n}") for n in range(20)} == {JobState.UNCERTAIN}
    await asyncio.gather(*submits, return_exceptions=True)


@pytest.mark.looptime
async def test_a_post_that_outlasts_the_grace_is_left_ambiguous() -> None:
    """Fault 32: bounded, else uncertain."""
    bench = Bench(submit=SubmitPolicy(cancel_grace_s=10))
    bench.service.script.append(Trouble(answers_after_s=1000))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    assert await seconds_taken(asyncio.wait([submit])) == pytest.approx(10)
    assert submit.cancelled()
    assert await bench.state("a") is JobState.UNCERTAIN
    assert bench.slots.held == 0


class HungStore(MemoryStore):
    """A journal on a disk that hangs once the first byte has left."""

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        if update.to is not JobState.SUBMITTING:
            await asyncio.Event().wait()
        await super().move(account, external_task_id, update)


@pytest.mark.looptime
async def test_a_disk_that_hangs_does_not_hold_a_cancelled_submit_for_ever() -> None:
    """Fault 32: bounded."""
    bench = Bench(store=HungStore(), submit=SubmitPolicy(cancel_grace_s=10))
    bench.service.script.append(Trouble(answers_after_s=1000))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    assert await seconds_taken(asyncio.wait([submit])) == pytest.approx(20)
    assert submit.cancelled()
    assert await bench.state("a") is JobState.SUBMITTING


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("answers_after_s", "outcome"), [(5, JobState.ACCEPTED), (1000, JobState.UNCERTAIN)]
)
async def test_a_second_cancel_leaves_at_once_and_the_attempt_comes_to_its_outcome(
    answers_after_s: float, outcome: JobState
) -> None:
    """Faults 34, 78: leave now, the journal will be right."""
    bench = Bench(submit=SubmitPolicy(cancel_grace_s=10))
    bench.service.script.append(Trouble(answers_after_s=answers_after_s))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    await asyncio.sleep(1)
    submit.cancel()
    assert await seconds_taken(asyncio.wait([submit])) == pytest.approx(0, abs=0.1)
    assert submit.cancelled()
    await asyncio.sleep(10)
    assert await bench.state("a") is outcome
    assert bench.slots.held == bench.slots.running == (outcome is JobState.ACCEPTED)


@pytest.mark.looptime
async def test_a_submit_within_a_scope_that_cancels_every_await_is_not_cut_off() -> None:
    """Fault 78: level cancellation, as of anyio."""
    bench = Bench()
    bench.service.script.append(Trouble(answers_after_s=1.5))
    with anyio.move_on_after(0.5) as scope:
        await bench.submit("a")
    assert scope.cancelled_caught
    await bench.submitter.aclose()
    assert await bench.state("a") is JobState.ACCEPTED


@pytest.mark.looptime
async def test_a_plan_is_abandoned_only_once_its_attempt_has_its_outcome() -> None:
    """Fault 78: what a cancelled caller left behind may still be accepted."""
    bench = Bench()
    rejection = ContentRejectedError("no", code=1301)
    for name, trouble in (
        ("accepted", Trouble(answers_after_s=3)),
        ("planned", Trouble(arrives_after_s=3, error=NetworkError("rejected", sent=False))),
        ("rejected", Trouble(arrives_after_s=3, error=rejection)),
    ):
        bench.service.script.append(trouble)
        with anyio.move_on_after(1):
            await bench.submit(name)
        bench.submitter.abandon(a_job(name))
    await asyncio.sleep(10)
    states = [await bench.state(name) for name in ("accepted", "planned", "rejected")]
    assert states == [JobState.ACCEPTED, JobState.ABANDONED, JobState.REJECTED]


@pytest.mark.looptime
@pytest.mark.parametrize("is_sent", [False, True], ids=["while it is sent", "while looking"])
async def test_a_fault_that_nobody_foresaw_leaves_the_job_uncertain(is_sent: bool) -> None:
    """Fault 80: it may have been sent, and the caller gets an error of ours."""
    bench = Bench()

    async def fails(_given: Any) -> Any:
        raise LookupError("secret")

    post = bench.service.submit if is_sent else fails
    bench.service.script.append(lost(is_accepted=False))
    bench.submitter = Bench(
        bench.service,
        bench.store,
        api=Otherwise(bench.service, submit=post, look_up=fails),
        on_accepted=bench.accepted,
    ).submitter
    with pytest.raises(SubmissionUncertainError, match="LookupError") as caught:
        await bench.submit("a")
    assert "secret" not in str(caught.value)
    assert await bench.state("a") is JobState.UNCERTAIN
    assert bench.slots.held == 0


@pytest.mark.looptime
async def test_no_request_is_left_under_way_behind_a_submit_that_was_cancelled_twice() -> None:
    """Fault 34: what goes on unseen would be paid a second time."""
    bench = Bench()
    bench.service.rejects_used_ids = False
    await bench.submit("known")
    bench.service.script.append(Trouble(arrives_after_s=8))
    submit = asyncio.ensure_future(bench.submit("a"))
    for _ in range(2):
        await asyncio.sleep(1)
        submit.cancel()
    await asyncio.wait([submit])
    await bench.submit("a")
    await asyncio.sleep(60)
    assert len(bench.service.books["a"]) == 1


# -- what concerns every submit


STOPS = {
    1000: AuthenticationError,  # Fault 16
    1102: AccountError,  # Fault 19
}


@pytest.mark.looptime
@pytest.mark.parametrize("code", STOPS)
async def test_what_stops_the_account_stops_fifty_waiting_submits_after_a_few_posts(
    emulator: Emulator, code: int, tmp_path: Path
) -> None:
    """Faults 16, 19: key wrong; balance used up: what is paid goes on."""
    async with emulator.client(slots=SlotPolicy(start=3, maximum=5)) as client:
        paid = [await client.submit(SQUISH) for _ in range(2)]
        emulator.fail_next(Fault.business_code(code), times=50)
        submits = [client.submit(SQUISH) for _ in range(50)]
        errors = await asyncio.gather(*submits, return_exceptions=True)
        assert {type(error) for error in errors} == {STOPS[code]}
        assert len({id(error) for error in errors}) == 50
        assert emulator.requests["submit"] <= 2 + 3
        for task in paid:
            result = await task
            await client.download(result.video, tmp_path / f"{result.task_id}.mp4")
    assert emulator.ledger.total == 2


@pytest.mark.looptime
async def test_submits_go_on_by_themselves_once_the_account_is_topped_up(
    emulator: Emulator,
) -> None:
    """Fault 19: one probe at a time until a person has acted."""
    async with emulator.client(slots=SlotPolicy(probe_s=60)) as client:
        emulator.fail_next(Fault.business_code(1102), times=2)
        for _ in range(2):
            with pytest.raises(AccountError):
                await client.submit(SQUISH)
            with pytest.raises(AccountError):
                await client.submit(SQUISH)
            await asyncio.sleep(61)
        emulator.fail_next(Fault.late(5))
        submits = [client.submit(SQUISH) for _ in range(3)]
        outcomes = await asyncio.gather(*submits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(EffectTask) == 1
        assert (await client.submit(SQUISH)).task_id
    assert emulator.requests["submit"] == 4


async def test_a_task_found_by_a_lookup_does_not_say_that_the_account_can_pay() -> None:
    bench = Bench()
    bench.service.accept("a")
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    bench.breaker.trip(AccountError("nothing left", code=1102))
    await bench.submit("a")
    with pytest.raises(AccountError):
        await bench.submit("b")
    assert bench.service.posts == []


@pytest.mark.looptime
async def test_moderation_fails_this_job_alone(client: EffectsClient, emulator: Emulator) -> None:
    """Fault 20: content rejected."""
    emulator.fail_next(Fault.business_code(1301))
    submits = [client.submit(SQUISH) for _ in range(5)]
    outcomes = await asyncio.gather(*submits, return_exceptions=True)
    rejected = [outcome for outcome in outcomes if not isinstance(outcome, EffectTask)]
    assert [type(error) for error in rejected] == [ContentRejectedError]
    assert "risk control" in str(rejected[0])
    assert emulator.requests["submit"] == 5


@pytest.mark.looptime
async def test_a_job_rejected_for_its_content_can_be_submitted_again(
    client: EffectsClient, emulator: Emulator
) -> None:
    emulator.fail_next(Fault.business_code(1301))
    with pytest.raises(ContentRejectedError):
        await client.submit(SQUISH, external_task_id="order-42")
    await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.ledger.accepted("order-42") == 1


async def test_a_full_account_is_no_error_and_its_size_is_remembered(tmp_path: Path) -> None:
    """Fault 15: too many parallel tasks."""
    options = QUICK | {"journal": tmp_path / "jobs.db"}
    # Tasks of 0.3 s: long beside a submit on a busy machine, or the slots are never all taken.
    async with Emulator(clips=Clips.STOCK, speed=600, slots=3, task_seconds=180.0) as emulator:
        async with emulator.client(**options) as client:
            results = await asyncio.gather(*(client.run(SQUISH) for _ in range(20)))
        assert len({result.task_id for result in results}) == emulator.ledger.total == 20
        async with Journal(tmp_path / "jobs.db", read_only=True) as journal:
            assert await journal.memo("slots", ACCOUNT) in ("3", "4")
        asked = emulator.requests["submit"]
        async with emulator.client(**options) as client:
            await asyncio.gather(*(client.run(SQUISH) for _ in range(3)))
        assert emulator.requests["submit"] - asked <= 4


@pytest.mark.looptime
async def test_slots_that_others_hold_are_waited_for_however_long() -> None:
    """Fault 15: the account's tasks are not all ours."""
    bench = Bench()
    bench.service.limit = 1
    bench.service.unfinished.add("another process's")
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(24 * 3600)
    assert not submit.done()
    assert len(bench.service.posts) < 24 * 3600 / 30 + 50
    bench.service.unfinished.clear()
    assert (await submit).task_id == "t0"


@pytest.mark.looptime
@pytest.mark.parametrize("retry_after_s", [30, None])
async def test_a_pace_that_is_too_fast_pauses_every_submit(
    client: EffectsClient, emulator: Emulator, retry_after_s: int | None
) -> None:
    """Fault 13: 429 Retry-After seconds."""
    emulator.fail_next(Fault.rate_limited(retry_after_s))
    first = asyncio.ensure_future(client.submit(SQUISH))
    await asyncio.sleep(0.5)
    others = [asyncio.ensure_future(client.submit(SQUISH)) for _ in range(5)]
    await asyncio.sleep((retry_after_s or 1) - 0.6)
    assert emulator.requests["submit"] == 1
    assert await seconds_taken(asyncio.gather(first, *others)) < 3
    assert emulator.requests["submit"] == 7


@pytest.mark.looptime
async def test_a_pause_longer_than_the_patience_ends_every_submit_at_once(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 14: 10^9: an error at once, with `retry_after` in the error."""
    emulator.fail_next(Fault.rate_limited(10**9))
    for _ in range(3):
        with pytest.raises(RateLimitError) as caught:
            await client.submit(SQUISH)
        assert caught.value.retry_after_s == 10**9
    assert emulator.requests["submit"] == 1
    await asyncio.sleep(61)
    assert (await client.submit(SQUISH)).task_id


@pytest.mark.looptime
@pytest.mark.parametrize("waited_s", [5, 39, 100, 200])
async def test_slots_that_others_give_back_are_not_free_for_long(waited_s: int) -> None:
    """Fault 92: nothing stands still while slots are free."""
    bench = Bench()
    bench.service.limit = 1
    bench.service.unfinished.add("another process's")
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(waited_s)
    bench.service.unfinished.clear()
    assert await seconds_taken(submit) <= max(1, waited_s / 10)


# Surplus slots are given back instead of tried.
MOST_REJECTIONS = {15: 24, 10: 10, 5: 18}


@pytest.mark.looptime
@pytest.mark.parametrize("slots", [15, 10, 5])
@pytest.mark.parametrize("answer_s", [0.0, 0.02, 0.5])
async def test_a_small_account_is_used_all_the_time(slots: int, answer_s: float) -> None:
    """Fault 92: a burst of 1303 counts once; 40 tasks of 10 s end within 1.6 times the ideal."""
    bench = Bench()
    bench.service.limit = slots
    bench.service.answer_s = answer_s
    accepted_at = []
    loop = asyncio.get_running_loop()

    async def run(name: str) -> None:
        job = await bench.submit(name)
        assert job.task_id is not None
        accepted_at.append(loop.time())
        await asyncio.sleep(10)
        bench.end(job.task_id)

    started = loop.time()
    await asyncio.gather(*(run(f"job-{number}") for number in range(40)))
    assert loop.time() - started <= 1.6 * 10 * math.ceil(40 / slots)
    gaps = [later - earlier for earlier, later in pairwise([started, *sorted(accepted_at)])]
    assert max(gaps) <= 10 + 4
    assert len(bench.service.posts) <= 40 + MOST_REJECTIONS[slots]


@pytest.mark.looptime
async def test_rejections_for_pace_without_an_end_are_an_error_after_the_patience(
    emulator: Emulator,
) -> None:
    """Fault 92: 1302 for ever."""
    policy = SubmitPolicy(max_retry_after_s=100)
    async with emulator.client(submit=policy) as client:
        emulator.fail_next(Fault.business_code(1302), times=100)
        loop = asyncio.get_running_loop()
        started = loop.time()
        submits = [asyncio.ensure_future(client.submit(SQUISH)) for _ in range(20)]
        await asyncio.sleep(50)
        assert not any(submit.done() for submit in submits)
        assert client.stats.held_back_by.startswith("request rate is too high")
        assert client.stats.waiting == 20
        outcomes = await asyncio.gather(*submits, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RateLimitError}
        assert "max_retry_after_s" in str(outcomes[0])
        assert 100 < loop.time() - started < 300
        assert emulator.requests["submit"] < 15
    assert emulator.ledger.total == 0


@pytest.mark.looptime
async def test_slots_that_are_all_taken_are_never_a_matter_of_patience(emulator: Emulator) -> None:
    """Fault 15: also after a rejection for pace."""
    async with emulator.client(submit=SubmitPolicy(max_retry_after_s=0.1)) as client:
        emulator.fail_next(Fault.business_code(1302))
        emulator.fail_next(Fault.business_code(1303), times=3)
        assert (await client.submit(SQUISH)).task_id


@pytest.mark.looptime
async def test_the_stats_tell_of_slots_and_submits(emulator: Emulator) -> None:
    client = emulator.client(slots=SlotPolicy(start=2, maximum=2))
    assert client.stats == ClientStats(slots=2)
    async with client:
        tasks = [await client.submit(SQUISH) for _ in range(2)]
        third = asyncio.ensure_future(client.submit(SQUISH))
        await asyncio.sleep(1)
        assert client.stats == ClientStats(slots=2, running=2, waiting=1)
        await asyncio.gather(*tasks)
        await (await third)
        assert client.stats == ClientStats(slots=2)


@pytest.mark.looptime
async def test_a_rate_limit_does_not_use_up_the_tries(emulator: Emulator) -> None:
    """Fault 13: does not use up the attempt count."""
    async with emulator.client(retry=RetryPolicy(attempts=2)) as client:
        emulator.fail_next(Fault.rate_limited(1), times=10)
        assert (await client.submit(SQUISH)).task_id
    assert emulator.requests["submit"] == 11


@pytest.mark.looptime
async def test_what_could_pass_the_budget_is_not_sent(emulator: Emulator) -> None:
    async with emulator.client(budget_units=4) as client:
        outcomes = await asyncio.gather(
            client.submit(SQUISH), client.submit(SQUISH), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [EffectTask, BudgetExceededError]
    assert emulator.requests["submit"] == 1


@pytest.mark.looptime
async def test_a_job_waiting_for_a_place_does_not_pass_the_budget_when_one_ends(
    emulator: Emulator,
) -> None:
    """What a task cost counts from the moment it ends, not a moment later."""
    async with emulator.client(slots=SlotPolicy(start=1, maximum=1), budget_units=4) as client:
        outcomes = await asyncio.gather(
            *(client.submit(SQUISH) for _ in range(4)), return_exceptions=True
        )
        rejected = [error for error in outcomes if isinstance(error, BudgetExceededError)]
    assert emulator.ledger.total == 2  # two units each
    assert [error.spent_units + error.running_units for error in rejected] == [4, 4]


@pytest.mark.looptime
async def test_a_task_found_after_a_crash_counts_as_running() -> None:
    bench = Bench(budget_units=Decimal(4))
    bench.service.accept("a")
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    await bench.submit("a")
    with pytest.raises(BudgetExceededError) as caught:
        await bench.submit("b")
    assert caught.value.running_units == Decimal("3.5")
    assert bench.service.posts == []


async def test_a_rejected_job_gives_its_money_back() -> None:
    bench = Bench(budget_units=Decimal(4))
    bench.service.script.append(Trouble(error=ContentRejectedError("risk control", code=1301)))
    with pytest.raises(ContentRejectedError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.REJECTED
    assert (await bench.submit("b")).state is JobState.ACCEPTED


# -- nothing arrived


class NoSuchHost(AbstractResolver):
    """A resolver that knows no name."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        raise OSError(f"no such host: {host}")

    async def close(self) -> None:
        """Nothing to close."""


async def test_without_the_services_address_a_job_is_tried_and_stays_planned(
    tmp_path: Path,
) -> None:
    """Fault 1: DNS failure before submit."""
    resolver = NoSuchHost()
    service = Service.gateway("https://kling.invalid")
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        EffectsClient(
            BearerToken("test-key"),
            service=service,
            session=session,
            journal=tmp_path / "jobs.db",
            **QUICK,
        ) as client,
    ):
        with pytest.raises(NetworkError) as caught:
            await client.submit(SQUISH, external_task_id="order-42")
    assert caught.value.sent is False
    assert resolver.asked == 3
    assert await state_in(tmp_path / "jobs.db", "order-42") is JobState.PLANNED


async def test_a_rejected_connection_leaves_the_job_planned(tmp_path: Path) -> None:
    """Fault 2: connection refused."""
    service = Service.gateway("http://127.0.0.1:1")
    journal = tmp_path / "jobs.db"
    async with EffectsClient(
        BearerToken("test-key"), service=service, journal=journal, **QUICK
    ) as client:
        with pytest.raises(NetworkError) as caught:
            await client.submit(SQUISH, external_task_id="order-42")
    assert caught.value.sent is False
    assert await state_in(journal, "order-42") is JobState.PLANNED


@pytest.mark.looptime
async def test_what_surely_did_not_arrive_is_tried_again_after_growing_pauses() -> None:
    """Faults 1, 2, 4: surely not sent."""
    bench = Bench()
    rejected = Trouble(error=NetworkError("rejected", sent=False))
    bench.service.script.extend([rejected] * 4)
    assert await seconds_taken(bench.submit("a")) == pytest.approx(0.75 * (0.5 + 1 + 2 + 4))
    assert bench.service.total == 1


@pytest.mark.looptime
async def test_the_span_of_tries_begins_with_the_first_try_and_not_in_line() -> None:
    bench = Bench(slots=SlotPolicy(start=1, maximum=1), retry=RetryPolicy(max_elapsed_s=60))
    await bench.submit("first")
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(600)
    bench.service.script.append(Trouble(error=NetworkError("rejected", sent=False)))
    bench.end("t0")
    assert (await submit).state is JobState.ACCEPTED


# -- the journal


class FullStore(MemoryStore):
    """A journal whose disk has room for so many more moves."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    async def move(self, *given: Any, **named: Any) -> None:
        self.room -= 1
        if self.room < 0:
            raise JournalFullError("no room")
        await super().move(*given, **named)


async def test_what_cannot_be_written_down_is_not_sent() -> None:
    """Fault 28: journal disk full."""
    bench = Bench(store=FullStore(room=0))
    with pytest.raises(JournalFullError):
        await bench.submit("a")
    assert bench.service.posts == []
    assert bench.slots.held == 0


async def test_a_task_accepted_when_the_disk_is_full_is_known_all_the_same() -> None:
    """Fault 28: go on in memory."""
    bench = Bench(store=FullStore(room=1))
    job = await bench.submit("a")
    assert (job.state, job.task_id) == (JobState.ACCEPTED, "t0")
    assert list(bench.held_slots) == ["t0"]
    assert await bench.state("a") is JobState.SUBMITTING  # a restart looks for it


@pytest.mark.looptime
async def test_a_lost_answer_is_told_also_when_the_disk_is_full() -> None:
    """Fault 28: "nothing was written" must not be read as "nothing was sent"."""
    bench = Bench(store=FullStore(room=1))
    bench.service.script.append(lost(is_accepted=True))
    bench.service.answers_lookups = False
    with pytest.raises(SubmissionUncertainError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.SUBMITTING


@pytest.mark.looptime
async def test_a_lost_answer_is_found_also_when_the_disk_is_full() -> None:
    """Fault 28: go on in memory."""
    bench = Bench(store=FullStore(room=1))
    bench.service.script.append(lost(is_accepted=True))
    assert (await bench.submit("a")).task_id == "t0"
    assert bench.service.posts == ["a"]


async def test_waits_go_on_when_the_journals_disk_is_full(tmp_path: Path) -> None:
    """Fault 28: journal disk full: submit nothing, go on polling."""
    resource = pytest.importorskip("resource")
    async with (
        Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as emulator,
        emulator.client(journal=tmp_path / "jobs.db", **QUICK) as client,
    ):
        task = await client.submit(SQUISH)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        try:
            with pytest.raises(JournalError):
                await client.submit(SQUISH)
            assert (await task).videos
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert (await client.submit(SQUISH)).task_id
        assert emulator.requests["submit"] == 2


async def test_two_clients_do_not_share_a_journal(tmp_path: Path) -> None:
    """Fault 29: two processes on one journal."""
    options = QUICK | {"journal": tmp_path / "jobs.db"}
    async with (
        Emulator(clips=Clips.STOCK, speed=600) as emulator,
        emulator.client(**options) as first,
    ):
        with pytest.raises(JournalBusyError):
            await emulator.client(**options).__aenter__()
        assert (await first.submit(SQUISH)).task_id


async def test_a_job_that_a_person_gave_up_is_not_sent() -> None:
    bench = Bench()
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.ABANDONED))
    with pytest.raises(EffectRejectedError, match="abandoned"):
        await bench.submit("a")
    assert bench.service.posts == []


async def test_a_job_that_was_settled_meanwhile_is_not_settled_again() -> None:
    bench = Bench()
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    stale = await bench.store.add(a_job("a"))
    bench.service.accept("a")
    first, second = await asyncio.gather(*(bench.submitter.settle(stale) for _ in range(2)))
    assert first.task_id == second.task_id == "t0"
    assert bench.slots.held == 1


# -- resuming


class Left:
    """A journal as a dead process left it, and a service that goes on."""

    def __init__(self, emulator: Emulator, journal: Path, image: Path) -> None:
        self.emulator = emulator
        self.journal = journal
        self.effect = SingleImageEffect("squish", image=image)
        self.digest = image_hash(image)

    async def accepted(self, name: str) -> str:
        """A task that the service has."""
        async with self.emulator.client(poll=QUICK["poll"]) as dead:
            task_id = (await dead.submit(self.effect, external_task_id=name)).task_id
        assert task_id is not None
        return task_id

    async def job(self, name: str, *states: JobState, task_id: str | None = None) -> None:
        """A job that came through these states."""
        job = make_job(
            self.effect,
            account=ACCOUNT,
            external_task_id=name,
            image_hashes=[self.digest],
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        async with Journal(self.journal) as journal:
            await journal.add(job)
            for state in states:
                has_task = state in (JobState.ACCEPTED, JobState.SUCCEEDED)
                given = task_id if has_task else None
                await journal.move(ACCOUNT, name, JobUpdate(state, task_id=given))

    async def resumed(self, folder: Path | None = None) -> list[Done | Failed]:
        async with self.emulator.client(journal=self.journal, **QUICK) as client:
            return [outcome async for outcome in client.resume(download_to=folder)]


@pytest.fixture
async def left(cat: Path, tmp_path: Path) -> AsyncIterator[Left]:
    image = tmp_path / "cat.jpg"
    image.write_bytes(cat.read_bytes())
    async with Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as emulator:
        yield Left(emulator, tmp_path / "jobs.db", image)


async def test_a_job_that_was_only_planned_is_submitted(left: Left) -> None:
    """Fault 24: SIGKILL before the POST."""
    await left.job("order-42")
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert left.emulator.ledger.accepted("order-42") == 1
    assert await state_in(left.journal, "order-42") is JobState.SUCCEEDED


@pytest.mark.parametrize("doubt", ["submitting", "uncertain"])
async def test_a_job_in_doubt_whose_task_is_found_is_not_paid_again(left: Left, doubt: str) -> None:
    """Fault 23: accepted, but the SIGKILL came before the journal write."""
    task_id = await left.accepted("order-42")
    await left.job("order-42", JobState.SUBMITTING, JobState(doubt))
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert outcome.result.task_id == task_id
    assert left.emulator.requests["submit"] == 1


@pytest.mark.parametrize("doubt", ["submitting", "uncertain"])
async def test_a_job_in_doubt_that_is_proved_absent_is_submitted(left: Left, doubt: str) -> None:
    """Fault 24: SIGKILL between journal write and POST."""
    known = await left.accepted("known")
    steps = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)
    await left.job("known", *steps, task_id=known)
    await left.job("order-42", JobState.SUBMITTING, JobState(doubt))
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert left.emulator.ledger.accepted("order-42") == 1


async def test_a_job_in_doubt_that_cannot_be_settled_is_reported_and_not_sent(left: Left) -> None:
    """Fault 24: in any other case a person decides."""
    await left.job("order-42", JobState.SUBMITTING)
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, SubmissionUncertainError)
    assert left.emulator.requests["submit"] == 0
    assert await state_in(left.journal, "order-42") is JobState.UNCERTAIN


async def test_an_accepted_task_is_waited_for(left: Left) -> None:
    """Faults 25, 33: SIGKILL, or a cancel, while polling."""
    task_id = await left.accepted("order-42")
    await left.job("order-42", JobState.SUBMITTING, JobState.ACCEPTED, task_id=task_id)
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert outcome.result.task_id == task_id
    assert left.emulator.requests["submit"] == 1
    assert await state_in(left.journal, "order-42") is JobState.SUCCEEDED


async def test_a_succeeded_task_is_brought_home(left: Left, tmp_path: Path) -> None:
    """Fault 25: SIGKILL while downloading."""
    task_id = await left.accepted("order-42")
    steps = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)
    await left.job("order-42", *steps, task_id=task_id)
    assert await left.resumed() == []
    (outcome,) = await left.resumed(tmp_path)
    assert isinstance(outcome, Done)
    assert outcome.path is not None
    assert outcome.path.read_bytes()[4:8] == b"ftyp"
    assert await state_in(left.journal, "order-42") is JobState.DOWNLOADED
    assert await left.resumed(tmp_path) == []


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_an_image_that_is_not_the_planned_one_is_not_submitted(
    left: Left, coffee: Path, is_deleted: bool
) -> None:
    """Fault 56: image changed or deleted between plan and upload."""
    await left.job("order-42")
    image = left.effect.image
    assert isinstance(image, Path)
    if is_deleted:
        image.unlink()
    else:
        image.write_bytes(coffee.read_bytes())
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ImageRejectedError)
    assert left.emulator.requests["submit"] == 0


async def test_one_failure_does_not_keep_the_others_from_their_end(left: Left) -> None:
    """Fault 20: this job fails for good, others go on."""
    for number in range(5):
        await left.job(f"order-{number}")
    left.emulator.fail_next(Fault.business_code(1301))
    outcomes = await left.resumed()
    assert [type(outcome) for outcome in outcomes].count(Done) == 4
    assert left.emulator.ledger.total == 4
    assert left.emulator.ledger.repeated() == ()


async def test_a_task_of_an_earlier_process_is_followed_once_it_is_asked_for_again(
    left: Left,
) -> None:
    task_id = await left.accepted("order-42")
    await left.job("order-42", JobState.SUBMITTING, JobState.ACCEPTED, task_id=task_id)
    async with left.emulator.client(journal=left.journal, **QUICK) as client:
        tasks = [client.submit(left.effect, external_task_id="order-42") for _ in range(3)]
        for task in await asyncio.gather(*tasks):
            assert (await task).task_id == task_id
    assert left.emulator.requests["submit"] == 1
    assert await state_in(left.journal, "order-42") is JobState.SUCCEEDED
