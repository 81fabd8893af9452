"""What every test gets: a guard against code that blocks the event loop, and the photographs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, Phase, settings

import kling_effects_async.emulator
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import JobStore, MemoryStore

# A busy machine is no reason for a property to fail.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
# Of a mutant only its death counts, and every run is to find the same ones dead.
settings.register_profile(
    "mutants",
    settings.get_profile("ours"),
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
)

# Otherwise pytest-asyncio makes Python create a loop just to remember it, and nobody closes it.
asyncio.set_event_loop(None)

STORE_NOW = datetime(2026, 6, 1, tzinfo=UTC)
PHOTOS = Path(kling_effects_async.emulator.__file__).with_name("photos")

# Whoever starts the suite in the background of a script, or under nohup, has it ignore signals, and
# every process that a test starts would ignore them too. What is handled is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)  # still of no effect here


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that wait: at the end of a run the other workers would be idle."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.fixture(scope="session", autouse=True)
def guard() -> Iterator[BlockBuster]:
    """Calls from our package that block a running event loop raise ``BlockingError``."""
    with blockbuster_ctx("kling_effects_async") as guard:
        yield guard


@pytest.fixture
def unguarded(guard: BlockBuster) -> Iterator[None]:
    """For code that reads a file in the loop, for brevity."""
    guard.deactivate()
    yield
    guard.activate()


@pytest.fixture(params=["memory", "journal"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobStore]:
    """Both kinds of stores, whose clock stands still on 2026-06-01."""
    if request.param == "memory":
        yield MemoryStore(lambda: STORE_NOW)
        return
    async with SqliteStore(tmp_path / "jobs.db", clock=lambda: STORE_NOW) as journal:
        yield journal


@pytest.fixture
def cat() -> Path:
    return PHOTOS / "cat.jpg"


@pytest.fixture
def astronaut() -> Path:
    return PHOTOS / "astronaut.jpg"


@pytest.fixture
def coffee() -> Path:
    return PHOTOS / "coffee.jpg"
