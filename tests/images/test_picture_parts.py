"""Whether a picture is whole is known without decoding it, from one reading of its file.

Pillow, which decodes, is the referee.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import tracemalloc
import zlib
from bisect import bisect_left
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from kling_effects_async.images.parts import Layout, walked
from kling_effects_async.images.parts.exif import orientation
from kling_effects_async.images.parts.png_pixels import Raster
from tests.support.pictures import (
    SOUND,
    black,
    declaring_size,
    encoded,
    gradient,
    jpeg_segment,
    png_chunk,
    png_of,
    with_chunks,
)

BLOCK_BYTES = 64 * 1024
# What is behind a picture; long enough that the walk has to search for the picture's end.
FILM = bytes(200_000)


@cache
def sound(name: str) -> bytes:
    return SOUND[name]()


def layout_of(content: bytes, *, with_hash: bool = False) -> Layout:
    kind = "PNG" if content.startswith(b"\x89PNG") else "JPEG"
    return walked(io.BytesIO(content), kind, with_hash=with_hash)[0]


@cache
def end_of_picture(name: str) -> int:
    """Behind it come other pictures, films, and the like."""
    return layout_of(sound(name) + FILM).essential[-1].end


@cache
def header_bytes(name: str) -> int:
    """How much of it the size is known from."""
    content = sound(name)
    return bisect_left(
        range(len(content)), True, key=lambda length: layout_of(content[:length]).has_header
    )


def is_decodable(content: bytes) -> bool:
    try:
        Image.open(io.BytesIO(content)).load()
    except OSError:
        return False
    return True


# Sound pictures


@pytest.mark.parametrize("with_hash", [True, False])
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_picture_is_whole_and_as_large_as_a_decoder_says(
    name: str, with_hash: bool
) -> None:
    layout = layout_of(sound(name), with_hash=with_hash)
    assert layout.damage is None
    assert (layout.width_px, layout.height_px) == Image.open(io.BytesIO(sound(name))).size


@pytest.mark.parametrize("name", SOUND)
def test_the_essential_parts_are_the_same_picture(name: str) -> None:
    content = sound(name)
    parts = [content[span.start : span.end] for span in layout_of(content).essential]
    essential = Image.open(io.BytesIO(b"".join(parts)))
    assert essential.tobytes() == Image.open(io.BytesIO(content)).tobytes()
    assert not essential.getexif()


@pytest.mark.parametrize("name", SOUND)
def test_the_hash_is_of_the_whole_file(name: str) -> None:
    content = sound(name)
    kind = name.partition(",")[0]
    digest = hashlib.sha256(content).hexdigest()
    assert walked(io.BytesIO(content), kind, with_hash=True)[1] == digest
    assert walked(io.BytesIO(content), kind, with_hash=False)[1] == ""


class Counting(io.BytesIO):
    """Counts what is read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.read_bytes += len(content)
        return content


@pytest.mark.parametrize("with_hash", [True, False])
@pytest.mark.parametrize("name", SOUND)
def test_a_file_is_read_once(name: str, with_hash: bool) -> None:
    file = Counting(sound(name))
    walked(file, name.partition(",")[0], with_hash=with_hash)
    tail_bytes = 128 * 1024
    assert file.read_bytes <= len(sound(name)) + tail_bytes


@given(st.integers(-12, 12), st.integers(0, 3), st.booleans())
@settings(max_examples=60)
def test_a_jpegs_end_is_found_wherever_the_blocks_of_the_reading_end(
    beyond_bytes: int, fill_bytes: int, is_cut: bool
) -> None:
    jpeg = encoded(gradient(320, 300), "JPEG", quality=20)
    filling = BLOCK_BYTES - len(jpeg) - 4 + beyond_bytes
    comments = jpeg_segment(0xFE, bytes(filling // 2)) + jpeg_segment(0xFE, bytes(filling // 2))
    whole = jpeg[:2] + comments + jpeg[2:-2] + b"\xff" * fill_bytes + jpeg[-2:]
    content = whole[:-1] if is_cut else whole + FILM
    assert (layout_of(content).damage is not None) == is_cut


def test_what_is_between_segments_is_passed_over() -> None:
    """libjpeg only warns of it."""
    jpeg = sound("JPEG, baseline")
    content = jpeg[:2] + b"\xff\xff\xff" + jpeg[2:20] + b"junk\0\xff\0" + jpeg[20:]
    assert is_decodable(jpeg[:2] + b"\xff\xff\xff" + jpeg[2:])
    assert layout_of(content).damage is None


# Pictures that are not whole


@given(st.data())
@settings(max_examples=400)
def test_a_cut_at_any_byte_behind_the_header_is_found(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SOUND)))
    cut_at = data.draw(st.integers(header_bytes(name), end_of_picture(name) - 1))
    for with_hash in (True, False):
        layout = layout_of(sound(name)[:cut_at], with_hash=with_hash)
        assert "end is missing" in (layout.damage or "")


