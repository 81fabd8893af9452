"""What the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """The path of a journal, which is not there yet."""
    return tmp_path / "effects.db"
