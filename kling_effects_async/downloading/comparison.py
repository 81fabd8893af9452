"""Whether a file is a clip that is fetched: byte by byte, and nothing is written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kling_effects_async.errors import DownloadError

__all__ = ["Comparison"]


class Comparison:
    """A binary writer that raises as soon as it gets other bytes than a file has.

    Its methods wait for the disk: call them off the loop, one at a time.

    Raises:
        DownloadError: the file is another one, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # What is no file would be waited for, as a pipe is.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise _another_file(path)
            self._file = path.open("rb")
        except OSError as error:
            raise DownloadError(
                f"{path} cannot be compared with the clip ({error.strerror}): move it away, and "
                "call again"
            ) from error

    def write(self, chunk: bytes) -> None:
        """Compare what comes next."""
        if self._file.read(len(chunk)) != chunk:
            raise _another_file(self._path)

    def check_end(self) -> None:
        """Make sure that the file has no more than what came."""
        if self._file.read(1):
            raise _another_file(self._path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _another_file(path: Path) -> DownloadError:
    return DownloadError(
        f"{path} exists and is not this effect's clip, so it was left as it is, and the clip was "
        "not downloaded: move it away, or choose another name or folder, and call again"
    )
