"""Dates in HTTP headers, read so that nothing a server sends can raise."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["http_date"]


def http_date(text: str) -> datetime | None:
    """A date as an aware datetime in UTC; ``None`` if it is none, or beyond what can be counted.

    A date without a zone, or with ``-0000``, is UTC, as every date of HTTP.

    Source: RFC 9110, 5.6.7 (the three forms a recipient must accept); RFC 5322, 3.3 (``-0000``).
    """
    from email.utils import parsedate_to_datetime  # dates are rare

    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
