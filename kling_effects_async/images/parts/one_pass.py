"""A file that is read once, in blocks; a hash, where one is wanted, sees every byte that passes."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from kling_effects_async.images.parts.layout import CutOff

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["OnePass"]

# To search one for a marker keeps the interpreter for 25 us; a hop to a larger one saves nothing.
_BLOCK_BYTES = 64 * 1024

# Behind a picture's end some cameras put others, or a film.
_TAIL_BYTES = 128 * 1024


class OnePass:
    """Where the reading is, and the block around it.

    Attributes:
        block: the bytes at hand.
        at: where in the block the next byte is.
        size_bytes: the whole file's.
    """

    def __init__(self, file: IO[bytes], digest: _Hash | None) -> None:
        self._file = file
        self._digest = digest
        self._passed_bytes = 0
        self.size_bytes: int = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.block: bytes = b""
        self.at: int = 0

    @property
    def offset(self) -> int:
        """Where in the file the next byte is."""
        return self._passed_bytes + self.at

    def tail(self) -> bytes:
        """The last bytes of the file, as far as they are behind the current position."""
        self._file.seek(max(self.offset, self.size_bytes - _TAIL_BYTES))
        tail = self._file.read(_TAIL_BYTES)
        self._file.seek(self._passed_bytes + len(self.block))
        return tail

    def next_block(self) -> None:
        """Go on to the block behind this one.

        Raises:
            CutOff: there is none.
        """
        self._passed_bytes += len(self.block)
        self.block, self.at = self._file.read(_BLOCK_BYTES), 0
        if not self.block:
            raise CutOff
        if self._digest is not None:
            self._digest.update(self.block)

    def views(self, count: int) -> Iterator[memoryview]:
        """The next ``count`` bytes, piece by piece.

        Raises:
            CutOff: the file ends before.
        """
        while count:
            if self.at == len(self.block):
                self.next_block()
            view = memoryview(self.block)[self.at : self.at + count]
            self.at += len(view)
            count -= len(view)
            yield view

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; ``CutOff`` where the file ends before."""
        end = self.at + count
        if end > len(self.block):
            return b"".join(self.views(count))
        start, self.at = self.at, end
        return self.block[start:end]

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes; ``CutOff`` where the file ends before."""
        for _ in self.views(count):
            pass

    def unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        """The next bytes as numbers; ``CutOff`` where the file ends before."""
        return form.unpack(self.take(form.size))

    def read_to_end(self) -> None:
        """Pass over all the rest."""
        try:
            while True:
                self.next_block()
        except CutOff:
            pass
