"""Images are rejected before money is spent, with all reasons at once."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.images.checks import (
    check_image,
    inspect_image,
    prepare,
)
from kling_effects_async.images.limits import IMAGE_LIMIT_BYTES
from tests.support.pictures import (
    KINDS,
    SOUND,
    black,
    declaring_size,
    encoded,
    gradient,
    jpeg_segment,
    padded,
    png_chunk,
    problems_of,
    turned_by_exif,
    with_chunks,
    with_segments,
)

sides = st.integers(1, 900)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_jpeg_or_png_is_accepted_and_described(kind: str) -> None:
    content = encoded(gradient(640, 480), kind)
    facts = check_image(content)
    assert (facts.format, facts.width_px, facts.height_px) == (kind, 640, 480)
    assert (facts.size_bytes, facts.mtime_ns) == (len(content), None)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    """Fault 57: a name that is not its type."""
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(encoded(gradient(), "JPEG"))
    assert check_image(path).format == "JPEG"


def test_a_files_facts_tell_whether_it_is_still_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(encoded(gradient()))
    facts = check_image(path)
    assert (facts.size_bytes, facts.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


def test_a_symbolic_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(encoded(gradient()))
    link = tmp_path / "link.jpg"
    link.symlink_to("cat.jpg")
    assert check_image(link).format == "JPEG"


@given(width=sides, height=sides)
def test_an_image_is_accepted_exactly_within_the_documented_sizes(width: int, height: int) -> None:
    is_documented = min(width, height) >= 300 and 10 * max(width, height) <= 25 * min(width, height)
    try:
        check_image(black(width, height))
        is_accepted = True
    except ImageRejectedError:
        is_accepted = False
    assert is_accepted == is_documented


@pytest.mark.parametrize("size", [(300, 300), (300, 750), (750, 300)])
def test_the_limits_of_the_sides_are_still_allowed(size: tuple[int, int]) -> None:
    assert check_image(black(*size)).width_px == size[0]


@pytest.mark.parametrize("size", [(299, 300), (300, 299), (300, 751), (751, 300)])
def test_one_pixel_beyond_a_limit_is_rejected(size: tuple[int, int]) -> None:
    assert f"{size[0]} x {size[1]} px" in problems_of(black(*size))


def test_exactly_10_mib_are_still_allowed() -> None:
    """Fault 57: one byte more is too large."""
    content = encoded(gradient())
    assert check_image(padded(content, IMAGE_LIMIT_BYTES)).size_bytes == IMAGE_LIMIT_BYTES
    assert "prepare() makes it smaller" in problems_of(padded(content, IMAGE_LIMIT_BYTES + 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_exif_turns_is_accepted_and_said_to_be_turned(kind: str) -> None:
    """Fault 57: rotated by EXIF."""
    facts = check_image(encoded(gradient(), kind, exif=turned_by_exif(6)))
    assert facts.is_rotated
    assert not check_image(encoded(gradient(), kind, exif=turned_by_exif(1))).is_rotated


def test_a_phones_jpeg_with_a_second_picture_inside_is_a_jpeg() -> None:
    content = encoded(gradient(), "MPO", save_all=True, append_images=[gradient(100, 100)])
    assert check_image(content).format == "JPEG"


@pytest.mark.parametrize("name", SOUND)
def test_every_sound_picture_is_accepted_and_decoded(name: str) -> None:
    content = SOUND[name]()
    assert check_image(content) == check_image(content, decode=True)
    assert prepare(content).facts == check_image(prepare(content).content)


def text_chunk(kind: bytes, size_bytes: int) -> bytes:
    head = b"history\0\1\0\0\0" if kind == b"iTXt" else b"history\0\0"
    return png_chunk(kind, head + zlib.compress(bytes(size_bytes)))


PROFILE = b"print\0\0"
ODD_CHUNKS = {
    "a profile of 1.3 MB": [png_chunk(b"iCCP", PROFILE + zlib.compress(os.urandom(1_300_000)))],
    "a profile packed in another way": [png_chunk(b"iCCP", b"print\0\1xyz")],
    "half a profile": [png_chunk(b"iCCP", PROFILE + zlib.compress(bytes(99))[:9])],
    "a profile that is none": [png_chunk(b"iCCP", b"")],
    "a long zTXt": [text_chunk(b"zTXt", 2_000_000)],
    "a long iTXt": [text_chunk(b"iTXt", 2_000_000)],
    "more texts than Pillow reads": [text_chunk(b"zTXt", 1_000_000) for _ in range(70)],
    "a text that is none": [png_chunk(b"zTXt", b""), png_chunk(b"iTXt", b"x\0\1\7")],
    "half a text": [png_chunk(b"zTXt", b"history\0\0" + zlib.compress(bytes(99))[:9])],
    "broken EXIF": [png_chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")],
    "broken XMP": [png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:\xff\xfe")],
    "a wrong checksum": [png_chunk(b"tEXt", b"a\0b", is_intact=False)],
    "chunks that are too short": [png_chunk(b"pHYs"), png_chunk(b"gAMA"), png_chunk(b"acTL")],
    "a tRNS that fits nothing": [png_chunk(b"tRNS", b"x")],
    "a chunk nobody knows": [png_chunk(b"vpAg", b"x" * 99)],
}
ODD_SEGMENTS = {
    "broken EXIF": [jpeg_segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")],
    "EXIF that is none": [jpeg_segment(0xE1, b"Exif\0\0")],
    "broken XMP": [jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:\xff\xfe")],
    "a profile without a number": [jpeg_segment(0xE2, b"ICC_PROFILE\0")],
    "a part of a profile": [jpeg_segment(0xE2, b"ICC_PROFILE\0\2\3abc")],
    "a short JFIF": [jpeg_segment(0xE0, b"JFIF\0")],
    "a short Adobe": [jpeg_segment(0xEE, b"Adobe")],
    "a broken list of pictures": [jpeg_segment(0xE2, b"MPF\0\xff\xff\xff\xff")],
    "broken Photoshop data": [jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\4")],
    "3 MB of metadata": [jpeg_segment(0xE1, bytes(65_000))] * 50,
}


@pytest.mark.parametrize("where", ["front", "end"])
@pytest.mark.parametrize("name", ODD_CHUNKS)
def test_a_png_is_accepted_and_decoded_whatever_its_metadata_are(name: str, where: str) -> None:
    plain = encoded(gradient(), "PNG")
    chunks = b"".join(ODD_CHUNKS[name])
    content = with_chunks(plain, chunks) if where == "front" else plain[:-12] + chunks + plain[-12:]
    assert check_image(content, decode=True) == check_image(content)
    assert prepare(content).changes == ()


@pytest.mark.parametrize("name", ODD_SEGMENTS)
def test_a_jpeg_is_accepted_and_decoded_whatever_its_metadata_are(name: str) -> None:
    content = with_segments(encoded(gradient()), *ODD_SEGMENTS[name])
    assert check_image(content, decode=True) == check_image(content)
    assert prepare(content).changes == ()


@pytest.mark.parametrize(
    "content",
    [
        *(with_chunks(encoded(gradient(1200, 300), "PNG"), *each) for each in ODD_CHUNKS.values()),
        *(with_segments(encoded(gradient(1200, 300)), *each) for each in ODD_SEGMENTS.values()),
    ],
    ids=[*ODD_CHUNKS, *ODD_SEGMENTS],
)
def test_a_picture_is_mended_whatever_its_metadata_are(content: bytes) -> None:
    assert prepare(content).facts.height_px == 480


@given(st.data())
@settings(max_examples=60)
def test_a_picture_that_is_cut_off_is_rejected_with_all_else_that_is_wrong(
    data: st.DataObject,
) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG"]))
    content = encoded(gradient(1200, 300), kind, exif=turned_by_exif(6))
    told = problems_of(content[: -data.draw(st.integers(1, len(content) // 2))])
    assert "its end is missing" in told
    assert "2.5:1" in told


def test_a_picture_that_is_cut_off_is_found_without_a_hash_and_with_one(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(encoded(gradient())[:-1])
    for with_hash in (True, False):
        with pytest.raises(ImageRejectedError, match="its end is missing"):
            inspect_image(path, with_hash=with_hash)


def test_damage_inside_the_pixels_is_found_by_decoding() -> None:
    damaged = with_segments(encoded(gradient()), jpeg_segment(0xC4, b"no table of codes"))
    assert check_image(damaged).format == "JPEG"
    with pytest.raises(ImageRejectedError, match="It is damaged"):
        check_image(damaged, decode=True)


def test_damage_inside_the_pixels_of_a_png_is_found_without_decoding() -> None:
    damaged = declaring_size(300, 300, pixels=b"these are no pixels")
    for examine in (check_image, partial(inspect_image, with_hash=True), prepare):
        with pytest.raises(ImageRejectedError, match="compressed data of its pixels are wrong"):
            examine(damaged)


def test_what_cannot_be_decoded_because_of_its_kind_is_rejected_as_before() -> None:
    with pytest.raises(ImageRejectedError, match="a GIF, and Kling takes JPEG"):
        check_image(encoded(gradient(), "GIF"), decode=True)


def test_all_problems_are_told_at_once() -> None:
    content = padded(encoded(gradient(200, 900), "GIF"), IMAGE_LIMIT_BYTES + 1)
    told = problems_of(content)
    for word in ("GIF", "10,485,760", "at least 300 px", "2.5:1"):
        assert word in told


@pytest.mark.parametrize("kind", KINDS[2:])
def test_another_kind_of_picture_is_named_and_prepare_is_advised(kind: str) -> None:
    """Fault 57: a type that Kling does not take."""
    assert f"a {kind}, and Kling takes JPEG and PNG; prepare()" in problems_of(
        encoded(gradient(), kind)
    )


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC picture"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41", "MP4 or MOV video"),
        (b"\x1aE\xdf\xa3\x9fB\x86", "WebM or MKV video"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"\n<!DOCTYPE html><title>404</title>", "HTML"),
    ],
)
def test_what_cannot_be_prepared_is_named(head: bytes, name: str) -> None:
    told = problems_of(head + bytes(1000))
    assert name in told
    assert "prepare()" not in told


def test_animation_is_rejected() -> None:
    """Fault 57: an animated picture."""
    frames = [gradient().rotate(angle) for angle in (90, 180)]
    content = encoded(gradient(), "PNG", save_all=True, append_images=frames)
    assert "animated" in problems_of(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_that_are_base64_text_are_explained(kind: str) -> None:
    text = base64.b64encode(encoded(gradient(), kind))
    assert "base64 text" in problems_of(text)
    assert "encoded while sending" in problems_of(text)


def test_bytes_that_are_a_data_url_are_explained() -> None:
    text = b"data:image/jpeg;base64," + base64.b64encode(encoded(gradient()))
    assert "data: URL" in problems_of(text)


def test_bytes_that_are_a_url_are_explained() -> None:
    assert "pass it as a str" in problems_of(b"https://pictures.example/cat.jpg")


def test_noise_is_no_image() -> None:
    assert "no image of a known kind" in problems_of(b"\x01\x02\x03" * 99)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_header_is_rejected(kind: str) -> None:
    assert "header is damaged" in problems_of(encoded(gradient(), kind)[:20])


def test_a_decompression_bomb_is_rejected_by_who_decodes_and_by_nobody_else() -> None:
    """Fault 57: Kling has no limit of pixels. The 30,000 x 30,000 need not even exist."""
    bomb = declaring_size(30_000, 30_000)
    assert check_image(bomb).width_px == 30_000
    for examine in (partial(check_image, decode=True), prepare):
        with pytest.raises(ImageRejectedError, match="900,000,000 pixels"):
            examine(bomb)


def test_a_photograph_of_108_megapixels_is_accepted() -> None:
    assert check_image(encoded(Image.new("L", (12_000, 9_000)))).width_px == 12_000


def test_a_frame_larger_than_its_animation_is_no_way_around_that() -> None:
    """Fault 57."""
    content = encoded(gradient(30, 30), "GIF").replace(
        b",\0\0\0\0\x1e\0\x1e\0", b",\0\0\0\0\xff\xff\xff\xff"
    )
    assert "header is damaged" in problems_of(content)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak of memory")
def test_a_check_decodes_nothing(tmp_path: Path) -> None:
    """Fault 57: 81 million pixels would be 81 MB."""
    rows = zlib.compressobj(1)
    pixels = b"".join(rows.compress(bytes(9001)) for _ in range(9000)) + rows.flush()
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(encoded(gradient(), "PNG"))
    large.write_bytes(declaring_size(9000, 9000, pixels))
    code = (
        "import re; from pathlib import Path\n"
        "from kling_effects_async.images.checks import check_image\n"
        "def peak_kb():\n"
        "    return int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        f"check_image(Path({str(small)!r})); before = peak_kb()\n"
        f"check_image(Path({str(large)!r})); print(peak_kb() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 20_000


@pytest.mark.parametrize("box", [b"pitm", b"iloc", b"av01", b"ispe", b"av1C"])
def test_an_avif_without_one_of_its_boxes_is_damaged(box: bytes) -> None:
    assert "header is damaged" in problems_of(encoded(gradient(), "AVIF").replace(box, b"none"))


@given(st.randoms(use_true_random=False), st.sampled_from(KINDS))
@settings(max_examples=60)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_never_ends_in_another_error(chance: random.Random, kind: str) -> None:
    content = bytearray(encoded(gradient(40, 30), kind))
    for _ in range(chance.randint(1, 9)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    examinations: list[Callable[[bytes], Any]] = [
        check_image,
        partial(check_image, decode=True),
        prepare,
    ]
    for examine in examinations:
        with contextlib.suppress(ImageRejectedError):
            examine(bytes(content[: chance.randint(1, len(content))]))


def test_pillow_is_not_imported_to_check_a_jpeg_or_png(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG"):
        path = tmp_path / kind
        path.write_bytes(encoded(gradient(), kind, exif=turned_by_exif(6)))
        code = (
            "import sys; from pathlib import Path\n"
            "from kling_effects_async.images.checks import inspect_image\n"
            f"assert inspect_image(Path({str(path)!r}), with_hash=True).facts.is_rotated\n"
            "sys.exit('PIL' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("hiding", ["PIL.AvifImagePlugin", "PIL._avif"])
def test_without_avif_in_pillow_all_other_kinds_are_read(hiding: str) -> None:
    """Pillow has it since 11.2, and not in every build."""
    code = (
        f"import sys; sys.modules[{hiding!r}] = None\n"
        "from kling_effects_async.errors import ImageRejectedError\n"
        "from kling_effects_async.images.checks import check_image, prepare\n"
        "from tests.support.pictures import encoded, gradient\n"
        "check_image(encoded(gradient()), decode=True)\n"
        "for kind in ('WebP', 'GIF', 'BMP', 'TIFF', 'PNG'):\n"
        "    prepare(encoded(gradient(), kind))\n"
        "try:\n"
        "    prepare(b'\\0\\0\\0\\x1cftypavif' + bytes(999))\n"
        "except ImageRejectedError as error:\n"
        "    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "of the kind AVIF, and Kling takes JPEG and PNG; save it as JPEG first" in run.stdout
