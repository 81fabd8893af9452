"""Rendered clips: real mp4 files, the same each time, of whatever picture comes."""

from __future__ import annotations

import io
import multiprocessing
import struct
import zlib
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from attrs import evolve
from PIL import Image

av = pytest.importorskip("av", reason="rendering needs the extra `emulator`")

from kling_effects_async.preview import PREVIEW, TEST, RenderError  # noqa: E402  # checked above
from kling_effects_async.preview.clip import render_clip  # noqa: E402  # needs the extra, see above

SINGLE = ["squish", "expansion", "fuzzyfuzzy", "an_unlisted_scene"]
DUAL = ["hug", "kiss", "heart_gesture", "two_in_an_unlisted_scene"]

Pixels = npt.NDArray[np.uint8]


def photo(name: str) -> bytes:
    photos = files("kling_effects_async.emulator").joinpath("photos")
    return photos.joinpath(f"{name}.jpg").read_bytes()


def pictures_for(scene: str) -> list[bytes]:
    return [photo("astronaut"), photo("cat")] if scene in DUAL else [photo("cat")]


@cache
def clip_of(scene: str) -> bytes:
    """One clip at TEST; rendered once, for all tests that look at it."""
    return render_clip(scene, pictures_for(scene), quality=TEST)


def frames_of(clip: bytes) -> list[Pixels]:
    with av.open(io.BytesIO(clip)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def difference(one: Pixels, other: Pixels) -> float:
    """Mean distance of two pictures' values, 0..255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def painted(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """A picture without symmetry: red grows to the right, green grows downwards."""
    across = Image.linear_gradient("L").rotate(90).resize(size)
    down = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (across, down, Image.new("L", size, 60))).convert(mode)


@pytest.mark.parametrize("scene", SINGLE + DUAL)
def test_a_clip_is_h264_in_yuv420p(scene: str) -> None:
    """Every browser and phone plays this."""
    with av.open(io.BytesIO(clip_of(scene))) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize("scene", SINGLE + DUAL)
def test_a_clip_at_test_quality_is_one_second_of_twelve_frames(scene: str) -> None:
    """The requested duration is cut at the quality's limit, in the stream and in the file."""
    with av.open(io.BytesIO(clip_of(scene))) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(12)
        assert stream.duration * stream.time_base == 1
        assert container.duration == av.time_base
    assert len(frames_of(clip_of(scene))) == 12


@pytest.mark.parametrize("scene", SINGLE + DUAL)
def test_the_index_stands_before_the_pictures(scene: str) -> None:
    """A player can start before it has the whole file."""
    boxes = top_level_boxes(clip_of(scene))
    assert boxes.index(b"moov") < boxes.index(b"mdat")


def top_level_boxes(mp4: bytes) -> list[bytes]:
    kinds, offset = [], 0
    while offset < len(mp4):
        length, kind = struct.unpack_from(">I4s", mp4, offset)
        kinds.append(kind)
        offset += length
    return kinds


def test_a_preview_is_640_px_at_24_frames_a_second() -> None:
    """The quality people see; one second of it, for speed."""
    clip = render_clip("squish", [photo("cat")], duration_s=1, quality=PREVIEW)
    with av.open(io.BytesIO(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (640, 426)
        assert stream.average_rate == Fraction(24)
        assert stream.duration * stream.time_base == 1


@pytest.mark.parametrize("duration_s", [5, 10])
def test_a_clip_is_exactly_as_long_as_requested(duration_s: int) -> None:
    """Without a limit on the quality the request decides."""
    quality = evolve(TEST, fps=4, max_duration_s=None)
    clip = render_clip("other", [photo("cat")], duration_s=duration_s, quality=quality)
    with av.open(io.BytesIO(clip)) as container:
        assert container.duration == duration_s * av.time_base


@pytest.mark.parametrize(
    ("picture", "frame"),
    [((300, 300), (320, 320)), ((400, 300), (320, 240)), ((301, 451), (214, 320))],
)
def test_a_single_clip_keeps_the_aspect_of_its_picture(
    picture: tuple[int, int], frame: tuple[int, int]
) -> None:
    """The longest side is the quality's; sides are even, as the pixel format needs."""
    shown = frames_of(render_clip("other", [encoded(painted(picture))], quality=TEST))[0]
    assert shown.shape == (frame[1], frame[0], 3)


@pytest.mark.parametrize("scene", ["fuzzyfuzzy", "kiss"])
def test_the_same_request_gives_the_same_bytes(scene: str) -> None:
    """Where hair grows and hearts rise looks random and is not."""
    assert render_clip(scene, pictures_for(scene), quality=TEST) == clip_of(scene)


@pytest.mark.parametrize("scene", SINGLE)
def test_a_clip_begins_with_the_still_picture(scene: str) -> None:
    """Apart from the badge in the lower right corner, and what encoding loses."""
    first = frames_of(clip_of(scene))[0][:-24]
    still = Image.open(io.BytesIO(photo("cat"))).convert("RGB").resize((320, 212))
    assert difference(first, np.asarray(still)[:-24]) < 6


@pytest.mark.parametrize("scene", SINGLE + DUAL)
def test_the_picture_moves(scene: str) -> None:
    """The middle and the end are far from the beginning."""
    frames = frames_of(clip_of(scene))
    assert difference(frames[0], frames[6]) > 6
    assert difference(frames[0], frames[-1]) > 4


@pytest.mark.parametrize("scene", [*SINGLE, "kiss"])
def test_no_frame_jumps(scene: str) -> None:
    """A cut between two of its poses would be twice as much as the limit."""
    quality = evolve(PREVIEW, longest_side_px=96)
    frames = frames_of(render_clip(scene, pictures_for(scene), quality=quality))
    assert max(difference(a, b) for a, b in pairwise(frames)) < 15


@pytest.mark.parametrize("scene", ["hug", "heart_gesture"])
def test_both_pictures_appear_in_a_dual_clip(scene: str) -> None:
    """The first one on the left, the second one on the right, at the beginning and at the end."""
    red, blue = (encoded(Image.new("RGB", (300, 300), colour)) for colour in ("red", "blue"))
    frames = frames_of(render_clip(scene, [red, blue], quality=TEST))
    for frame in (frames[0], frames[-1]):
        left, right = frame[60:120, 20:60].mean((0, 1)), frame[60:120, 260:300].mean((0, 1))
        assert left[0] > 2 * left[2]
        assert right[2] > 2 * right[0]


@pytest.mark.parametrize("scene", DUAL)
def test_two_people_come_closer(scene: str) -> None:
    """What was near the outer edges is nearer the middle in the end."""
    spot = Image.new("RGB", (300, 300), (40, 60, 90))
    spot.paste((240, 190, 150), (90, 60, 210, 300))
    frames = frames_of(render_clip(scene, [encoded(spot)] * 2, quality=TEST))
    assert bright_columns(frames[-1]).std() < bright_columns(frames[0]).std()


def bright_columns(frame: Pixels) -> npt.NDArray[np.intp]:
    """The x of the bright pixels in the middle of a frame."""
    return np.nonzero(frame[80:110, :, 0] > 170)[1]


def test_a_successor_of_a_scene_is_shown_like_it() -> None:
    """``hug_pro`` is what the newest lists have instead of ``hug``."""
    assert render_clip("hug_pro", pictures_for("hug"), quality=TEST) == clip_of("hug")


def test_a_clip_is_marked_as_a_preview() -> None:
    """The corner of a plain picture carries something; the rest of it stays plain."""
    clip = render_clip("other", [encoded(Image.new("RGB", (300, 300), "grey"))], quality=TEST)
    last = frames_of(clip)[-1].astype(np.int16)
    assert np.ptp(last[-24:, -120:]) > 60
    assert np.ptp(last[:-30]) < 12


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(encoded(Image.new("RGB", (1, 1), "teal")), id="one pixel"),
        pytest.param(encoded(painted((300, 300), "RGBA")), id="alpha"),
        pytest.param(encoded(painted((64, 64), "P"), transparency=3), id="palette with alpha"),
        pytest.param(encoded(painted((300, 300), "L").convert("LA")), id="grey with alpha"),
        pytest.param(encoded(painted((300, 300), "1")), id="black and white"),
        pytest.param(encoded(painted((300, 300), "CMYK"), "JPEG"), id="CMYK"),
        pytest.param(encoded(painted((900, 30))), id="banner"),
        pytest.param(encoded(painted((300, 300)), "WEBP"), id="webp"),
    ],
)
@pytest.mark.parametrize("scene", ["fuzzyfuzzy", "hug"])
def test_any_kind_of_picture_makes_a_clip(picture: bytes, scene: str) -> None:
    """What Pillow can open is shown, however odd."""
    quality = evolve(TEST, longest_side_px=96, fps=3)
    images = [picture, picture] if scene in DUAL else [picture]
    assert len(frames_of(render_clip(scene, images, quality=quality))) == 3


def test_16_bit_grey_keeps_its_shades() -> None:
    """Cut at 255 instead of scaled, nearly all of it would be white."""
    ramp = np.linspace(0, 65535, 300, dtype=np.uint16)[None].repeat(300, axis=0)
    first = frames_of(render_clip("other", [encoded(Image.fromarray(ramp))], quality=TEST))[0]
    assert first[100, 20].mean() < 40
    assert 100 < first[100, 160].mean() < 155


def test_what_is_see_through_stands_on_light_paper() -> None:
    """Not on black, which is what dropping the alpha would give."""
    clear = encoded(Image.new("RGBA", (300, 300), (0, 0, 0, 0)))
    assert frames_of(render_clip("other", [clear], quality=TEST))[0][:200].mean() > 200


def test_a_picture_is_turned_as_its_camera_was() -> None:
    """Orientation 6: the first row of the file is the right side of the picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = painted((400, 300))
    first = frames_of(render_clip("other", [encoded(lying, "JPEG", exif=exif)], quality=TEST))[0]
    upright = lying.transpose(Image.Transpose.ROTATE_270).resize((240, 320))
    assert first.shape == (320, 240, 3)
    assert difference(first[:-24], np.asarray(upright)[:-24]) < 6


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GIF89a", id="another format"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(64), id="only a signature"),
        pytest.param(photo("cat")[:4000], id="cut off"),
    ],
)
def test_what_cannot_be_decoded_is_rejected(garbage: bytes) -> None:
    """The error is a ``ValueError``, so a pool's caller need not import this package."""
    with pytest.raises(RenderError, match="cannot decode"):
        render_clip("squish", [garbage], quality=TEST)
    assert issubclass(RenderError, ValueError)


@pytest.mark.parametrize("size", [(30_000, 30_000), (9_000, 100), (8_000, 8_000)])
def test_a_giant_is_rejected_by_its_header(size: tuple[int, int]) -> None:
    """There is nothing behind the header: a decoder that looked further would complain of that."""
    with pytest.raises(RenderError, match="too large"):
        render_clip("squish", [png_header(size)], quality=TEST)


def png_header(size: tuple[int, int]) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


@pytest.mark.parametrize("count", [0, 3])
def test_a_clip_is_made_of_one_or_two_pictures(count: int) -> None:
    """Anything else is a mistake of the caller's, named in one sentence."""
    with pytest.raises(RenderError, match="one or two"):
        render_clip("squish", [photo("cat")] * count, quality=TEST)


def test_a_clip_can_be_made_in_another_process() -> None:
    """Function, quality and error travel: that is how a server keeps answering meanwhile."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        made = pool.submit(render_clip, "squish", pictures_for("squish"), quality=TEST)
        failed = pool.submit(render_clip, "squish", [b"no picture"], quality=TEST)
        assert made.result() == clip_of("squish")
        assert isinstance(failed.exception(), RenderError)
