"""Many effects as one run, on a whole client and emulator."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from kling_effects_async import (
    Done,
    DualImageEffect,
    EffectsClient,
    EffectTask,
    Failed,
    JobState,
    Journal,
    PollPolicy,
    SingleImageEffect,
    SlotPolicy,
    derived_id,
)
from kling_effects_async.effects import Effect, ImageSource
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import (
    ClientClosedError,
    ImageRejectedError,
    ImageUnreadableError,
    NetworkError,
    SubmissionUncertainError,
    TaskFailedError,
)
from tests.support.bulk_run import SLOTS, ids, squish
from tests.support.descriptors import no_descriptor_left

LOOK_AHEAD = 8  # what the guide promises


@pytest.mark.looptime
async def test_every_effect_has_its_outcome(client: EffectsClient, emulator: Emulator) -> None:
    assert len(set(await ids(client, map(squish, range(30))))) == 30
    assert emulator.ledger.total == 30


@pytest.mark.looptime
async def test_an_image_that_changes_while_its_job_waits_for_a_place_is_not_sent(
    emulator: Emulator, tmp_path: Path, cat: Path, astronaut: Path
) -> None:
    """Fault 56: its job, and its id, are those of the image as it was."""
    image = tmp_path / "image.jpg"
    image.write_bytes(cat.read_bytes())
    one_place = SlotPolicy(start=1, maximum=1)
    async with (
        Journal(tmp_path / "jobs.db") as journal,
        emulator.client(journal=journal, slots=one_place) as client,
    ):
        first = await client.submit(squish(0))
        effect = SingleImageEffect("squish", image=image)
        second = asyncio.create_task(client.submit(effect, external_task_id="second"))
        while await journal.get(client.account, "second") is None:
            pass
        image.write_bytes(astronaut.read_bytes())
        await first
        with pytest.raises(ImageRejectedError, match="changed"):
            await second
    assert emulator.ledger.total == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such limit")
@pytest.mark.parametrize("out_of_descriptors_s", [5, 300])
@pytest.mark.looptime
async def test_an_image_that_cannot_be_read_for_a_while_is_read_again(
    client: EffectsClient, emulator: Emulator, cat: Path, out_of_descriptors_s: float
) -> None:
    """Fault 83: it is no fault of the picture."""
    await client.submit(squish(0))  # so that there is a connection
    effect = SingleImageEffect("squish", image=cat)
    with no_descriptor_left():
        submitting = asyncio.create_task(client.submit(effect))
        await asyncio.sleep(out_of_descriptors_s)
    if out_of_descriptors_s < 30:
        assert (await submitting).task_id
    else:
        with pytest.raises(ImageUnreadableError):
            await submitting
    assert emulator.ledger.total == 1 + (out_of_descriptors_s < 30)


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such limit")
@pytest.mark.looptime
async def test_a_job_whose_image_cannot_be_read_stays_planned(
    emulator: Emulator, tmp_path: Path, cat: Path
) -> None:
    """Fault 83: the job is sent by whoever asks for it again, and is rejected by nobody."""
    one_place = SlotPolicy(start=1, maximum=1)
    async with (
        Journal(tmp_path / "jobs.db") as journal,
        emulator.client(journal=journal, slots=one_place) as client,
    ):
        await client.submit(squish(0))
        effect = SingleImageEffect("squish", image=cat)
        second = asyncio.create_task(client.submit(effect, external_task_id="second"))
        while await journal.get(client.account, "second") is None:
            pass
        # No new connection can be made either, once the first one was given back.
        with no_descriptor_left(), pytest.raises((ImageUnreadableError, NetworkError)):
            await second
        job = await journal.get(client.account, "second")
        assert job is not None
        assert job.state is JobState.PLANNED
        await client.submit(effect, external_task_id="second")
    assert emulator.ledger.total == 2


def test_what_reads_answers_is_loaded_before_anything_is_sent(tmp_path: Path) -> None:
    """Fault 83: afterwards there may be no descriptor to load it with."""
    journal = str(tmp_path / "jobs.db")
    code = (
        "import asyncio, sys\n"
        "from kling_effects_async import BearerToken, EffectsClient\n"
        "async def main():\n"
        f"    async with EffectsClient(BearerToken('test-key'), journal={journal!r}):\n"
        "        sys.exit('cattrs' not in sys.modules)\n"
        "asyncio.run(main())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.looptime
async def test_as_many_run_as_there_are_slots_and_a_few_wait_ready(
    client: EffectsClient, emulator: Emulator
) -> None:
    drawn = 0
    ahead: list[int] = []

    def effects() -> Iterator[Effect]:
        nonlocal drawn
        for number in range(60):
            drawn += 1
            ahead.append(drawn - emulator.requests["submit"])
            yield squish(number)

    began_s = asyncio.get_running_loop().time()
    await ids(client, effects())
    took_s = asyncio.get_running_loop().time() - began_s
    assert emulator.requests["submit"] == 60  # none was rejected for want of a slot
    assert max(ahead) <= SLOTS + LOOK_AHEAD
    assert took_s < 60 / SLOTS * 12  # tasks take 10 s on average: the slots were never idle


@pytest.mark.looptime
async def test_a_million_effects_are_never_there_at_once(client: EffectsClient) -> None:
    alive: weakref.WeakSet[Effect] = weakref.WeakSet()
    most = drawn = 0

    def million() -> Iterator[Effect]:
        nonlocal most, drawn
        for number in range(1_000_000):
            effect = squish(number)
            alive.add(effect)
            drawn += 1
            most = max(most, len(alive))
            yield effect

    seen = 0
    async with aclosing(client.run_many(million())) as outcomes:
        async for _ in outcomes:
            seen += 1
            if seen == 100:
                break
    assert drawn <= 100 + SLOTS + LOOK_AHEAD
    assert most <= SLOTS + LOOK_AHEAD + 2  # and the one drawn, and the one looked at


@pytest.mark.looptime
async def test_outcomes_come_in_order_where_that_is_asked_for(client: EffectsClient) -> None:
    effects = [squish(number) for number in range(20)]
    seen = [outcome.effect async for outcome in client.run_many(effects, ordered=True)]
    assert seen == effects


@pytest.mark.looptime
async def test_an_async_iterable_is_as_good(client: EffectsClient) -> None:
    async def effects() -> AsyncIterator[Effect]:
        for number in range(7):
            await asyncio.sleep(1)
            yield squish(number)

    outcomes = [outcome async for outcome in client.run_many(effects())]
    assert sum(isinstance(outcome, Done) for outcome in outcomes) == 7


@pytest.mark.looptime
async def test_the_same_batch_again_submits_nothing(
    client: EffectsClient, emulator: Emulator
) -> None:
    first = await ids(client, map(squish, range(12)))
    again = await ids(client, map(squish, range(12)))
    assert sorted(again) == sorted(first)
    assert emulator.requests["submit"] == 12


@pytest.mark.looptime
@pytest.mark.parametrize("run", ["r", None])
async def test_another_clients_same_batch_submits_nothing_where_there_is_a_list(
    emulator: Emulator, run: str | None
) -> None:
    """Fault 88: without a journal the service's list is read once, at the start of a run."""
    effects = [squish(number) for number in range(12)]
    async with emulator.client() as first:
        before = await ids(first, effects, run)
    asked = dict(emulator.requests)
    async with emulator.client() as second:
        assert sorted(await ids(second, effects, run)) == sorted(before)
        accepted = [each async for each in second.submit_many([*effects, squish(99)], run=run)]
    assert len(accepted) == 13
    assert emulator.ledger.total == 13
    assert emulator.requests["submit"] == asked["submit"] + 1


