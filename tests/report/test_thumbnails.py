"""Small JPEGs of pictures, and of the first frame of a clip."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kling_effects_async.preview import stock_clip
from kling_effects_async.report import first_frame, thumbnail, thumbnail_px
from tests.support.pictures import encoded, gradient, turned_by_exif


def opened(picture: bytes | None) -> Image.Image:
    assert picture is not None
    return Image.open(io.BytesIO(picture))


def test_a_picture_becomes_a_small_jpeg_of_its_shape(cat: Path) -> None:
    small = opened(thumbnail(cat, longest_px=120))
    assert small.format == "JPEG"
    assert small.size == (120, 80)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"])
def test_every_kind_that_can_be_sent_or_mended_can_be_shown(kind: str) -> None:
    assert opened(thumbnail(encoded(gradient(), kind), longest_px=64)).size == (64, 60)


def test_a_picture_smaller_than_that_is_not_enlarged() -> None:
    assert opened(thumbnail(encoded(gradient(40, 30)), longest_px=120)).size == (40, 30)


def test_a_picture_that_has_the_size_already_is_read_before_its_file_is_closed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "exact.jpg"
    path.write_bytes(encoded(gradient(120, 120)))
    assert opened(thumbnail(path, longest_px=120)).size == (120, 120)


def test_a_picture_is_turned_upright() -> None:
    lying = encoded(gradient(320, 200), exif=turned_by_exif(6))
    assert opened(thumbnail(lying, longest_px=160)).size == (100, 160)


def test_nothing_of_the_metadata_gets_into_it() -> None:
    """A place where a photograph was taken is in no report."""
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    told: dict[str, Any] = {
        "exif": exif.tobytes(),
        "comment": b"taken at home",
        "xmp": b"<x>taken at home</x>",
    }
    small = thumbnail(encoded(gradient(), **told))
    assert b"taken at home" not in (small or b"")
    assert not opened(small).getexif()


def test_two_pictures_are_beside_each_other() -> None:
    left, right = (encoded(Image.new("RGB", (300, 300), colour)) for colour in ("red", "blue"))
    both = opened(thumbnail(left, right, longest_px=204)).convert("RGB")
    assert both.size == (204, 100)
    for x, strongest in ((50, 0), (150, 2)):
        pixel = both.getpixel((x, 50))
        assert isinstance(pixel, tuple)
        assert pixel[strongest] > 200


@pytest.mark.parametrize(
    "content", [b"", b"no picture", encoded(gradient())[:300], b"\xff\xd8\xff"]
)
def test_what_is_no_whole_picture_has_no_thumbnail(content: bytes) -> None:
    assert thumbnail(content) is None
    assert thumbnail(encoded(gradient()), content) is None


def test_a_file_that_is_not_there_or_no_file_has_no_thumbnail(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert thumbnail(tmp_path / "missing.jpg") is None
    assert thumbnail(tmp_path) is None
    assert thumbnail(tmp_path / "pipe") is None


def test_thumbnails_of_5000_items_fit_into_40_megabytes(cat: Path) -> None:
    px = thumbnail_px(5_000)
    length = len(thumbnail(cat, longest_px=px) or b"")
    assert length > 1_000
    assert 5_000 * 2 * length * 4 / 3 < 35_000_000
    assert thumbnail_px(30) > thumbnail_px(1_000) > px


def test_the_first_frame_of_a_clip_is_a_small_jpeg(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(stock_clip())
    small = opened(first_frame(clip, 120))
    assert small.format == "JPEG"
    assert max(small.size) == 120


@pytest.mark.parametrize("content", [b"", b"no clip", stock_clip()[:2_000]])
def test_what_is_no_whole_clip_has_no_first_frame(tmp_path: Path, content: bytes) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    assert first_frame(clip) is None
    assert first_frame(tmp_path / "missing.mp4") is None


def test_a_playlist_under_a_clips_name_opens_no_other_file(tmp_path: Path) -> None:
    """FFmpeg would play what a list names, from wherever it is."""
    (tmp_path / "other.mp4").write_bytes(stock_clip())
    clip = tmp_path / "clip.mp4"
    clip.write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert first_frame(clip) is None


def test_without_pyav_there_is_no_first_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(stock_clip())
    monkeypatch.setitem(sys.modules, "av", None)  # what Python itself makes of "not there"
    assert first_frame(clip) is None
