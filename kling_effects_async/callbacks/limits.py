"""How many may come in a time; pure."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """So many at once, and so many a second.

    Args:
        burst: how many may come at once.
        per_s: how many more each second.
    """

    def __init__(self, burst: int, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._counted_at: float | None = None

    def take(self, now: float, *, leaving: int = 0) -> bool:
        """Whether one more may come now.

        Args:
            now: of a clock that never goes back.
            leaving: so many must be left after it, for what counts more.
        """
        passed_s = 0.0 if self._counted_at is None else max(0.0, now - self._counted_at)
        self._left = min(self._burst, self._left + passed_s * self._per_s)
        self._counted_at = now
        if self._left < 1 + leaving:
            return False
        self._left -= 1
        return True