@pytest.mark.looptime
async def test_without_a_list_a_run_goes_on_without_it() -> None:
    async with (
        Emulator(clips=Clips.STOCK, lists_tasks=False) as emulator,
        emulator.client() as client,
    ):
        assert len(await ids(client, [squish(number) for number in range(3)])) == 3
    assert emulator.ledger.total == 3


@pytest.mark.looptime
async def test_another_run_is_other_tasks(client: EffectsClient, emulator: Emulator) -> None:
    for run in ("monday", "tuesday", None):
        await ids(client, map(squish, range(3)), run)
    assert emulator.ledger.total == 9


@pytest.mark.looptime
async def test_a_submit_under_the_derived_id_is_the_job_of_the_run(
    client: EffectsClient, emulator: Emulator, cat: Path
) -> None:
    """Fault 71: a caller that plans again, and a batch, meet in one task."""
    effect = SingleImageEffect("squish", image=cat)
    name = await asyncio.to_thread(derived_id, effect, salt="summer")
    task = await client.submit(effect, external_task_id=name)
    assert await ids(client, [effect], run="summer") == [task.task_id]
    assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_the_same_effect_twice_is_one_task(client: EffectsClient, emulator: Emulator) -> None:
    found = await ids(client, [squish(1), squish(2), squish(1)])
    assert (len(found), len(set(found)), emulator.ledger.total) == (3, 2, 2)


