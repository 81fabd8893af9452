"""What becomes of a rejected address: renewed once, or waited for where the clip is new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kling_effects_async import (
    EffectsClient,
    NetworkError,
    PollPolicy,
    SingleImageEffect,
    TaskSnapshot,
    TaskStatus,
    VideoExpiredError,
)
from kling_effects_async.api import RecentTasks
from kling_effects_async.downloading.renewal import Renewed, download_renewed
from kling_effects_async.downloading.reply import NotThereError
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.clock import Timer

DONE = Path("clip.mp4")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class PassingClock(ManualClock):
    """Every wait passes at once, and takes its time."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.jump(max(0.0, when - self.monotonic()))
        return asyncio.get_running_loop().call_soon(callback)


class VideoServer:
    """Rejects until ``ready_at``; the task names another address each time if ``resigns``."""

    def __init__(
        self,
        *,
        ready_at: float = 1e9,
        is_new: bool = True,
        resigns: bool = False,
        rejection: type[VideoExpiredError] = NotThereError,
    ) -> None:
        self.clock = PassingClock()
        self.ready_at = ready_at
        self.is_new = is_new
        self.resigns = resigns
        self.rejection = rejection
        self.fetched: list[str] = []
        self.asked = 0
        self.fetched_at: list[float] = []
        self.failures: list[Exception | None] = []
        self.is_silent = False  # after the first question

    async def fetch(self, url: str) -> Path:
        self.fetched.append(url)
        self.fetched_at.append(self.clock.monotonic())
        if self.clock.monotonic() < self.ready_at:
            raise self.rejection("rejected")
        return DONE

    async def renew(self) -> Renewed | None:
        self.asked += 1
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        if self.is_silent and self.asked > 1:
            return None
        return Renewed(f"u?{self.asked}" if self.resigns else "u", is_new=self.is_new)

    async def download(self) -> Path:
        return await download_renewed(
            self.fetch,
            self.renew,
            "u",
            grace_s=30.0,
            clock=self.clock,
            rng=lambda: 1.0,
        )


@pytest.mark.parametrize("resigns", [False, True])
@pytest.mark.parametrize("ready_at", [0.4, 3.0, 20.0])
async def test_a_new_clip_that_is_not_there_yet_is_waited_for(
    ready_at: float, resigns: bool
) -> None:
    """Fault 85: a 404 for seconds."""
    server = VideoServer(ready_at=ready_at, resigns=resigns)
    assert await server.download() == DONE
    assert server.clock.monotonic() < ready_at + 8
    assert len(server.fetched) < 10


async def test_a_new_clip_that_never_comes_says_how_long_it_was_asked_for() -> None:
    """Fault 85."""
    server = VideoServer()
    with pytest.raises(VideoExpiredError, match=r"for 2\d s"):
        await server.download()
    assert 20 < server.clock.monotonic() <= 30


@pytest.mark.parametrize("resigns", [False, True])
async def test_an_old_address_is_renewed_once_and_no_time_passes(resigns: bool) -> None:
    """Fault 49."""
    server = VideoServer(is_new=False, resigns=resigns)
    with pytest.raises(VideoExpiredError, match="rejected"):
        await server.download()
    assert server.fetched == ["u", "u?1" if resigns else "u"]
    assert server.clock.monotonic() == 0


async def test_an_address_that_has_expired_for_sure_is_not_waited_for() -> None:
    """Fault 49."""
    server = VideoServer(rejection=VideoExpiredError)
    with pytest.raises(VideoExpiredError):
        await server.download()
    assert (len(server.fetched), server.clock.monotonic()) == (2, 0)


async def test_another_address_is_tried_at_once() -> None:
    """Fault 49."""
    server = VideoServer(resigns=True)
    with pytest.raises(VideoExpiredError):
        await server.download()
    assert server.fetched[:2] == ["u", "u?1"]
    assert server.fetched_at[:2] == [0.0, 0.0]
    assert server.fetched[-1] == f"u?{len(server.fetched) - 1}"


async def test_a_task_that_cannot_be_asked_for_a_moment_does_not_end_the_wait() -> None:
    """Fault 85."""
    server = VideoServer(ready_at=5)
    server.failures = [None, NetworkError("gone"), NetworkError("gone")]
    assert await server.download() == DONE


async def test_a_task_that_names_its_clip_no_more_for_a_moment_does_not_end_the_wait() -> None:
    """Fault 85."""
    server = VideoServer(ready_at=5)
    server.is_silent = True
    assert await server.download() == DONE


