"""``kling-effects jobs resume`` in a process of its own, stopped by a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
)
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Emulator, Fault
from tests.support.command_line import acceptance, lines_until, started
from tests.support.journal_jobs import NEVER, account_at, emulator, jobs_at, read, submitted, write


async def resuming(at: Emulator, db: Path, *options: str) -> asyncio.subprocess.Process:
    return await started(at, "jobs", "resume", "--journal", db.name, *options, folder=db.parent)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
async def test_a_stopped_wait_leaves_the_journal_right_and_says_how_to_go_on(
    number: signal.Signals, code: ExitCode, db: Path
) -> None:
    """Fault 34: once is enough while nothing is being sent."""
    async with emulator(speed=NEVER) as at:
        task_id = await submitted(at, "order-1")
        await write(db, "order-1", JobState.ACCEPTED, account=account_at(at), task_id=task_id)
        process = await resuming(at, db, "--download-to", "a b")
        await lines_until(process, "0 of 1 job")
        process.send_signal(number)
        out, err = await process.communicate()
    last = err.decode().splitlines()[-1]
    assert (process.returncode, out) == (code, b"")
    assert "stopped with 1 job left" in last
    assert last.endswith("kling-effects jobs resume --journal effects.db --download-to 'a b'")
    assert "Traceback" not in err.decode()
    assert (await read(db))["order-1"].state is JobState.ACCEPTED


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
async def test_a_first_ctrl_c_lets_what_was_sent_come_to_its_answer(db: Path) -> None:
    """Fault 34: once: no new submits, drain."""
    async with emulator(speed=NEVER) as at:  # or the job could end before it is stopped
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        at.fail_next(Fault.late(0.3))
        process = await resuming(at, db)
        await acceptance(at)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    job = (await read(db))["order-1"]
    assert process.returncode == ExitCode.INTERRUPTED
    assert (job.state, job.task_id) == (JobState.ACCEPTED, at.ledger.entries[0].task_id)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
async def test_a_second_ctrl_c_leaves_at_once_and_the_journal_is_right(db: Path) -> None:
    """Fault 34: twice: leave now, and do not wait for the answer, which is soon to come."""
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        at.fail_next(Fault.late(8))  # within the ten seconds after the first
        process = await resuming(at, db)
        await acceptance(at)
        process.send_signal(signal.SIGINT)
        await lines_until(process, "Ctrl-C again leaves at once")
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
        job = (await read(db))["order-1"]
        resumed = await jobs_at(at, db, "resume")
    assert process.returncode == ExitCode.INTERRUPTED
    assert "1 job uncertain" in err.decode()
    assert "Traceback" not in err.decode()
    assert job.state is JobState.UNCERTAIN
    assert (resumed.code, resumed.out, at.ledger.total) == (0, "order-1\n", 1)