@pytest.mark.looptime
async def test_the_same_picture_under_another_name_is_the_same_effect(
    client: EffectsClient, emulator: Emulator, tmp_path: Path, cat: Path
) -> None:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(cat.read_bytes())
    images: list[ImageSource] = [cat, copy, cat.read_bytes()]
    await ids(client, [SingleImageEffect("squish", image=image) for image in images])
    await ids(client, [DualImageEffect("hug", left=cat, right=copy)])
    assert emulator.ledger.total == 2


@pytest.mark.looptime
async def test_one_failure_sinks_nothing_else(
    client: EffectsClient, emulator: Emulator, tmp_path: Path
) -> None:
    missing = SingleImageEffect("squish", image=tmp_path / "missing.jpg")
    unknown = DualImageEffect("squish", left="https://a.example/1", right="https://a.example/2")
    emulator.fail_next(Fault.status_word("failed"))
    effects: list[Effect] = [squish(0), missing, unknown, *map(squish, range(1, 6))]
    failures, done = [], 0
    async for outcome in client.run_many(effects):
        if isinstance(outcome, Failed):
            failures.append(outcome)
        done += isinstance(outcome, Done)
    assert done == 5
    kinds = {failure.effect: type(failure.error) for failure in failures}
    assert kinds[missing] is ImageRejectedError
    assert TaskFailedError in kinds.values()
    assert len(kinds) == 3


async def test_a_break_leaves_no_half_submitted_job(tmp_path: Path) -> None:
    """In real time: the journal's thread knows no other."""
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=5.0, slots=SLOTS, speed=100) as emulator,
        emulator.client(journal=tmp_path / "jobs.db") as client,
    ):
        async with aclosing(client.run_many(map(squish, range(1000)), run="r")) as outcomes:
            async for _ in outcomes:
                break
        submitted = emulator.requests["submit"]
        await asyncio.sleep(0)
        assert emulator.requests["submit"] == submitted
    async with Journal(tmp_path / "jobs.db") as journal:
        states = [job.state async for job in journal.jobs()]
    assert JobState.SUBMITTING not in states
    assert (
        len([state for state in states if state is not JobState.PLANNED]) == emulator.ledger.total
    )


@pytest.mark.looptime
async def test_a_cancelled_run_leaves_no_task_of_the_loop_behind(client: EffectsClient) -> None:
    async def consume() -> None:
        async for _ in client.run_many(map(squish, range(100))):
            await asyncio.sleep(0)

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(20)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    gc.collect()
    assert not [task for task in asyncio.all_tasks() if "see_through" in repr(task.get_coro())]


@pytest.mark.looptime
async def test_clips_come_home_under_their_tasks_ids(
    client: EffectsClient, emulator: Emulator, tmp_path: Path
) -> None:
    for _ in range(2):
        async for outcome in client.run_many(map(squish, range(6)), download_to=tmp_path):
            assert isinstance(outcome, Done)
            assert outcome.path == tmp_path / f"{outcome.result.task_id}.mp4"
            assert outcome.path.stat().st_size > 1000
    assert len(list(tmp_path.iterdir())) == 6
    assert emulator.requests["download"] == 6


