"""Ctrl-C and its kin meet real processes: nothing sent is lost, and twice leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from kling_effects_async import (
    BearerToken,
    Done,
    EffectsClient,
    Job,
    JobState,
    Journal,
    PollPolicy,
    Service,
)
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import acceptance, clean_environment, kling, lines_until, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")

# Within the ten seconds that a cancelled submit waits for its answer: who leaves at once does not
# get to know of it.
LATE_S = 8

# Nobody's settings but Python's own: the process that runs the tests may ignore what is sent.
USUAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
"""

LIBRARY = (
    USUAL
    + """
import asyncio, sys
from kling_effects_async import BearerToken, EffectsClient, Service, SingleImageEffect

async def tell_the_first(task):
    while not task.cancelling():
        await asyncio.sleep(0)
    print("told once", file=sys.stderr, flush=True)

async def main(url, key, journal):
    telling = asyncio.create_task(tell_the_first(asyncio.current_task()))
    client = EffectsClient(BearerToken(key), service=Service.gateway(url), journal=journal)
    async with client:
        effect = SingleImageEffect("squish", image="https://img.example/cat.jpg")
        await client.run(effect, external_task_id="order-1")

asyncio.run(main(*sys.argv[1:]))
"""
)

TWICE_AND_DEAF = (
    USUAL
    + """
import asyncio, os
from kling_effects_async.cli.runner import run
from kling_effects_async.cli.runner import stopped_gently

class Deaf:
    def __del__(self):  # Python prints what is raised in here, and goes on
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))

async def main():
    with stopped_gently():
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            Deaf()
            await asyncio.sleep(5)

try:
    {run}(main())
except KeyboardInterrupt:
    print("left")
"""
)


