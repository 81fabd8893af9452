"""What is done to the files of a journal whose process is dead."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

__all__ = ["HARMS"]


def cut(journal: Path, random: Random) -> str:
    """The database or its log ends at a random byte."""
    file = random.choice(_files(journal))
    length = random.randrange(file.stat().st_size)
    os.truncate(file, length)
    return f"{file.name} was cut at byte {length}"


def flip_bits(journal: Path, random: Random) -> str:
    """Some bits of the database or its log are others."""
    file = random.choice(_files(journal))
    content = bytearray(file.read_bytes())
    places = [random.randrange(8 * len(content)) for _ in range(random.choice([1, 2, 8, 64]))]
    for place in places:
        content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)
    return f"of {file.name} these bits were flipped: {places}"


def delete_log(journal: Path, random: Random) -> str:
    """The log of the last writes is gone, and perhaps its index, too."""
    _log_of(journal).unlink(missing_ok=True)
    if random.random() < 0.5:
        journal.with_name(f"{journal.name}-shm").unlink(missing_ok=True)
    return "the log was deleted"


HARMS: Mapping[str, Callable[[Path, Random], str]] = {
    "cut": cut,
    "bits": flip_bits,
    "log": delete_log,
}


def _log_of(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-wal")


def _files(journal: Path) -> list[Path]:
    files = [journal, _log_of(journal)]
    return [file for file in files if file.exists() and file.stat().st_size]
