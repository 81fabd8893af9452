"""What this process holds, and how its memory grows."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

__all__ = ["Held", "Sample", "held_now", "sample", "slope", "slope_within"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DESCRIPTORS = Path("/proc/self/fd")


@frozen
class Held:
    """How many of each kind there are."""

    sockets: int
    threads: int
    descriptors: int

    def beyond(self, before: Held) -> Held:
        """How many more there are than before."""
        return Held(
            self.sockets - before.sockets,
            self.threads - before.threads,
            self.descriptors - before.descriptors,
        )


def held_now() -> Held:
    """What is there once all garbage is collected."""
    gc.collect()
    targets = []
    for entry in _DESCRIPTORS.iterdir():
        with suppress(FileNotFoundError):  # the one that lists the folder
            targets.append(os.readlink(entry))
    sockets = sum(target.startswith("socket:") for target in targets)
    return Held(sockets, threading.active_count(), len(targets))


@frozen(kw_only=True)
class Sample:
    """The memory at one moment.

    Attributes:
        tasks: how many were done by then.
        opening: the how-manieth opening of the client it was.
        blocks: pieces of memory that Python's objects take, whatever their kind.
    """

    tasks: int
    opening: int
    rss_bytes: int
    blocks: int


def sample(tasks: int, opening: int) -> Sample:
    """The memory now, once all garbage is collected and what is free is given back."""
    gc.collect()
    # Each opening has a thread for its journal, and the C library keeps what a thread has freed.
    with suppress(OSError, AttributeError):  # a C library that has no such function
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        tasks=tasks,
        opening=opening,
        rss_bytes=pages * _PAGE_BYTES,
        blocks=sys.getallocatedblocks(),
    )


def slope(points: Iterable[tuple[float, float]]) -> float | None:
    """By how much y grows with x, by least squares; ``None`` where x is always the same."""
    return _slope([list(points)])


def slope_within(groups: Iterable[tuple[object, float, float]]) -> float | None:
    """The same where each group of points has a level of its own."""
    by_group: defaultdict[object, list[tuple[float, float]]] = defaultdict(list)
    for group, x, y in groups:
        by_group[group].append((x, y))
    return _slope([*by_group.values()])


def _slope(groups: Sequence[Sequence[tuple[float, float]]]) -> float | None:
    products = squares = 0.0
    for points in groups:
        mean_x = sum(x for x, _y in points) / max(1, len(points))
        mean_y = sum(y for _x, y in points) / max(1, len(points))
        products += sum((x - mean_x) * (y - mean_y) for x, y in points)
        squares += sum((x - mean_x) ** 2 for x, _y in points)
    return products / squares if squares else None
