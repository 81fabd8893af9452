"""Several clients of one account: one address, and each hears every message."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_effects_async import Journal, SingleImageEffect
from tests.support.callbacks import SECRET, body_of
from tests.support.overheard import Overheard, emulator_of, known_id

ONE, TWO = (
    SingleImageEffect("squish", image=f"https://img.example/{name}.jpg") for name in ("a", "b")
)
AN_HOUR_S = 3600.0  # no test waits for it: only a message ends these waits


async def test_both_clients_of_a_journal_hear_of_their_ends(tmp_path: Path) -> None:
    """Fault 61: the address is the account's, so who comes later must not take it away."""
    receiver = Overheard(SECRET)
    async with (
        emulator_of(task_seconds=AN_HOUR_S) as emulator,
        Journal(tmp_path / "jobs.db") as journal,
        emulator.client(callbacks=receiver, journal=journal) as first,
        emulator.client(callbacks=receiver, journal=journal) as second,
    ):
        tasks = [await first.submit(ONE), await second.submit(TWO)]
        for task in tasks:
            await receiver.send_signed(body_of(known_id(task)), known_id(task))
        results = [await task for task in tasks]
        assert all(result.video.url.endswith("callback.mp4") for result in results)
        assert len(set(receiver.tokens)) == 1
        assert receiver.stats.unknown == 0


@pytest.mark.parametrize("closed", [0, 1], ids=["the first", "the second"])
async def test_a_client_that_is_closed_takes_nothing_from_the_other(
    tmp_path: Path, closed: int
) -> None:
    receiver = Overheard(SECRET)
    async with (
        emulator_of(task_seconds=AN_HOUR_S) as emulator,
        Journal(tmp_path / "jobs.db") as journal,
        emulator.client(callbacks=receiver, journal=journal) as first,
        emulator.client(callbacks=receiver, journal=journal) as second,
    ):
        clients = [first, second]
        tasks = [await first.submit(ONE), await second.submit(TWO)]
        await clients.pop(closed).aclose()
        del tasks[closed]
        assert await receiver.send_signed(body_of(known_id(tasks[0]))) == 200
        assert (await tasks[0].result()).video.url.endswith("callback.mp4")
        await clients[0].aclose()
        assert await receiver.send_signed(body_of(known_id(tasks[0]))) == 404
