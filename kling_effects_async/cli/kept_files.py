"""The files that a video must not replace: the journal of paid jobs, and the pictures given.

Not even with ``--overwrite``. The side files of a download or a journal count too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, product
from pathlib import Path

from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure

__all__ = ["reject_kept"]

# SQLite's own side files (sqlite.org, "Temporary Files Used By SQLite"), then ours.
_OF_A_JOURNAL = ("", "-wal", "-shm", "-journal", ".lock", ".damaged")
_OF_A_VIDEO = ("", ".part", ".part.json")


def reject_kept(
    video: Path | None, *, journal: str | None = None, images: Iterable[str] = ()
) -> None:
    """Reject names that would have one file replace another. Blocks.

    The journal that ``KLING_JOURNAL`` names is kept too, whether this command uses it or not.

    Args:
        video: where it goes; ``None`` if its name is not known yet.
        images: as given; URLs among them are no files.

    Raises:
        Failure: names the two.
    """
    names = {name for name in (journal, os.environ.get("KLING_JOURNAL")) if name}
    journals = [(f"the journal {name}", _beside(name, _OF_A_JOURNAL)) for name in sorted(names)]
    pictures = [(f"the picture {name}", [name]) for name in images]
    videos = [(f"the output {video}", _beside(str(video), _OF_A_VIDEO))] if video else []
    pairs = chain(product(videos, [*journals, *pictures]), product(pictures, journals))
    for (one, files), (other, kept) in pairs:
        if any(_is_same(*two) for two in product(files, kept)):
            sentence = f"{one} and {other} would use the same file: choose another name"
            raise Failure(ExitCode.REJECTED_HERE, [sentence])


def _beside(name: str, suffixes: Iterable[str]) -> list[str]:
    return [name + suffix for suffix in suffixes]


def _is_same(one: str, other: str) -> bool:
    """Whether two names lead to one file, or will as soon as it is there."""
    with suppress(OSError, ValueError):  # one is missing; a NUL in the name
        if os.path.samefile(one, other):
            return True
    with suppress(OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)
    return False
