"""A journal in a file of the test's own, whose clock stands still at noon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.testing import ManualClock
from tests.support.journal_files import (
    NOON,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def journal(path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path, clock=clock.now) as opened:
        yield opened
