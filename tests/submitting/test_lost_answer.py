"""An answer was lost: what is looked up, sent again, or left uncertain."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve

from kling_effects_async import (
    EffectsClient,
    ExternalIdTakenError,
    JournalError,
    ReplyError,
    RetryPolicy,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator, Fault, RepeatedId
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.messages import Request
from tests.support.paid_service import ACCOUNT, Bench, Otherwise, PaidService, a_job, lost
from tests.support.submits import LOST, SQUISH, USED, seconds_taken


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
async def test_the_second_lookup_comes_as_much_later_as_the_answer_was_lost() -> None:
    """Fault 90: a line cut after 60 s is not settled after 5."""
    bench = Bench(submit=SubmitPolicy(settle_pause_s=5.0), retry=RetryPolicy(max_elapsed_s=600))
    await bench.submit("known")
    bench.service.script.append(evolve(lost(is_accepted=False), arrives_after_s=60))
    assert await seconds_taken(bench.submit("a")) >= 60 + 60
    assert bench.service.lookups == ["a", "a", "known"]


@pytest.mark.looptime
async def test_what_is_looked_up_first_is_not_paid_again(
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
        assert other.stats().running == 0
    assert emulator.ledger.total == 2


@pytest.mark.looptime
async def test_nothing_is_sent_before_a_first_lookup_was_answered(emulator: Emulator) -> None:
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


@pytest.mark.looptime
async def test_a_task_that_lookups_do_not_show_for_long_stays_the_jobs_own() -> None:
    """Faults 23, 73: a killed process sent it; two lookups find nothing, and then it exists."""
    service, store = PaidService(), MemoryStore()
    await Bench(service, store).submit("known")
    await store.add(a_job("a"))
    await store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    task_id = service.accept("a")
    service.hides("a", lookups=3)
    job = await Bench(service, store).submit("a")
    assert (job.state, job.task_id) == (JobState.ACCEPTED, task_id)
    assert service.books["a"] == [task_id]


@pytest.mark.looptime
async def test_a_lookup_with_another_id_of_the_task_does_not_lose_it() -> None:
    """Fault 6: behind a gateway a task has two ids, and is queried by one of them alone."""
    async with Emulator(clips=Clips.STOCK) as emulator, emulator.client() as client:
        emulator.fail_next(Fault.cut_after_reading(on="submit", accepted=True))
        emulator.fail_next(Fault.other_task())
        task = await client.submit(SQUISH, external_task_id="order-42")
        (paid,) = emulator.ledger.entries
        assert task.task_id != paid.task_id
        result = await task
        assert (result.task_id, result.external_task_id) == (paid.task_id, "order-42")
        assert emulator.ledger.total == 1


async def polls_until_the_end(lookup: Fault | None) -> int:
    """Of a task that was found again by a lookup with this fault."""
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=120.0) as emulator,
        emulator.client() as client,
    ):
        emulator.fail_next(Fault.cut_after_reading(on="submit", accepted=True))
        if lookup is not None:
            emulator.fail_next(lookup)
        task = await client.submit(SQUISH, external_task_id="order-42")
        await task
        await task.refresh()
        return client.stats().polls


@pytest.mark.looptime
async def test_a_task_known_by_its_external_id_is_polled_by_that_alone() -> None:
    """Fault 6: half of its polls would be answered "not found" otherwise."""
    usual = await polls_until_the_end(None)
    assert await polls_until_the_end(Fault.other_task()) < 1.25 * usual
