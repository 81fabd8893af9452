"""How the journal writes a moment: as a number in its tables, and as text in a file's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["moment_of", "stamp_of", "us_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def us_of(moment: datetime) -> int:
    """How the journal stores a moment; exact, and several times as fast as text."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The moment that was stored."""
    return _EPOCH + timedelta(microseconds=us)


def stamp_of(moment: datetime) -> str:
    """A moment in UTC as part of a file name."""
    return moment.strftime("%Y%m%dT%H%M%S.%fZ")