async def child(code: str, *arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def library(at: Emulator, db: Path) -> asyncio.subprocess.Process:
    """A user's own program whose submit was just accepted, without an answer so far."""
    process = await child(LIBRARY, at.url, at.api_key, str(db), folder=db.parent)
    await acceptance(at)
    return process


async def job_in(db: Path) -> Job:
    async with Journal(db, read_only=True) as journal:
        (job,) = [job async for job in journal.jobs()]
    return job


async def resumed(at: Emulator, db: Path) -> list[type]:
    """What becomes of the jobs that the process left behind."""
    service = Service.gateway(at.url)
    quick = PollPolicy(shortest_s=0.05)
    async with EffectsClient(
        BearerToken(at.api_key), service=service, journal=db, poll=quick
    ) as client:
        return [type(outcome) async for outcome in client.resume()]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "effects.db"


# -- a program that uses the library


async def test_a_ctrl_c_in_a_program_lets_what_was_sent_come_to_its_answer(db: Path) -> None:
    """Fault 34: ``asyncio.run`` cancels the program, and the submit waits for its outcome."""
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        at.fail_next(Fault.late(0.3))
        process = await library(at, db)
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
        job = await job_in(db)
        assert await resumed(at, db) == [Done]
        assert at.ledger.total == 1
    assert process.returncode == -signal.SIGINT  # Python's own end after a KeyboardInterrupt
    assert (job.state, job.task_id) == (JobState.ACCEPTED, at.ledger.entries[0].task_id)
    assert b"job 'order-1' is accepted: attach() to it" in err  # in what Python prints of it


async def test_a_second_ctrl_c_in_a_program_leaves_at_once_and_loses_nothing(db: Path) -> None:
    """Fault 34."""
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        at.fail_next(Fault.late(LATE_S))
        process = await library(at, db)
        process.send_signal(signal.SIGINT)
        await lines_until(process, "told once")
        process.send_signal(signal.SIGINT)
        await process.communicate()
        job = await job_in(db)
        assert await resumed(at, db) == [Done]
        assert at.ledger.total == 1
    assert job.state is JobState.UNCERTAIN


async def test_a_program_that_sigterm_kills_has_its_job_in_the_journal(db: Path) -> None:
    """Fault 34: Python ends without a word, unless the program asks for the signal."""
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        at.fail_next(Fault.late(LATE_S))
        process = await library(at, db)
        process.terminate()
        await process.communicate()
        job = await job_in(db)
        assert await resumed(at, db) == [Done]
        assert at.ledger.total == 1
    assert process.returncode == -signal.SIGTERM
    assert job.state is JobState.SUBMITTING


# -- the command


def test_help_says_what_signals_do(tmp_path: Path) -> None:
    """Fault 34."""
    shown = " ".join(kling("--help", folder=tmp_path).out.split())
    assert "Ctrl-C, SIGTERM or SIGHUP: nothing new is sent" in shown
    assert "A second one leaves at once" in shown


@pytest.mark.parametrize("run", ["run", "asyncio.run"], ids=["uvloop", "asyncio"])
async def test_a_second_ctrl_c_is_not_lost_where_python_drops_exceptions(
    run: str, tmp_path: Path
) -> None:
    """Fault 34: a KeyboardInterrupt raised in a destructor would end nothing."""
    process = await child(TWICE_AND_DEAF.replace("{run}", run), folder=tmp_path)
    out, err = await process.communicate()
    assert (out, process.returncode) == (b"left\n", 0)
    assert err == b"kling-effects: stopping; Ctrl-C again leaves at once\n"


@pytest.mark.parametrize(
    ("first", "second", "codes"),
    [
        (signal.SIGINT, signal.SIGINT, {ExitCode.INTERRUPTED}),
        (signal.SIGTERM, signal.SIGTERM, {ExitCode.TERMINATED}),
        (signal.SIGHUP, signal.SIGHUP, {ExitCode.TERMINATED}),
        (signal.SIGINT, signal.SIGTERM, {ExitCode.INTERRUPTED, ExitCode.TERMINATED}),
        (signal.SIGTERM, signal.SIGINT, {ExitCode.INTERRUPTED, ExitCode.TERMINATED}),
    ],
)
async def test_the_second_signal_leaves_at_once_while_a_submit_hangs(
    first: signal.Signals, second: signal.Signals, codes: set[ExitCode], db: Path, cat: Path
) -> None:
    """Fault 34: twice: leave now; the journal is right, and the paid job is named."""
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        at.fail_next(Fault.late(LATE_S))
        options = ["--journal", db.name, "--external-task-id", "order-1"]
        process = await started(at, "run", "squish", cat, *options, folder=db.parent)
        await lines_until(process, "submitting")
        await acceptance(at)
        process.send_signal(first)
        if first is signal.SIGINT:
            await lines_until(process, "Ctrl-C again leaves at once")
        else:
            await once_told(process)
        process.send_signal(second)
        out, err = await process.communicate()
        job = await job_in(db)
        assert await resumed(at, db) == [Done]
        assert at.ledger.total == 1
    assert (process.returncode in codes, out) == (True, b"")
    assert job.state is JobState.UNCERTAIN  # its answer was not waited for
    assert b"the task may exist and be charged" in err
    assert b"order-1" in err.splitlines()[-1]
    assert b"Traceback" not in err


async def test_a_stopped_run_whose_answer_still_came_names_its_task(db: Path, cat: Path) -> None:
    """Fault 34: what was waited for is told."""
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        at.fail_next(Fault.late(0.5))
        process = await started(at, "run", "squish", cat, folder=db.parent)
        await lines_until(process, "submitting")
        await acceptance(at)
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
        (entry,) = at.ledger.entries
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"the paid task {entry.task_id} goes on".encode() in err


async def once_told(process: asyncio.subprocess.Process) -> None:
    """Until a signal was taken: one that comes before the other is handled is the same one."""
    status = Path(f"/proc/{process.pid}/status")
    while status.exists():
        facts = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        if int(facts["SigPnd"], 16) | int(facts["ShdPnd"], 16) == 0:
            return
        await asyncio.sleep(0)