@pytest.mark.looptime
async def test_the_same_effect_twice_is_downloaded_once(
    client: EffectsClient, emulator: Emulator, tmp_path: Path
) -> None:
    effects = [squish(1), squish(1), squish(2), squish(1)]
    outcomes = [outcome async for outcome in client.run_many(effects, download_to=tmp_path)]
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert emulator.requests["download"] == 2


@pytest.mark.looptime
async def test_running_a_finished_batch_again_teaches_nothing_wrong() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=60.0, lists_tasks=False, seed=1) as emulator,
        emulator.client() as client,
    ):
        await ids(client, map(squish, range(20)))
        for _ in range(30):
            await ids(client, map(squish, range(20)))
        before = emulator.requests["query"]
        await ids(client, map(squish, range(20)), "another")
    assert emulator.requests["query"] - before <= 20 * 8


@pytest.mark.looptime
async def test_a_run_that_is_begun_after_its_client_was_closed_opens_nothing(
    emulator: Emulator, tmp_path: Path
) -> None:
    client = emulator.client(journal=tmp_path / "jobs.db")
    outcomes = client.run_many(map(squish, range(3)))
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await anext(outcomes)
    assert not (tmp_path / "jobs.db").exists()


@pytest.mark.looptime
async def test_closing_the_client_is_no_cancellation_of_whoever_submits(
    client: EffectsClient, emulator: Emulator
) -> None:
    emulator.fail_next(Fault.silence(on="submit"), times=5)
    outcomes = client.run_many(map(squish, range(3)))
    first = asyncio.ensure_future(anext(outcomes))
    await asyncio.sleep(2)
    await client.aclose()
    outcome = await first
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, SubmissionUncertainError)
    await outcomes.aclose()


async def test_a_cancelled_submit_in_line_is_not_paid_for_by_a_resume(tmp_path: Path) -> None:
    """Nobody can ask again for a job whose id was random."""
    slots = SlotPolicy(start=1, maximum=1)
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=3.0, speed=20, slots=1) as emulator,
        Journal(tmp_path / "jobs.db") as journal,
    ):
        quick = PollPolicy(shortest_s=0.05)
        async with emulator.client(journal=journal, slots=slots, poll=quick) as client:
            first = await client.submit(squish(1))
            second = asyncio.ensure_future(client.run(squish(2)))
            while not [job async for job in journal.jobs(states=[JobState.PLANNED])]:
                pass
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            await first
        async with emulator.client(journal=journal) as client:
            assert [outcome async for outcome in client.resume()] == []
        assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_handles_come_as_soon_as_their_tasks_are_accepted(
    client: EffectsClient, emulator: Emulator
) -> None:
    tasks = []
    async for handle in client.submit_many(map(squish, range(SLOTS))):
        assert isinstance(handle, EffectTask)
        assert handle.latest is not None
        assert not handle.latest.is_final
        tasks.append(handle)
    results = await asyncio.gather(*tasks)
    assert len({result.task_id for result in results}) == SLOTS == emulator.ledger.total


INTERRUPTED = """
import asyncio, os, sys
from kling_effects_async import SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator

async def main():
    async with Emulator(clips=Clips.STOCK, task_seconds=4.0, slots=3, speed=20) as emulator:
        async with emulator.client(journal=sys.argv[1]) as client:
            effects = (
                SingleImageEffect("squish", image=f"https://img.example/{number}.jpg")
                for number in range(1_000_000)
            )
            try:
                async for outcome in client.run_many(effects, run="r"):
                    print("one is done", flush=True)
            finally:
                print("paid", emulator.ledger.total, flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process")
async def test_ctrl_c_ends_a_run_and_the_journal_knows_what_was_paid(tmp_path: Path) -> None:
    journal_path = tmp_path / "jobs.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        INTERRUPTED,
        str(journal_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"one is done\n"
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert b"KeyboardInterrupt" in err
    assert b"never" not in err  # no "exception was never retrieved", no "never awaited"
    paid = int(out.split()[-1])
    async with Journal(journal_path) as journal:
        jobs = [job async for job in journal.jobs()]
    assert len([job for job in jobs if job.task_id is not None]) == paid
    assert all(job.state is not JobState.SUBMITTING for job in jobs)
