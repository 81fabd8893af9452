"""Jobs and clips through a pipe, whole or not at all."""

from __future__ import annotations

import io

import pytest

from kling_effects_async.preview import TEST, RenderError
from kling_effects_async.preview.pipe import (
    RenderJob,
    read_clip,
    read_job,
    write_clip,
    write_job,
    write_rejection,
)

JOB = RenderJob("hug", [b"left\npicture", b""], 5, TEST)


def test_a_job_is_read_as_it_was_written() -> None:
    pipe = io.BytesIO()
    write_job(pipe, JOB)
    write_job(pipe, JOB)
    pipe.seek(0)
    assert [read_job(pipe), read_job(pipe), read_job(pipe)] == [JOB, JOB, None]


def test_a_clip_is_read_as_it_was_written() -> None:
    pipe = io.BytesIO()
    write_clip(pipe, b"one\nclip")
    write_rejection(pipe, RenderError("too large"))
    pipe.seek(0)
    assert read_clip(pipe) == b"one\nclip"
    with pytest.raises(RenderError, match="too large"):
        read_clip(pipe)


@pytest.mark.parametrize("cut_bytes", [1, 5, 18])
def test_a_clip_that_was_cut_off_is_an_error(cut_bytes: int) -> None:
    """Fault 70: a process that is killed while it writes leaves no half video."""
    whole = io.BytesIO()
    write_clip(whole, b"a clip")
    with pytest.raises(EOFError):
        read_clip(io.BytesIO(whole.getvalue()[:-cut_bytes]))
