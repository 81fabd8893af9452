"""Frames to an mp4 that a browser can start playing before it has it all."""

from __future__ import annotations

import io
from collections.abc import Iterable

import av
from av.container import OutputContainer
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from kling_effects_async.preview.fields import Frame

__all__ = ["encode_mp4"]

# Room kept in front of the pictures for their index. x264 with B-frames needs up to about 32 bytes
# a frame; what is left over becomes a `free` box.
INDEX_BYTES = 4096
INDEX_BYTES_A_FRAME = 64

# At 720p veryfast encodes 211 frames a second where medium encodes 82 (measured).
PRESET = "veryfast"

# A quarter less time than the preset alone, for a file a sixth larger; looks the same. Without
# mbtree, because with it some processors give other bytes for the same frames each time.
FASTER = "subme=1:bframes=1:mbtree=0"

# "smpte170m" in ffmpeg's numbering: what players assume for small pictures, made explicit.
COLOURS = 6


def encode_mp4(frames: Iterable[Frame], *, size: tuple[int, int], fps: int, count: int) -> bytes:
    """Encode ``count`` frames of ``(width, height)`` as H.264, yuv420p.

    Moving the index to the front after the fact would need a file, hence the room kept for it.
    """
    output = io.BytesIO()
    room = INDEX_BYTES + INDEX_BYTES_A_FRAME * count
    options = {"moov_size": str(room), "fflags": "+bitexact"}
    with av.open(output, "w", format="mp4", options=options) as container:
        stream = _h264_stream(container, size, fps)
        for frame in frames:
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            yuv = image.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601)
            container.mux(stream.encode(yuv))
        container.mux(stream.encode(None))
    return output.getvalue()


def _h264_stream(container: OutputContainer, size: tuple[int, int], fps: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.options = {"preset": PRESET, "crf": "21", "x264-params": FASTER}
    codec = stream.codec_context
    # More threads than cores only cost memory, and another clip renders beside this one.
    codec.thread_count = 2
    codec.colorspace = codec.color_primaries = codec.color_trc = COLOURS
    return stream
