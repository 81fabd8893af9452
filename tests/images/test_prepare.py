"""``prepare`` makes an acceptable picture of what would be rejected."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.images.checks import (
    check_image,
    prepare,
)
from kling_effects_async.images.limits import IMAGE_LIMIT_BYTES
from tests.support.pictures import (
    KINDS,
    declaring_size,
    encoded,
    gradient,
    padded,
    turned_by_exif,
)

sides = st.integers(1, 900)


def shown(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_what_is_fine_stays_as_it_is() -> None:
    content = encoded(gradient(), "PNG", compress_level=1)
    prepared = prepare(content)
    assert (prepared.content, prepared.changes) == (content, ())
    assert prepared.facts == check_image(content)


@given(width=sides, height=sides, kind=st.sampled_from(["JPEG", "PNG", "WebP", "GIF", "BMP"]))
@settings(max_examples=40)
def test_what_is_prepared_is_accepted(width: int, height: int, kind: str) -> None:
    prepared = prepare(encoded(gradient(width, height), kind))
    assert check_image(prepared.content) == prepared.facts


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_kind_of_pixel_becomes_an_acceptable_picture_as_bright_as_before(mode: str) -> None:
    picture = gradient(280, 300, "L")
    if mode in ("I;16", "I"):
        picture = picture.convert("I").point(lambda value: value * 257).convert(mode)
    prepared = shown(prepare(encoded(picture.convert(mode), "TIFF")).content).convert("L")
    left, right = prepared.getpixel((2, 150)), prepared.getpixel((prepared.width - 3, 150))
    assert isinstance(left, int)
    assert isinstance(right, int)
    assert left < 20
    assert right > 235


@pytest.mark.parametrize("kind", KINDS[2:])
def test_other_kinds_become_jpegs(kind: str) -> None:
    prepared = prepare(encoded(gradient(), kind))
    assert prepared.facts.format == "JPEG"
    assert prepared.changes == ("It was encoded as a JPEG of quality 95.",)


def test_a_file_is_prepared_and_stays_untouched(tmp_path: Path) -> None:
    path = tmp_path / "cat.webp"
    path.write_bytes(encoded(gradient(), "WebP"))
    before = path.read_bytes()
    assert prepare(path).facts.format == "JPEG"
    assert path.read_bytes() == before


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_that_exif_turns_is_turned_for_good(orientation: int) -> None:
    """Fault 57: rotated by EXIF."""
    prepared = prepare(encoded(gradient(400, 300), exif=turned_by_exif(orientation)))
    is_turned_sideways = orientation >= 5
    size = (300, 400) if is_turned_sideways else (400, 300)
    assert (prepared.facts.width_px, prepared.facts.height_px) == size
    assert not prepared.facts.is_rotated
    assert "turned upright" in prepared.changes[0]


def test_six_in_exif_means_a_quarter_turn_to_the_right() -> None:
    prepared = shown(prepare(encoded(gradient(400, 300), exif=turned_by_exif(6))).content)
    top, bottom = (
        prepared.convert("L").getpixel((150, 5)),
        prepared.convert("L").getpixel((150, 395)),
    )
    assert isinstance(top, int)
    assert isinstance(bottom, int)
    assert top < 20 < 235 < bottom


def test_nothing_of_a_long_picture_is_cropped() -> None:
    prepared = prepare(encoded(gradient(1200, 300)))
    assert (prepared.facts.width_px, prepared.facts.height_px) == (1200, 480)
    middle = shown(prepared.content).convert("L").crop((0, 95, 1200, 385)).resize((1200, 1))
    original = gradient(1200, 1, "L")
    assert all(abs(a - b) < 8 for a, b in zip(middle.tobytes(), original.tobytes(), strict=True))


def test_a_small_picture_is_enlarged_to_the_smallest_size_that_is_allowed() -> None:
    prepared = prepare(encoded(gradient(100, 40), "PNG"))
    assert (prepared.facts.width_px, prepared.facts.height_px) == (750, 300)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("PNG", "I;16")])
def test_print_colours_and_sixteen_bits_are_always_converted(kind: str, mode: str) -> None:
    content = encoded(gradient(mode=mode), kind)
    prepared = prepare(content)
    assert check_image(content).format == kind
    assert shown(prepared.content).mode == "RGB"
    assert "Its colours were converted to RGB." in prepared.changes


def test_colours_keep_their_profile_and_print_colours_lose_theirs() -> None:
    profile = b"what these numbers look like"
    bright = prepare(encoded(gradient(), "WebP", icc_profile=profile))
    printed = prepare(encoded(gradient(mode="CMYK"), icc_profile=profile))
    assert shown(bright.content).info["icc_profile"] == profile
    assert "icc_profile" not in shown(printed.content).info


def test_what_was_transparent_becomes_white() -> None:
    prepared = prepare(encoded(Image.new("RGBA", (300, 200), (0, 0, 0, 0)), "PNG"))
    assert shown(prepared.content).getpixel((10, 10)) == (255, 255, 255)
    assert "What was transparent became white." in prepared.changes


def test_of_an_animation_the_first_frame_is_kept() -> None:
    """Fault 57: an animated picture."""
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "lime", "blue")]
    prepared = prepare(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    pixel = shown(prepared.content).getpixel((150, 150))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 250 > 5 > pixel[1] + pixel[2] - 3
    assert "Only its first frame was kept." in prepared.changes


def test_even_noise_of_the_purest_colours_becomes_small_enough() -> None:
    bits = random.Random(1)
    planes = [Image.frombytes("1", (4000, 4000), bits.randbytes(2_000_000)) for _ in "RGB"]
    noise = Image.merge("RGB", [plane.convert("L") for plane in planes])
    assert prepare(encoded(noise, "BMP")).facts.size_bytes <= IMAGE_LIMIT_BYTES


def test_a_phones_largest_photograph_is_scaled_down() -> None:
    prepared = prepare(padded(encoded(Image.new("RGB", (8064, 6048))), IMAGE_LIMIT_BYTES + 1))
    assert (prepared.facts.width_px, prepared.facts.height_px) == (4000, 3000)


def test_a_bomb_is_not_prepared() -> None:
    """Fault 57."""
    with pytest.raises(ImageRejectedError, match="900,000,000 pixels"):
        prepare(declaring_size(30_000, 30_000))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_picture_is_noticed_by_prepare(kind: str) -> None:
    content = encoded(gradient(600, 600), kind)
    with pytest.raises(ImageRejectedError, match="damaged"):
        prepare(content[: len(content) * 2 // 3])


def test_a_prepared_copy_tells_nobody_where_the_picture_was_taken() -> None:
    exif = Image.Exif()
    exif[0x010F] = "the camera's maker"
    exif[0x0112] = 6
    assert b"maker" not in prepare(encoded(gradient(), exif=exif)).content
