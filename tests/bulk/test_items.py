"""Items: effects of a batch that have an id, a share or a name of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from kling_effects_async import (
    BulkItem,
    Done,
    EffectRejectedError,
    EffectsClient,
    EffectTask,
    Failed,
    IdempotencyConflictError,
    SettingsError,
    SingleImageEffect,
    derived_id,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Emulator
from tests.support.bulk_run import squish


@frozen(kw_only=True)
class TableRow(BulkItem):
    line: int


@pytest.mark.looptime
async def test_an_outcome_has_the_very_object_that_was_passed(
    client: EffectsClient, tmp_path: Path
) -> None:
    missing = SingleImageEffect("squish", image=tmp_path / "missing.jpg")
    rows = [TableRow(squish(1), line=17), TableRow(missing, line=4)]
    given: list[Effect | BulkItem] = [rows[0], squish(2), BulkItem(squish(3)), rows[1]]
    outcomes = [o async for o in client.run_many(given, run="r", ordered=True)]
    assert all(o.item is one for o, one in zip(outcomes, given, strict=True))
    assert [o.effect for o in outcomes] == [squish(1), squish(2), squish(3), missing]
    assert [type(o) for o in outcomes] == [Done, Done, Done, Failed]
    assert [o.external_task_id for o in outcomes[:2]] == [
        derived_id(squish(1), salt="r"),
        derived_id(squish(2), salt="r"),
    ]


@pytest.mark.looptime
async def test_an_item_has_its_own_id_and_share(client: EffectsClient, emulator: Emulator) -> None:
    async def drawn() -> AsyncIterator[BulkItem | SingleImageEffect]:
        yield BulkItem(squish(1), external_task_id="order-1", share="vip")
        yield BulkItem(squish(2), share="vip")
        yield squish(3)

    outcomes = [o async for o in client.run_many(drawn(), share="all", ordered=True)]
    assert outcomes[0].external_task_id == "order-1"
    jobs = {job.external_task_id: job.share async for job in client.jobs()}
    assert [jobs[o.external_task_id] for o in outcomes] == ["vip", "vip", "all"]
    assert emulator.ledger.accepted("order-1") == 1


@pytest.mark.looptime
async def test_two_effects_under_one_id_are_a_failure_of_the_second(
    client: EffectsClient, emulator: Emulator
) -> None:
    items = [BulkItem(squish(number), external_task_id="order-1") for number in (1, 2)]
    outcomes = [o async for o in client.run_many(items, ordered=True)]
    assert isinstance(outcomes[1], Failed)
    assert isinstance(outcomes[1].error, IdempotencyConflictError)
    assert outcomes[1].external_task_id == "order-1"
    assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_items_are_submitted_too(client: EffectsClient, tmp_path: Path) -> None:
    missing = BulkItem(SingleImageEffect("squish", image=tmp_path / "no"), external_task_id="a")
    items: list[Effect | BulkItem] = [
        missing,
        BulkItem(squish(1), external_task_id="order-1", share="vip"),
        squish(2),
    ]
    handed = [each async for each in client.submit_many(items)]
    assert {each.external_task_id for each in handed} >= {"a", "order-1"}
    (failed,) = [each for each in handed if isinstance(each, Failed)]
    assert (failed.item, failed.effect) == (missing, missing.effect)
    assert sum(isinstance(each, EffectTask) for each in handed) == 2
    job = await client.job("order-1")
    assert job is not None
    assert job.share == "vip"


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"effect": Path("cat.jpg")}, TypeError),
        ({"external_task_id": "a b"}, EffectRejectedError),
        ({"external_task_id": 5}, TypeError),
        ({"share": ""}, SettingsError),
        ({"share": 5}, TypeError),
        ({"name": 5}, TypeError),
        ({"name": "a/b"}, SettingsError),
    ],
)
def test_an_item_is_checked_as_it_is_made(members: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        BulkItem(**{"effect": squish(1), **members})


async def test_one_item_is_no_source(client: EffectsClient) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        client.run_many(BulkItem(squish(1)))  # type: ignore[arg-type]  # the mistake
