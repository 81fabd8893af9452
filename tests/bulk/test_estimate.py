"""``EffectsClient.estimate``: what tasks are likely to cost and to take, before any is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async import EffectsClient, JobState, SceneEstimate
from kling_effects_async.emulator import Emulator
from kling_effects_async.estimate import estimate_of, estimate_scene
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.support.bulk_run import squish


def scene(tasks: int, seconds: tuple[float, float, float] | None) -> SceneEstimate:
    costs = (Decimal(2), Decimal("3.5"))
    return estimate_scene("squish", tasks, recent_units=costs, spread_s=seconds)


@pytest.mark.parametrize(
    ("tasks", "seconds"),
    [(0, (0, 0)), (1, (40, 90)), (5, (40, 90)), (6, (80, 180)), (300, (2400, 5400))],
)
def test_tasks_run_in_rounds_of_the_slots(tasks: int, seconds: tuple[float, float]) -> None:
    estimate = estimate_of([scene(tasks, (40.0, 90.0, 100.0))], slots=5)
    assert (estimate.seconds, estimate.tasks) == (seconds, tasks)
    assert estimate.units == (Decimal(2) * tasks, Decimal("3.5") * tasks)


def test_a_single_task_of_a_slow_scene_is_waited_for() -> None:
    parts = [scene(4, (10.0, 20.0, 20.0)), scene(1, (300.0, 400.0, 400.0))]
    assert estimate_of(parts, slots=5).seconds == (300, 400)


def test_no_end_is_promised_where_a_scene_is_unknown() -> None:
    parts = [scene(4, (10.0, 20.0, 20.0)), scene(1, None)]
    assert estimate_of(parts, slots=5).seconds is None
    assert estimate_of([parts[0], scene(0, None)], slots=5).seconds == (10, 20)


@pytest.mark.looptime
async def test_what_this_account_paid_and_waited_for_counts(client: EffectsClient) -> None:
    (before,) = (await client.estimate({"squish": 100})).scenes
    assert (before.is_known, before.seconds) == (False, None)
    assert "third party" in before.units_source
    async for _ in client.run_many(map(squish, range(20))):
        pass
    estimate = await client.estimate({"squish": 100, "hug": 1})
    known, unknown = estimate.scenes
    assert (known.is_known, unknown.is_known) == (True, False)
    assert "this scene cost" in known.units_source
    assert estimate.units == (100 * known.units[0] + 2, 100 * known.units[1] + Decimal("3.5"))
    assert known.seconds is not None
    assert 4 < known.seconds[0] < known.seconds[1] < 20  # the emulator's tasks take 5 to 15 s
    assert (estimate.seconds, estimate.slots) == (None, 5)


async def test_what_a_journal_remembers_counts(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with emulator.client(journal=path) as client:
        account = client.account
    paid = make_job(
        squish(1), account=account, external_task_id="1", image_hashes=[""], now=datetime.now(UTC)
    )
    async with SqliteStore(path) as store:
        for name, units in (("1", Decimal(1)), ("2", Decimal(3))):
            job = evolve(paid, external_task_id=name, units=units, state=JobState.SUCCEEDED)
            await store.add(job)
    async with emulator.client(journal=path) as client:
        assert (await client.estimate({"squish": 10})).units == (Decimal(10), Decimal(30))


@pytest.mark.parametrize("wrong", [{"squish": "3"}, ["squish"], {"squish": None}, "squish", {1: 1}])
async def test_what_is_no_number_of_tasks_is_rejected(emulator: Emulator, wrong: object) -> None:
    async with emulator.client() as client:
        with pytest.raises(TypeError, match="numbers of tasks by scene"):
            await client.estimate(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="cannot be -1"):
            await client.estimate({"squish": -1})


async def test_no_tasks_cost_and_take_nothing(client: EffectsClient) -> None:
    assert (await client.estimate({})).seconds == (0.0, 0.0)
