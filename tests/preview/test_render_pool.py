"""Clips from other processes, which end with the pool."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

pytest.importorskip("av", reason="rendering needs the extra `emulator`")

from kling_effects_async.preview import TEST, RenderError, RenderPool  # checked above
from kling_effects_async.preview.clip import render_clip  # needs the extra, see above
from tests.support.child_processes import child_processes  # keeps its imports together

CAT = files("kling_effects_async.emulator").joinpath("photos", "cat.jpg").read_bytes()


def test_the_pool_returns_the_clip_that_render_clip_makes() -> None:
    """Scene, pictures, duration and quality arrive at the other process."""
    pool = RenderPool()
    try:
        clip = pool.submit("squish", [CAT], 5, TEST).result()
    finally:
        pool.close()
    assert clip == render_clip("squish", [CAT], duration_s=5, quality=TEST)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the render processes in /proc")
def test_a_rejected_picture_leaves_its_process_running() -> None:
    """Only a process that died is replaced."""
    before = child_processes()
    pool = RenderPool()
    try:
        for _ in range(5):
            with pytest.raises(RenderError, match="cannot decode"):
                pool.submit("squish", [b"no picture"], 5, TEST).result()
        assert len(child_processes() - before) <= 2
    finally:
        pool.close()
    assert child_processes() == before


def test_a_closed_pool_starts_no_process() -> None:
    pool = RenderPool()
    pool.close()
    with pytest.raises(RuntimeError):
        pool.submit("squish", [CAT], 5, TEST)


def test_the_door_loads_no_package_of_the_extra() -> None:
    """The process that has to answer never renders, so it never loads them."""
    code = (
        "import sys, kling_effects_async.preview;"
        "print(sorted({'av', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert loaded.stdout.strip() == b"[]"
