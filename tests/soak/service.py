"""The service of the soak test, in a process of its own: it serves until its stdin ends.

    python -m tests.soak.service accept 7

Prints its URL. The words are a ``RepeatedId`` and a seed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from random import Random

from kling_effects_async.emulator import Clips, Emulator, Fault, RepeatedId

__all__ = ["KEY", "TIMEOUT_S"]

KEY = "a-key-of-the-soak-test"
# How long the client waits for an answer.
TIMEOUT_S = 0.5
# So many faults for each request; more, and hardly anything would be done.
_SHARE = 0.08
_PAUSE_S = 0.02
# Each of these pauses all submits, for a second and more.
_PAUSING_SHARE = 0.1

_Draw = Callable[[Random], Fault]

_SUBMIT_FAULTS: Sequence[_Draw] = (
    lambda random: Fault.cut_before_reading(),
    lambda random: Fault.cut_after_reading(accepted=random.random() < 0.7),
    lambda random: Fault.cut_answer(random.randrange(300), accepted=random.random() < 0.7),
    lambda random: Fault.answer(500, "{}", accepted=random.random() < 0.5),
    lambda random: Fault.html(random.choice([200, 502, 503, 504]), accepted=random.random() < 0.5),
    lambda random: Fault.late(2 * TIMEOUT_S),
    lambda random: Fault.silence(accepted=random.random() < 0.5),
    lambda random: Fault.task_failed(),
)
_PAUSING_FAULTS: Sequence[_Draw] = (
    lambda random: Fault.rate_limited(),
    lambda random: Fault.rate_limited(retry_after=1),
    lambda random: Fault.rejected(1303),
)
_OTHER_FAULTS: Sequence[_Draw] = (
    lambda random: Fault.html(random.choice([502, 503, 504]), on="query"),
    lambda random: Fault.answer(500, "{}", on="query"),
    lambda random: Fault.cut_answer(random.randrange(300), on="query"),
    lambda random: Fault.cut_after_reading(on="query"),
    lambda random: Fault.rate_limited(on="query"),
    lambda random: Fault.silence(on="query"),
    lambda random: Fault.stale(),
    lambda random: Fault.no_videos(),
    lambda random: Fault.html(502, on="list"),
    lambda random: Fault.cut_answer(random.randrange(300), on="list"),
    lambda random: Fault.silence(on="list"),
    lambda random: Fault.html(503, on="download"),
    lambda random: Fault.cut_answer(random.randrange(300), on="download"),
)


def drawn_fault(random: Random, repeated: RepeatedId) -> Fault:
    """A fault for one of the next calls.

    Lookups lag only where a used id is rejected: elsewhere a task that two lookups do not show is
    paid for again, and no client can know better.
    """
    if random.random() < 0.5:
        is_pausing = random.random() < _PAUSING_SHARE
        return random.choice(_PAUSING_FAULTS if is_pausing else _SUBMIT_FAULTS)(random)
    if repeated is RepeatedId.REJECT and random.random() < 0.2:
        return Fault.unknown_task()
    return random.choice(_OTHER_FAULTS)(random)


async def _fail_all_the_time(emulator: Emulator, random: Random, repeated: RepeatedId) -> None:
    seen = 0
    while True:
        requests = emulator.requests.total()
        for _ in range(requests - seen):
            if random.random() < _SHARE:
                emulator.fail_next(drawn_fault(random, repeated))
        seen = requests
        await asyncio.sleep(_PAUSE_S)


async def _serve(repeated: RepeatedId, seed: int) -> None:
    async with Emulator(
        bearer_keys=[KEY],
        clips=Clips.STOCK,
        speed=600,
        task_seconds=(30.0, 120.0),
        slots=40,
        repeated_external_id=repeated,
        seed=seed,
    ) as emulator:
        print(emulator.url, flush=True)
        failing = asyncio.create_task(_fail_all_the_time(emulator, Random(seed), repeated))
        await asyncio.to_thread(sys.stdin.read)
        failing.cancel()


if __name__ == "__main__":
    asyncio.run(_serve(RepeatedId(sys.argv[1]), int(sys.argv[2])))
