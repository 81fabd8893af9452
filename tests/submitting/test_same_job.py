"""One external id is one job: the same task for every caller, an error for another effect."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from kling_effects_async import (
    AccountChangedError,
    BearerToken,
    Done,
    EffectsClient,
    ExternalIdTakenError,
    Failed,
    IdempotencyConflictError,
    NetworkError,
    RateLimitError,
    Service,
    SingleImageEffect,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator, RepeatedId
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.paid_service import Bench, Failure, a_job, lost
from tests.support.submits import QUICK, SQUISH, URL

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


@pytest.mark.looptime
async def test_a_used_id_that_was_sent_from_here_adopts_the_task() -> None:
    """Fault 21: duplicate external id rejected; an earlier try was accepted after all."""
    bench = Bench()
    await bench.submit("known")
    bench.service.script.append(lost(is_accepted=False))
    bench.service.script.append(Failure(arrives_after_s=1))
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
    first.service.script.append(Failure(error=rejected, is_accepted=True))
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
    bench.service.script.append(Failure(error=NetworkError("rejected", sent=False)))
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
        async with SqliteStore(journal) as opened:
            assert await opened.adopt(old, new) == 1
        _, adopted = await outcome("second-key")
        assert adopted.result.task_id == first.result.task_id
        assert emulator.requests["submit"] == 1


async def test_resume_says_what_it_leaves_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 72: open jobs of other accounts."""
    path = tmp_path / "jobs.db"
    async with SqliteStore(path) as journal:
        for name in ("a", "b"):
            await journal.add(evolve(a_job(name), account="the old key's"))
    async with (
        Emulator(clips=Clips.STOCK) as emulator,
        emulator.client(journal=path, account="the new key's") as client,
    ):
        assert [outcome async for outcome in client.resume()] == []
    assert "2 open jobs of other accounts were left alone" in caplog.text
    assert "the new key's" in caplog.text
