"""A file as lines of text: UTF-8 with or without a mark, and UTF-16 with one, as Excel writes it.

Bytes that are not UTF-8 become lone surrogates, as in Python's names of files: a path may have
them. Memory is bounded, whatever the file is.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

__all__ = ["HEAD_BYTES", "NotReadable", "encoding_of", "text_lines"]

# Enough to see what a file is.
HEAD_BYTES = 4096
# An address has at most 8,000 characters; a longer line is of another kind of file.
_LONGEST_LINE = 1_000_000
_NO_TEXT = {
    b"PK\x03\x04": "it is an Excel workbook or another archive",
    b"\xd0\xcf\x11\xe0": "it is an old Excel workbook",
    codecs.BOM_UTF32_LE: "it is UTF-32",
    codecs.BOM_UTF32_BE: "it is UTF-32",
}
_SAVE_AS = 'save it as CSV in UTF-8 (in Excel: "CSV UTF-8")'


class NotReadable(Exception):
    """The rest of a file cannot be read.

    Attributes:
        line: where, from 1.
        text: why, and what to do.
    """

    def __init__(self, line: int, text: str) -> None:
        super().__init__(line, text)
        self.line = line
        self.text = text


def encoding_of(head: bytes) -> str:
    """The encoding of a file that begins with ``head``.

    Raises:
        NotReadable: it is no text, or text that is not read here.
    """
    # Before UTF-16, whose mark begins that of UTF-32.
    kind = next((kind for magic, kind in _NO_TEXT.items() if head.startswith(magic)), None)
    if kind is not None:
        raise NotReadable(1, f"{kind}, and not a table as text: {_SAVE_AS}.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:
        raise NotReadable(1, f"it is no text, or UTF-16 without a mark: {_SAVE_AS}.")
    return "utf-8-sig"


def text_lines(file: BinaryIO) -> Iterator[str]:
    """The lines with their ends, lazily.

    Args:
        file: at its start; the caller closes it.

    Raises:
        NotReadable: it is no text, its lines have no end, or it is cut within a character.
    """
    encoding = encoding_of(file.read(HEAD_BYTES))
    file.seek(0)
    # csv wants the ends of lines as they are: within quotes they belong to the text.
    text = io.TextIOWrapper(file, encoding, _errors_of(encoding), newline="")
    try:
        yield from _bounded_lines(text)
    finally:
        text.detach()


def _errors_of(encoding: str) -> str:
    return "strict" if encoding == "utf-16" else "surrogateescape"


def _bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(iter(partial(text.readline, _LONGEST_LINE), ""), 1):
            if len(line) == _LONGEST_LINE:
                raise NotReadable(number, "a line of a million characters: is it the right file?")
            yield line
    except UnicodeDecodeError:
        raise NotReadable(number + 1, f"here or below it is not UTF-16: {_SAVE_AS}.") from None