async def test_a_task_that_cannot_be_asked_at_all_is_told() -> None:
    server = VideoServer()
    server.failures = [NetworkError("gone")]
    with pytest.raises(NetworkError):
        await server.download()


async def test_an_address_without_a_task_is_rejected_at_once() -> None:
    async def nobody() -> None:
        return None

    server = VideoServer()
    with pytest.raises(VideoExpiredError):
        await download_renewed(
            server.fetch, nobody, "u", grace_s=30.0, clock=server.clock, rng=lambda: 1.0
        )
    assert server.fetched == ["u"]


# -- which task is new


def seen(status: TaskStatus, *, task_id: str = "1", age_s: float | None = None) -> TaskSnapshot:
    updated_at = None if age_s is None else NOW - timedelta(seconds=age_s)
    return TaskSnapshot(task_id=task_id, status=status, updated_at=updated_at)


@pytest.mark.parametrize(("age_s", "is_new"), [(0, True), (599, True), (601, False), (-60, True)])
def test_a_task_that_was_never_seen_is_as_old_as_it_says(age_s: float, is_new: bool) -> None:
    """Fault 85."""
    tasks = RecentTasks(ManualClock(NOW))
    final = seen(TaskStatus.SUCCEEDED, age_s=age_s)
    tasks.note(final)
    assert tasks.is_new(final) is is_new


def test_a_task_whose_age_nobody_knows_may_be_new() -> None:
    """Fault 85."""
    assert RecentTasks(ManualClock(NOW)).is_new(seen(TaskStatus.SUCCEEDED))


def test_what_was_seen_here_counts_more_than_what_the_service_says() -> None:
    """Fault 85: services' clocks, and services that set the times of their rows again."""
    clock = ManualClock(NOW)
    tasks = RecentTasks(clock)
    tasks.note(seen(TaskStatus.SUBMITTED, age_s=1e7))
    clock.jump(3600)
    old_by_its_word = seen(TaskStatus.SUCCEEDED, age_s=1e7)
    tasks.note(old_by_its_word)
    assert tasks.is_new(old_by_its_word)
    clock.jump(601)
    new_by_its_word = seen(TaskStatus.SUCCEEDED, age_s=-5000)
    tasks.note(new_by_its_word)
    assert not tasks.is_new(new_by_its_word)


def test_only_so_many_tasks_are_remembered() -> None:
    clock = ManualClock(NOW)
    tasks = RecentTasks(clock)
    for number in range(20_000):
        tasks.note(seen(TaskStatus.SUBMITTED, task_id=str(number)))
    assert len(tasks) == 10_000
    first, last = (seen(TaskStatus.SUCCEEDED, task_id=n, age_s=1e7) for n in ("0", "19999"))
    tasks.note(first)
    tasks.note(last)
    assert (tasks.is_new(first), tasks.is_new(last)) == (False, True)


# -- as a whole

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
MISSING = Fault.answer(404, "NoSuchKey", content_type="text/plain", on="download")


@pytest.mark.looptime
@pytest.mark.parametrize("wall", [time.time, lambda: 1.6e9], ids=["right", "years late"])
async def test_a_clip_that_needs_seconds_to_appear_is_downloaded(
    tmp_path: Path, wall: Callable[[], float]
) -> None:
    """Fault 85: whatever the service's clock says."""
    async with (
        Emulator(clips=Clips.STOCK, wall=wall) as emulator,
        emulator.client(rng=lambda: 1.0) as client,
    ):
        result = await client.run(SQUISH)
        emulator.fail_next(MISSING, times=5)
        started = asyncio.get_running_loop().time()
        path = await client.download(result.video, tmp_path / "a.mp4")
        assert 5 < asyncio.get_running_loop().time() - started < 30
    assert path.read_bytes()[4:8] == b"ftyp"


@pytest.mark.looptime
async def test_a_clip_that_another_process_has_long_seen_is_told_as_gone(tmp_path: Path) -> None:
    """Fault 49."""
    async with Emulator(clips=Clips.STOCK, wall=lambda: 1.6e9) as emulator:
        async with emulator.client() as client:
            task_id = (await client.run(SQUISH)).task_id
        later: EffectsClient = emulator.client(poll=PollPolicy(result_grace_s=30))
        async with later:
            result = await later.attach(task_id)
            emulator.fail_next(MISSING, times=9)
            started = asyncio.get_running_loop().time()
            with pytest.raises(VideoExpiredError):
                await later.download(result.video, tmp_path / "a.mp4")
            assert asyncio.get_running_loop().time() - started < 1