@given(st.data())
@settings(max_examples=100)
def test_a_file_that_was_filled_up_with_zeros_is_not_whole(data: st.DataObject) -> None:
    """As of a download whose file was made in its full size before."""
    name = data.draw(st.sampled_from(sorted(SOUND)))
    cut_at = data.draw(st.integers(header_bytes(name), end_of_picture(name) - 12))
    damaged = sound(name)[:cut_at] + bytes(len(sound(name)) - cut_at)
    assert layout_of(damaged).damage is not None


@given(st.data())
@settings(max_examples=100)
def test_what_a_decoder_takes_for_cut_off_is_found(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SOUND)))
    content = sound(name)[: data.draw(st.integers(header_bytes(name), len(sound(name))))]
    if layout_of(content).damage is None:
        assert is_decodable(content)


@given(st.data())
@settings(max_examples=100)
def test_one_wrong_byte_in_the_pixels_of_a_png_is_found(data: st.DataObject) -> None:
    content = bytearray(sound("PNG, colours"))
    at = data.draw(st.integers(content.index(b"IDAT") + 4, len(content) - 13))
    content[at] ^= data.draw(st.integers(1, 255))
    assert layout_of(bytes(content)).damage is not None


def with_wrong_checksum(png: bytes, kind: bytes) -> bytes:
    at = png.index(kind)
    end = at + 4 + int.from_bytes(png[at - 4 : at], "big")
    return png[:end] + bytes([png[end] ^ 1]) + png[end + 1 :]


@pytest.mark.parametrize("kind", [b"PLTE", b"tRNS", b"IDAT"])
def test_a_wrong_checksum_counts_where_it_matters_to_the_pixels(kind: bytes) -> None:
    wrong = with_wrong_checksum(sound("PNG, palette"), kind)
    assert f"the checksum of its {kind.decode()} chunk" in (layout_of(wrong).damage or "")


def test_a_wrong_checksum_of_the_end_alone_does_not_count() -> None:
    content = with_wrong_checksum(sound("PNG, colours"), b"IEND")
    assert is_decodable(content)
    layout = layout_of(content)
    assert layout.damage is None
    assert layout.essential[-1].end == len(content)


def test_a_palette_counts_only_where_pixels_are_numbers_of_colours() -> None:
    suggested = png_chunk(b"PLTE", bytes(768), is_intact=False)
    assert layout_of(with_chunks(sound("PNG, colours"), suggested)).damage is None
    content = sound("PNG, palette")
    start, end = content.index(b"PLTE") - 4, content.index(b"tRNS") - 4
    assert "palette is missing" in (layout_of(content[:start] + content[end:]).damage or "")


@pytest.mark.parametrize("kind", [b"iCCP", b"tEXt", b"eXIf", b"acTL", b"pHYs", b"zzZz"])
def test_a_wrong_checksum_does_not_count_elsewhere(kind: bytes) -> None:
    wrong = png_chunk(kind, b"\0\0\0\2\0\0\0\0", is_intact=False)
    layout = layout_of(with_chunks(sound("PNG, colours"), wrong))
    assert layout.damage is None
    assert not layout.is_animated


# The compressed pixels of a PNG

# All depths of all colour types, and bits for each pixel. Source: PNG specification, 11.2.1.
FORMS = {
    (0, 1): 1, (0, 2): 2, (0, 4): 4, (0, 8): 8, (0, 16): 16,
    (2, 8): 24, (2, 16): 48,
    (3, 1): 1, (3, 2): 2, (3, 4): 4, (3, 8): 8,
    (4, 8): 16, (4, 16): 32,
    (6, 8): 32, (6, 16): 64,
}  # fmt: skip
forms = st.sampled_from(sorted(FORMS))


