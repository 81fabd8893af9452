"""A submit whose connection ends at any byte, either way, is paid at most once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kling_effects_async import (
    SingleImageEffect,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Clips, Emulator, RepeatedId
from kling_effects_async.journal.job import JobState
from tests.support.fault_proxy import (
    CARRIED,
    Carried,
    Ending,
    FaultProxy,
    Line,
    client_through,
    cut_answer,
    cut_request,
    positions,
)
from tests.support.submits import QUICK, SQUISH, state_in, told_about

Cut = Callable[[int, Ending], Line]

CUTS = pytest.mark.parametrize("cut", [cut_request, cut_answer])
ENDINGS = pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])
RULES = pytest.mark.parametrize("rule", RepeatedId)


def service(rule: RepeatedId) -> Emulator:
    return Emulator(clips=Clips.STOCK, repeated_external_id=rule, seed=1)


async def recorded(proxy: FaultProxy, emulator: Emulator, effect: Effect = SQUISH) -> Carried:
    """What passes where nothing goes wrong."""
    async with client_through(proxy, emulator) as client:
        await client.submit(effect, external_task_id="cut-at-0000")
    return proxy.connections[-1]


def places(carried: Carried, cut: Cut) -> list[int]:
    return positions(bytes(carried.answer if cut is cut_answer else carried.request))


@pytest.mark.looptime
@RULES
@ENDINGS
@CUTS
async def test_where_tasks_are_found_a_cut_submit_is_accepted_and_paid_once(
    cut: Cut, ending: Ending, rule: RepeatedId
) -> None:
    """Faults 6, 7, 8: at each place the submit is looked up first, and sent again if need be."""
    async with service(rule) as emulator, FaultProxy(emulator.url) as proxy:
        for at in places(await recorded(proxy, emulator), cut):
            name = f"cut-at-{at:04}-"
            async with client_through(proxy, emulator) as client:
                await client.submit(SQUISH, external_task_id=f"known-{at}")
                await proxy.hang_up()
                proxy.next(cut(at, ending))
                assert await told_about(client, name) is JobState.ACCEPTED, at
            assert emulator.ledger.accepted(name) == 1, at
        assert not proxy.script
        assert emulator.ledger.repeated() == ()


@pytest.mark.looptime
@RULES
@ENDINGS
@CUTS
async def test_where_not_found_proves_nothing_a_cut_submit_is_uncertain_unless_it_is_found(
    cut: Cut, ending: Ending, rule: RepeatedId
) -> None:
    """Faults 6, 7, 8: the rule (c) of paying once; what is uncertain is settled by a later call."""
    async with service(rule) as emulator, FaultProxy(emulator.url) as proxy:
        seen = set()
        for at in places(await recorded(proxy, emulator), cut):
            name = f"cut-at-{at:04}-"
            async with client_through(proxy, emulator) as client:
                proxy.next(cut(at, ending))
                state = await told_about(client, name)
                is_paid = emulator.ledger.accepted(name) == 1
                assert state is (JobState.ACCEPTED if is_paid else JobState.UNCERTAIN), at
                await client.submit(SQUISH, external_task_id=f"known-{at}")
                assert await told_about(client, name) is JobState.ACCEPTED, at
            assert emulator.ledger.accepted(name) == 1, at
            seen.add(state)
        # Once the whole request has passed, the service may or may not get to it before the end.
        assert seen >= {JobState.ACCEPTED if cut is cut_answer else JobState.UNCERTAIN}
        assert emulator.ledger.repeated() == ()


@pytest.mark.looptime
@ENDINGS
@CUTS
async def test_a_cut_upload_is_paid_once(cut: Cut, ending: Ending, cat: Path) -> None:
    """Faults 6, 7: in the middle of a picture."""
    effect = SingleImageEffect("squish", image=cat.read_bytes())
    async with service(RepeatedId.REJECT) as emulator, FaultProxy(emulator.url) as proxy:
        carried = await recorded(proxy, emulator, effect)
        assert len(carried.request) > 10_000
        for at in places(carried, cut)[::3]:
            name = f"cut-at-{at}"
            async with client_through(proxy, emulator) as client:
                proxy.next(cut(at, ending))
                state = await told_about(client, name, effect)
                is_paid = emulator.ledger.accepted(name) == 1
                assert state is (JobState.ACCEPTED if is_paid else JobState.UNCERTAIN), at
                await client.submit(effect, external_task_id=f"known-{at}")
                assert await told_about(client, name, effect) is JobState.ACCEPTED, at
            assert emulator.ledger.accepted(name) == 1, at


@ENDINGS
@CUTS
async def test_the_journal_has_what_the_caller_was_told(
    cut: Cut, ending: Ending, tmp_path: Path
) -> None:
    """Faults 6, 7, 8: and a later process goes on from there, paid once."""
    book = tmp_path / "jobs.db"
    async with service(RepeatedId.ACCEPT) as emulator, FaultProxy(emulator.url) as proxy:
        for at in places(await recorded(proxy, emulator), cut)[::8]:
            name = f"cut-at-{at:04}-"
            async with client_through(proxy, emulator, journal=book, **QUICK) as client:
                proxy.next(cut(at, ending))
                told = await told_about(client, name)
            assert await state_in(book, name) is told, at
            async with client_through(proxy, emulator, journal=book, **QUICK) as client:
                await client.submit(SQUISH, external_task_id=f"known-{at}")
                assert await told_about(client, name) is JobState.ACCEPTED, at
            assert emulator.ledger.accepted(name) == 1, at


@pytest.mark.looptime
@pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])
async def test_a_service_that_ends_each_connection_at_once_is_paid_for_nothing(
    proxy: FaultProxy, emulator: Emulator, ending: Ending
) -> None:
    """Fault 6: the kernel took the bytes, so nobody here can tell how far they came."""
    proxy.always = Line(ends_at_once=ending)
    async with client_through(proxy, emulator) as client:
        assert await told_about(client, "order-42") is JobState.UNCERTAIN
        assert emulator.ledger.total == 0
        proxy.always = CARRIED
        await client.submit(SQUISH, external_task_id="known")
        assert await told_about(client, "order-42") is JobState.ACCEPTED
    assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.looptime
async def test_a_submit_that_aiohttp_finds_its_connection_closed_for_is_paid_once(
    proxy: FaultProxy, emulator: Emulator
) -> None:
    """Faults 6, 7: a kept connection that ends with the next request on it."""
    async with client_through(proxy, emulator) as client:
        await client.submit(SQUISH, external_task_id="known")
        kept = proxy.connections[-1]
        # The first request and its answer pass, and of the next request a part.
        proxy.next(cut_request(len(kept.request) + 50))
        await proxy.hang_up()
        for name in ("order-41", "order-42"):
            assert await told_about(client, name) is JobState.ACCEPTED
            assert emulator.ledger.accepted(name) == 1
    assert not proxy.script
