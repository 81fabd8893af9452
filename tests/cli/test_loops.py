"""A command runs on uvloop where the extra brought it, and on asyncio's own loop elsewhere."""

from __future__ import annotations

import asyncio
import sys

import pytest

from kling_effects_async.cli.runner import run


async def loops_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_picked_up_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert run(loops_module()).startswith("uvloop")


def test_without_uvloop_it_is_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(loops_module()).startswith("asyncio")
