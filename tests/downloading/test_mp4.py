"""The boxes of an MP4: one set of rules, for a file and for bytes that pass by."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.downloading.mp4 import PassingBoxes, flaw_of
from tests.support.video_server import box, mp4

LARGE = b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"sixt"
TO_THE_END = b"\0\0\0\0mdat"
PIECES = [
    *(box(b"ftyp"), box(b"moov", b"x" * 30), box(b"mdat", b"frames"), box(b"free"), LARGE),
    *(TO_THE_END, b"\0\0\0\1mdat" + (15).to_bytes(8, "big"), b"\0\0\0\7odd.", b"\0\0\0\0", b""),
    b"\0\0\0\1",
]


def flaw_in_a_file(folder: Path, content: bytes) -> str | None:
    path = folder / "clip.mp4"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return flaw_of(descriptor, len(content))
    finally:
        os.close(descriptor)


def flaw_in_passing(content: bytes, cuts: list[int]) -> str | None:
    boxes = PassingBoxes()
    marks = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    for begin, end in pairwise(marks):
        if flaw := boxes.feed(content[begin:end]):
            return flaw
    return boxes.flaw_at_end()


@given(
    st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join),
    st.binary(max_size=12),
    st.lists(st.integers(0, 300), max_size=20),
)
def test_in_passing_the_same_flaw_is_found_as_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, tail: bytes, cuts: list[int]
) -> None:
    """Fault 52: wherever the chunks are cut."""
    folder = tmp_path_factory.getbasetemp()
    assert flaw_in_passing(content + tail, cuts) == flaw_in_a_file(folder, content + tail)


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (mp4(5_000), None),
        (box(b"ftyp") + LARGE + box(b"moov"), None),
        (box(b"ftyp") + box(b"moov") + TO_THE_END + b"frames", None),
        (b"", "it is empty"),
        (b"\0\0\0", "it does not begin like an MP4 file"),
        (box(b"moov") + box(b"ftyp"), "it does not begin like an MP4 file"),
        (box(b"ftyp") + box(b"mdat", b"frames"), "its index (moov) is missing"),
        (mp4(5_000)[:-1], "it ends within a box, after 4999 bytes"),
        (mp4(5_000) + b"\0\0", "it ends within a box, after 5002 bytes"),
        (box(b"ftyp") + b"\0\0\0\4moov", "a box at 8 is shorter than its own head"),
        (
            box(b"ftyp") + box(b"moov") + box(b"free") * 100_000,
            "it has more than 100000 boxes",
        ),
    ],
)
def test_each_flaw_is_named(tmp_path: Path, content: bytes, flaw: str | None) -> None:
    """Fault 52."""
    assert flaw_in_a_file(tmp_path, content) == flaw
    assert flaw_in_passing(content, []) == flaw
    assert flaw_in_passing(content, [1, 3, 9, 17, 4_990]) == flaw


def test_what_cannot_become_an_mp4_is_found_at_its_eighth_byte() -> None:
    """Fault 52: before anything of it is handed on."""
    boxes = PassingBoxes()
    assert boxes.feed(b"<html><") is None
    assert boxes.feed(b"h") == "it does not begin like an MP4 file"
