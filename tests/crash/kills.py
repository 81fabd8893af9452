"""Kill batches, and see each through to its end."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.crash.batch import ALL_SUCCEEDED, SOME_UNCERTAIN, Batch, work
from tests.crash.deaths import LATEST_S, Death, drawn_death
from tests.crash.processes import KILLED, LIFE_S, started
from tests.crash.referee import Tally
from tests.crash.service import Rule, charged, running_emulator, script_fault

__all__ = ["crash", "life"]

JOBS = 30
# After so many kills at most a batch is left alone: what remains of it is always the same.
KILLS_EACH = 12


def crash(rule: Rule, folder: Path, *, kills: int, seed: int, on_uncertain: str = "raise") -> Tally:
    """Kill batches so many times, and see each through to its end.

    This process must have no threads, because it forks.
    """
    random, tally = Random(seed), Tally(rule.name)
    with running_emulator(rule) as url:
        while tally.kills < kills:
            number = tally.jobs // JOBS
            batch = Batch(
                url=url,
                journal=folder / f"{rule.name}-{number}.db",
                names=[f"batch-{number}-job-{job:03}" for job in range(JOBS)],
                on_uncertain=on_uncertain,
            )
            allowed = min(random.randint(1, KILLS_EACH), kills - tally.kills)
            _see_batch_through(batch, tally, allowed, random)
            print(f"{rule.name}: {tally.kills} of {kills} kills, {tally.jobs} jobs", flush=True)
    return tally


def _see_batch_through(batch: Batch, tally: Tally, kills: int, random: Random) -> None:
    last = tally.kills + kills
    while True:
        for _ in range(random.randint(0, 4)):
            script_fault(batch.url, random)
        death = drawn_death(random) if tally.kills < last else None
        code, paid = life(batch, death), charged(batch.url)
        if death is None or code != KILLED:
            break
        tally.see_kill(batch, paid)
    if code not in (ALL_SUCCEEDED, SOME_UNCERTAIN):
        raise RuntimeError(f"a batch that was left alone ended with code {code}")
    tally.see_end(batch, paid)


def life(batch: Batch, death: Death | None) -> int:
    """Start the batch, and kill it when its time has come; its exit code."""
    process, told = started(work, batch, death)
    try:
        if death is None:
            process.join(LIFE_S)
        else:
            if not death.is_from_start:
                told.poll(LIFE_S)
            process.join(death.delay_s if death.step is None else LATEST_S)
    finally:
        process.kill()
        process.join()
    return process.exitcode or 0
