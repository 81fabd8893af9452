"""Wall time, CPU time, peak memory and stalls of a stretch of this process."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from tests.bench.orders import Figures

__all__ = ["Meter", "noting_stalls"]

_TICK_S = 0.002
_TOP_FUNCTIONS = 40


class Meter:
    """Measures what runs inside its ``with`` block.

    Memory is what the process took at its peak beyond what it held at the start of the block.

    Args:
        is_profiled: also print, to stderr, the functions that took the most time in themselves, and
            those of the package with what they call.

    Attributes:
        figures: ``wall_s``, ``cpu_s`` (all threads) and ``peak_mb``; filled at the end.
    """

    def __init__(self, *, is_profiled: bool = False) -> None:
        self.figures: Figures = {}
        self._profile = cProfile.Profile() if is_profiled else None

    def __enter__(self) -> Self:
        gc.collect()
        self._idle_mb = _forget_peak_mb()
        self._cpu_s = time.process_time()
        self._wall_s = time.monotonic()
        if self._profile is not None:
            self._profile.enable()
        return self

    def __exit__(self, *_reason: object) -> None:
        if self._profile is not None:
            self._profile.disable()
        self.figures = {
            "wall_s": time.monotonic() - self._wall_s,
            "cpu_s": time.process_time() - self._cpu_s,
            "peak_mb": _peak_mb() - self._idle_mb,
        }
        if self._profile is not None:
            stats = pstats.Stats(self._profile, stream=sys.stderr)
            stats.sort_stats("tottime").print_stats(_TOP_FUNCTIONS)
            stats.sort_stats("cumulative").print_stats("kling_effects_async", _TOP_FUNCTIONS)


@asynccontextmanager
async def noting_stalls(figures: Figures) -> AsyncIterator[None]:
    """Put into ``figures`` the longest time for which the event loop did not turn, in ms."""
    longest_s = 0.0

    async def tick() -> None:
        nonlocal longest_s
        while True:
            asleep_since = time.monotonic()
            await asyncio.sleep(_TICK_S)
            longest_s = max(longest_s, time.monotonic() - asleep_since - _TICK_S)

    ticker = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker
        figures["stall_ms"] = longest_s * 1000


def _forget_peak_mb() -> float:
    """Make the present the peak, where the system can do that; the memory held now, or the peak.

    Source: proc(5), /proc/pid/clear_refs: 5 resets the peak resident set size.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status_mb("VmRSS") or _peak_mb()


def _peak_mb() -> float:
    of_linux_mb = _status_mb("VmHWM")
    if of_linux_mb is not None:
        return of_linux_mb
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _status_mb(name: str) -> float | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return None