def rows_of(bits: int, *, is_interlaced: bool) -> bytes:
    """The pixels of 304 x 304 px before compression, a zero before each row for its filter."""
    steps = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)] if is_interlaced else [(1, 1)]
    sizes = [(304 // across, 304 // down) for across, down in steps]
    noise = random.Random(bits).randbytes(304 * 8)
    return b"".join((b"\0" + noise[: (w * bits + 7) // 8]) * h for w, h in sizes)


def in_chunks(png: bytes, pieces: list[bytes]) -> bytes:
    """The PNG with other compressed pixels, each piece in a chunk with the right checksum."""
    start = png.index(b"IDAT") - 4
    return b"".join((png[:start], *(png_chunk(b"IDAT", each) for each in pieces), png[-12:]))


def pixels_of(png: bytes) -> bytes:
    """The compressed pixels."""
    chunks, at = [], png.index(b"IDAT") - 4
    while png[at + 4 : at + 8] == b"IDAT":
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        chunks.append(png[at + 8 : end])
        at = end + 4
    return b"".join(chunks)


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_png_is_whole(form: tuple[int, int], is_interlaced: bool) -> None:
    rows = rows_of(FORMS[form], is_interlaced=is_interlaced)
    colour_type, depth = form
    content = png_of(depth, colour_type, zlib.compress(rows), is_interlaced=is_interlaced)
    assert is_decodable(content)
    assert layout_of(content).damage is None
    fewer = png_of(depth, colour_type, zlib.compress(rows[:-1]), is_interlaced=is_interlaced)
    assert "a part of its pixels is missing" in (layout_of(fewer).damage or "")


@given(forms, st.booleans(), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=200)
def test_rows_are_counted_as_a_decoder_counts_them(
    form: tuple[int, int], is_interlaced: bool, width_px: int, height_px: int
) -> None:
    """Pillow rejects a picture that has one byte less."""
    raster = Raster(
        width_px=width_px,
        height_px=height_px,
        depth=form[1],
        colour_type=form[0],
        is_interlaced=is_interlaced,
    )
    header = struct.pack(">IIBBBBB", width_px, height_px, form[1], form[0], 0, 0, is_interlaced)
    content = png_of(form[1], form[0], zlib.compress(bytes(raster.size_bytes)))
    content = content[:8] + png_chunk(b"IHDR", header) + content[33:]
    assert is_decodable(content)
    assert layout_of(content).damage is None
    assert not is_decodable(in_chunks(content, [zlib.compress(bytes(raster.size_bytes - 1))]))


@given(st.data())
@settings(max_examples=200)
def test_a_stream_of_pixels_that_is_cut_is_found(data: st.DataObject) -> None:
    """All checksums of chunks are right, and the end is there."""
    form, is_interlaced = data.draw(forms), data.draw(st.booleans())
    stream = zlib.compress(rows_of(FORMS[form], is_interlaced=is_interlaced))
    cut_at = data.draw(st.integers(0, len(stream) - 1))
    content = png_of(form[1], form[0], stream[:cut_at], is_interlaced=is_interlaced)
    assert "a part of its pixels is missing" in (layout_of(content).damage or "")


@given(st.data())
@settings(max_examples=200)
def test_a_chunk_of_pixels_that_is_missing_is_found(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["PNG, colours", "PNG, grey", "PNG, one bit", "PNG, 16 bits"]))
    stream = pixels_of(sound(name))
    size_bytes = data.draw(st.integers(100, len(stream) // 2))
    pieces = [stream[at : at + size_bytes] for at in range(0, len(stream), size_bytes)]
    assert layout_of(in_chunks(sound(name), pieces)).damage is None
    del pieces[data.draw(st.integers(0, len(pieces) - 1))]
    assert layout_of(in_chunks(sound(name), pieces)).damage is not None


@given(st.data())
@settings(max_examples=200)
def test_what_a_decoder_does_not_decode_is_found(data: st.DataObject) -> None:
    """Whatever happens to the compressed pixels, with the right checksums of chunks."""
    png = sound("PNG, grey")
    stream = bytearray(pixels_of(png))
    start, end = sorted(data.draw(st.integers(0, len(stream))) for _ in range(2))
    stream[start:end] = data.draw(st.sampled_from([b"", b"x", bytes(end - start), stream[:99]]))
    content = in_chunks(png, [bytes(stream)])
    if layout_of(content).damage is None:
        assert is_decodable(content)


def test_a_wrong_checksum_of_the_pixels_themselves_is_found() -> None:
    stream = pixels_of(black(304, 304))
    content = in_chunks(black(304, 304), [stream[:-1] + bytes([stream[-1] ^ 1])])
    assert not is_decodable(content)
    assert "compressed data of its pixels are wrong" in (layout_of(content).damage or "")


def test_a_chunk_between_those_of_the_pixels_is_their_end() -> None:
    """Decoders look for no more of them then."""
    png, stream = black(304, 304), pixels_of(black(304, 304))
    text, first = png_chunk(b"tEXt", b"a\0b"), png_chunk(b"IDAT", stream[:20])
    parted = in_chunks(png, [stream[20:]]).replace(png[:33], png[:33] + first + text)
    assert not is_decodable(parted)
    assert "a part of its pixels is missing" in (layout_of(parted).damage or "")


@pytest.mark.parametrize("more", [[b"more"], [b"", b"more"], [bytes(200_000)]])
def test_what_follows_the_last_row_does_not_count(more: list[bytes]) -> None:
    png, rows = black(304, 304), zlib.decompress(pixels_of(black(304, 304)))
    first, *others = more
    for stream in (zlib.compress(rows) + first, zlib.compress(rows + first)):
        content = in_chunks(png, [b"", stream[:10], b"", stream[10:], *others])
        assert is_decodable(content)
        assert layout_of(content).damage is None


def test_a_bomb_is_not_inflated() -> None:
    """Fault 57: neither where the header announces it, nor where only the pixels are one."""
    assert layout_of(declaring_size(30_000, 30_000, b"no pixels")).damage is None
    rows = zlib.compressobj()
    hundred = [rows.compress(bytes(3 * 10**6)) for _ in range(100)]
    pieces = [b"".join(hundred), b"what would be wrong if it were read"]
    assert layout_of(in_chunks(black(304, 304), pieces)).damage is None


def test_a_png_without_pixels_is_not_whole() -> None:
    content = sound("PNG, grey")
    assert "no pixels" in (layout_of(content[:33] + png_chunk(b"IEND")).damage or "")


def test_noise_behind_a_pngs_header_is_not_taken_for_chunks() -> None:
    damage = layout_of(sound("PNG, grey")[:33] + b"\0\0\0\1\xf0\xf1\xf2\xf3" * 99).damage
    assert "at byte 33" in (damage or "")


@pytest.mark.parametrize("film", [b"", FILM])
def test_a_picture_behind_one_that_was_cut_off_is_not_its_end(film: bytes) -> None:
    jpeg = sound("JPEG, baseline")
    content = jpeg[: len(jpeg) // 2] + jpeg + film
    assert "another picture begins" in (layout_of(content).damage or "")
    assert layout_of(jpeg + jpeg + film).damage is None


@pytest.mark.parametrize("segment", [b"\xff\xc0\0\1", b"\xff\xe5\0\0"])
def test_a_segment_without_a_length_is_damage(segment: bytes) -> None:
    jpeg = sound("JPEG, baseline")
    assert layout_of(jpeg[:2] + segment + jpeg[2:]).damage is not None


@given(st.binary(max_size=300), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_any_bytes_are_walked_to_an_end(noise: bytes, magic: bytes) -> None:
    assert layout_of(magic + noise).damage is not None


# What EXIF says


@given(st.integers(0, 20), st.binary(max_size=40), st.integers(0, 60))
def test_orientation_is_read_as_a_viewer_reads_it(value: int, more: bytes, cut_at: int) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = more.hex(), value
    assert orientation(exif.tobytes()) == (value if 1 <= value <= 8 else 1)
    assert 1 <= orientation(exif.tobytes()[:cut_at] + more) <= 8


@pytest.mark.parametrize("order", ["II", "MM"])
def test_both_byte_orders_are_read(order: str) -> None:
    name = "little" if order == "II" else "big"
    numbers = [(42, 2), (8, 4), (1, 2), (0x0112, 2), (3, 2), (1, 4), (6, 2), (0, 2), (0, 4)]
    tiff = order.encode() + b"".join(value.to_bytes(size, name) for value, size in numbers)  # type: ignore[arg-type]  # one of the two
    assert orientation(b"Exif\0\0" + tiff) == orientation(tiff) == 6
    png = with_chunks(sound("PNG, colours"), png_chunk(b"eXIf", tiff))
    assert layout_of(png).orientation == 6
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(png))).size == (310, 330)


def test_animation_is_known_from_its_chunk() -> None:
    frames = [gradient().rotate(angle) for angle in (90, 180)]
    assert layout_of(encoded(gradient(), "PNG", save_all=True, append_images=frames)).is_animated
    one, two = (png_chunk(b"acTL", bytes([0, 0, 0, count, 0, 0, 0, 0])) for count in (1, 2))
    assert not layout_of(with_chunks(sound("PNG, grey"), one)).is_animated
    too_late = sound("PNG, grey")[:-12] + two + png_chunk(b"IEND")
    assert not layout_of(too_late).is_animated


def test_a_large_file_takes_little_memory() -> None:
    noise = encoded(Image.frombytes("L", (3200, 3000), os.urandom(9_600_000)), "PNG")
    text = png_chunk(b"zTXt", b"history\0\0" + zlib.compress(bytes(10**8)))
    for content in (with_chunks(noise, text), encoded(Image.new("L", (9000, 9000)), "PNG")):
        assert peak_bytes(content) < 400_000


def peak_bytes(content: bytes) -> int:
    file = io.BytesIO(content)
    tracemalloc.start()
    try:
        assert walked(file, "PNG", with_hash=True)[0].damage is None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
