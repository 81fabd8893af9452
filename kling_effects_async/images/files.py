"""What is at a path: opened without surprises, and identified by its first bytes, not its name."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import IO

from attrs import frozen

from kling_effects_async.effects import image_label
from kling_effects_async.errors import ImageRejectedError, ImageUnreadableError, KlingEffectsError
from kling_effects_async.protocol.messages import FileState

__all__ = ["ImageFacts", "file_state", "kind_of", "open_image", "read_failure", "reading"]

_MAGIC_BYTES = 256
_MAGIC = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"BM.{4}\0{4}", re.DOTALL), "BMP"),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF"),
    (re.compile(rb"....ftyp.{0,24}?avi[fs]", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp(he|mif1|msf1)", re.DOTALL), "HEIC picture"),
    (re.compile(rb"....ftyp", re.DOTALL), "MP4 or MOV video"),
    (re.compile(rb"\x1aE\xdf\xa3"), "WebM or MKV video"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"\s*<(\?xml|svg|!doctype|html)", re.IGNORECASE), "SVG, XML or HTML text"),
    (re.compile(rb"\s*data:", re.IGNORECASE), "data: URL"),
    (re.compile(rb"\s*https?://", re.IGNORECASE), "http URL"),
    (re.compile(rb"[A-Za-z0-9+/_=\s-]{16,}\Z"), "base64 text"),
)


@frozen(kw_only=True)
class ImageFacts:
    """What is in an image's header.

    Attributes:
        format: "JPEG" or "PNG" for an image that was accepted.
        is_rotated: EXIF wants it turned or mirrored. Whether Kling does is not documented;
            ``prepare`` turns it.
        is_animated: it has more than one frame or page.
        mtime_ns: with ``size_bytes``, shows whether a file is still the same; ``None`` for bytes.
    """

    format: str
    width_px: int
    height_px: int
    size_bytes: int
    is_rotated: bool = False
    is_animated: bool = False
    mtime_ns: int | None = None


def open_image(image: Path | bytes) -> BytesIO | BufferedReader:
    """Open a regular file, or bytes, for reading; never hangs on a pipe.

    Raises:
        ImageRejectedError: there is nothing that could be an image file; the message says why.
        ImageUnreadableError: this machine cannot open it now.
    """
    if isinstance(image, bytes):
        return BytesIO(image)
    # Without O_NONBLOCK, opening a named pipe waits for its writer. Regular files ignore it.
    flags = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
    try:
        descriptor = os.open(image, os.O_RDONLY | flags)
        mode = _mode(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise read_failure(image, error) from error
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise ImageRejectedError(image_label(image), [_explain_mode(mode)])


def _mode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_mode
    except OSError:
        os.close(descriptor)
        raise


@contextmanager
def reading(image: Path | bytes) -> Iterator[BytesIO | BufferedReader]:
    """Open an image, and explain what fails while it is read.

    Raises:
        ImageRejectedError, ImageUnreadableError: as ``open_image``.
    """
    with open_image(image) as file:
        try:
            yield file
        except OSError as error:
            raise read_failure(image, error) from error


# What the system says of the path, and will say again. Everything else is a failure of the machine,
# or of a file system's network, and says nothing about the picture: too many open files (EMFILE,
# ENFILE), no memory (ENOMEM), EIO, ESTALE, ETIMEDOUT, ... Source: errno(3).
_FAULTS_OF_THE_PATH = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES EINVAL EILSEQ EISDIR ELOOP ENAMETOOLONG ENODEV ENOENT ENOTDIR ENXIO EOVERFLOW EPERM"
    ).split()
    if hasattr(errno, name)
)


def read_failure(image: Path | bytes, error: OSError | ValueError) -> KlingEffectsError:
    """What to raise where a file cannot be opened or read: is it the path, or this machine?"""
    if isinstance(error, OSError) and error.errno not in _FAULTS_OF_THE_PATH:
        return ImageUnreadableError(image_label(image), error.strerror or str(error))
    return ImageRejectedError(image_label(image), [_explain_path(error)])


def _explain_path(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "There is no such file."
    if isinstance(error, PermissionError):
        return "We may not read it; change its permissions."
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "It is a symbolic link that leads back to itself."
    return f"It cannot be opened and read ({getattr(error, 'strerror', None) or error})."


def _explain_mode(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "It is a folder; pass the picture inside it."
    kind = "a named pipe" if stat.S_ISFIFO(mode) else "a device"
    return f"It is {kind}, not a file; read it yourself and pass the bytes."


def kind_of(file: IO[bytes]) -> str | None:
    """What the first bytes are, such as "JPEG" or "MP4 or MOV video"; ``None`` if not known."""
    file.seek(0)
    head = file.read(_MAGIC_BYTES)
    return next((kind for magic, kind in _MAGIC if magic.match(head)), None)


def file_state(file: IO[bytes]) -> FileState | None:
    """What an open file is now; ``None`` for bytes."""
    if isinstance(file, BytesIO):
        return None
    found = os.fstat(file.fileno())
    return FileState(found.st_size, found.st_mtime_ns, found.st_nlink)
