"""Why a job is uncertain: a second submit, `settle` and the journal tell the true reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kling_effects_async import EffectsClient, JobState, SubmissionUncertainError, SubmitPolicy
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.journal.store import JobStore
from tests.support.command_line import acceptance
from tests.support.paid_service import ACCOUNT, Bench, a_job, lost
from tests.support.submits import QUICK, SQUISH

NAME = "order-1"
DIED = "process died"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=60.0, seed=1) as running:
        yield running


def let_lookups_fail(emulator: Emulator) -> None:
    for operation in ("query", "list"):
        emulator.fail_next(Fault.answer(503, on=operation), times=50)


async def doubt(client: EffectsClient) -> SubmissionUncertainError:
    """The error of one more submit under the id."""
    with pytest.raises(SubmissionUncertainError) as raised:
        await client.submit(SQUISH, external_task_id=NAME)
    return raised.value


@pytest.mark.parametrize("has_journal", [True, False])
async def test_an_answer_lost_here_is_told_again_as_it_was(
    emulator: Emulator, has_journal: bool, tmp_path: Path
) -> None:
    """Faults 7, 8: an answer was lost; nothing died."""
    emulator.fail_next(Fault.cut_after_reading(on="submit", accepted=True))
    let_lookups_fail(emulator)
    journal = tmp_path / "jobs.db" if has_journal else None
    async with emulator.client(journal=journal, **QUICK) as client:
        first = await doubt(client)
        again, third = await doubt(client), await doubt(client)
    lost_as = {error.reason.partition("; ")[0] for error in (first, again, third)}
    assert len(lost_as) == 1  # the rest has the ids of requests
    assert "lookup was not answered" in first.reason
    assert again.reason in str(again)
    assert DIED not in str(again)


async def test_a_cancelled_submit_is_told_as_cancelled(emulator: Emulator) -> None:
    """Fault 32: cancelled in the middle of a submit."""
    emulator.fail_next(Fault.silence(on="submit", accepted=True))
    let_lookups_fail(emulator)
    submit = SubmitPolicy(settle_pause_s=0.02, cancel_grace_s=0.05)
    async with emulator.client(**{**QUICK, "submit": submit}) as client:
        task = asyncio.ensure_future(client.submit(SQUISH, external_task_id=NAME))
        await acceptance(emulator)
        task.cancel()
        await asyncio.wait([task])
        again = await doubt(client)
    assert again.reason.startswith("its submit was cancelled")
    assert DIED not in str(again)


async def test_a_submit_whose_process_died_is_told_so(store: JobStore) -> None:
    """Fault 23: what a SIGKILL before the outcome leaves in the journal."""
    bench = Bench(store=store, submit=SubmitPolicy(settle_pause_s=0.01))
    bench.service.answers_lookups = False
    await store.add(a_job(NAME))
    await store.move(ACCOUNT, NAME, JobUpdate(JobState.SUBMITTING))
    for _ in range(2):  # also once it is written down
        with pytest.raises(SubmissionUncertainError, match=DIED):
            await bench.submit(NAME)
    (held,) = await store.find(NAME)
    assert (held.state, DIED in held.message) == (JobState.UNCERTAIN, True)


async def test_a_lookup_that_shows_nothing_keeps_the_reason(store: JobStore) -> None:
    """Faults 7, 8: an answer was lost, and "not found" proves nothing."""
    bench = Bench(store=store, submit=SubmitPolicy(settle_pause_s=0.01))
    bench.service.finds_external_ids = False
    bench.service.script.append(lost(is_accepted=True))
    for _ in range(3):
        with pytest.raises(SubmissionUncertainError) as raised:
            await bench.submit(NAME)
        assert raised.value.reason == "the connection broke"
    (held,) = await store.find(NAME)
    assert held.message == "the connection broke"


async def test_lookups_without_an_answer_are_told_beside_the_reason(store: JobStore) -> None:
    """Faults 7, 8: the reason of a doubt does not grow with each try to settle it."""
    bench = Bench(store=store, submit=SubmitPolicy(settle_pause_s=0.01))
    bench.service.answers_lookups = False
    bench.service.script.append(lost(is_accepted=True))
    for _ in range(3):
        with pytest.raises(SubmissionUncertainError) as raised:
            await bench.submit(NAME)
        assert raised.value.reason.count("nobody answers") == 1
        assert raised.value.reason.startswith("the connection broke; the lookup")
