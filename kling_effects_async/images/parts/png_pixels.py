"""The compressed pixels of a PNG: inflated and thrown away, to see that they are all there.

The checksums of chunks do not show a chunk that is missing, or of a file whose writer stopped
early. The zlib stream does: it must come to its own end with the right checksum, and hold as many
bytes as the header announces.

This costs 2 to 4 ms of CPU for each MB of pixels, in the thread of the check and without Python's
lock: about 70 ms for a photograph whose file has 10 MiB. That is worth it, because a broken picture
is paid for. Memory stays at one block.

Source: PNG specification (third edition), 7.2 (scanlines), 8.1 (interlacing), 10.1 (compression).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from attrs import frozen

from kling_effects_async.images.parts.layout import Damage

__all__ = ["Inflation", "Raster"]

# Ours: 89 million pixels of 8-bit RGB, as much as is decoded here, and less than a second of CPU.
# A file that announces more is a bomb, or a picture that Kling has to decide about.
_INFLATED_MAX_BYTES = 2**28
_BLOCK_BYTES = 64 * 1024

# Colour type: samples for each pixel.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of the seven passes of an interlaced picture: the first column and row, and the steps to the next.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_WHOLE = ((0, 0, 1, 1),)


@frozen(kw_only=True)
class Raster:
    """What the header announces."""

    width_px: int
    height_px: int
    depth: int
    colour_type: int
    is_interlaced: bool

    @property
    def size_bytes(self) -> int:
        """Of all rows before compression: each has one byte for its filter in front."""
        bits = self.depth * _SAMPLES[self.colour_type]
        return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in self._passes())

    def _passes(self) -> Iterator[tuple[int, int]]:
        """Columns and rows of each pass that is not empty."""
        for left, top, across, down in _PASSES if self.is_interlaced else _WHOLE:
            columns = max(0, -((left - self.width_px) // across))
            rows = max(0, -((top - self.height_px) // down))
            if columns and rows:
                yield columns, rows


class Inflation:
    """Counts the bytes of pixels that come out of the stream; keeps none.

    What follows the end of the stream is left out, as decoders do. Rows beyond the last one do no
    harm, but are inflated up to the bound: the stream's checksum comes behind them.
    """

    def __init__(self, raster: Raster) -> None:
        self._stream = zlib.decompressobj()
        self._announced_bytes = raster.size_bytes
        self._inflated_bytes = 0

    def feed(self, compressed: memoryview) -> None:
        """Take the next bytes of the stream.

        Raises:
            Damage: they are no stream, or its checksum is wrong.
        """
        try:
            self._inflate(compressed)
        except zlib.error as error:
            raise Damage("the compressed data of its pixels are wrong") from error

    def _inflate(self, compressed: memoryview | bytes) -> None:
        is_full = True  # more can come out than is taken at once
        while is_full and not self._stream.eof and not self._is_beyond_bound:
            count = len(self._stream.decompress(compressed, _BLOCK_BYTES))
            self._inflated_bytes += count
            compressed = self._stream.unconsumed_tail
            is_full = count == _BLOCK_BYTES

    @property
    def _is_beyond_bound(self) -> bool:
        return max(self._announced_bytes, self._inflated_bytes) > _INFLATED_MAX_BYTES

    def check_complete(self) -> None:
        """Raises ``Damage`` where the data end before the stream does, or before the last row."""
        is_whole = self._stream.eof and self._inflated_bytes >= self._announced_bytes
        if not is_whole and not self._is_beyond_bound:
            raise Damage("a part of its pixels is missing")
