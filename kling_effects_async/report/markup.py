"""Texts and figures as the page shows them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import urlsplit

from kling_effects_async.protocol.redaction import redacted

__all__ = ["amount", "attribute", "count", "linked", "name", "seconds", "shown", "text", "times"]

# What HTML cannot hold, and the half characters that undecodable file names are read as. Line
# breaks and tabs are allowed.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LONGEST_TEXT = 2_000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def shown(value: str) -> str:
    """The text without secrets and without what no page can hold, escaped; of any length."""
    return text(redacted(value))


def text(value: str) -> str:
    """The text letter for letter, escaped for content and for quoted attributes: for ids."""
    return html.escape(_NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", value[:_LONGEST_TEXT]))


def name(value: str) -> str:
    """A name, kept from turning the direction of the words beside it."""
    return f"<bdi>{shown(value)}</bdi>"


def attribute(key: str, value: str | None) -> str:
    """`` key="value"`` for a tag; nothing for ``None``."""
    return "" if value is None else f' {key}="{text(value)}"'


def linked(clip: str | None) -> str | None:
    """The clip's address if it may be linked: relative, and without a query that could sign it."""
    if not clip:
        return None
    try:
        parts = urlsplit(clip)
    except ValueError:
        return None
    is_elsewhere = parts.scheme or parts.netloc or "\\" in clip  # browsers read that as a slash
    return None if is_elsewhere or "?" in clip or "#" in clip else clip


def count(number: int) -> str:
    """``5,000``."""
    return f"{number:,}"


def times(number: int, one: str, many: str = "") -> str:
    """``1 item``, ``5,000 items``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def amount(units: Decimal) -> str:
    """``94.5``, without an exponent and without zeros at its end."""
    plain = f"{units:,f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def seconds(duration_s: float) -> str:
    """``12 s``, ``4 min 12 s``, ``1 h 17 min``, ``2 d 3 h``: two figures at most."""
    whole = round(duration_s)
    if whole < 10 and duration_s != whole:
        return f"{duration_s:.1f} s"
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _parts((whole // _MINUTE_S, "min"), (whole % _MINUTE_S, "s"))
    if whole < _DAY_S:
        return _parts((whole // _HOUR_S, "h"), (whole % _HOUR_S // _MINUTE_S, "min"))
    return _parts((whole // _DAY_S, "d"), (whole % _DAY_S // _HOUR_S, "h"))


def _parts(*figures: tuple[int, str]) -> str:
    kept: Iterable[tuple[int, str]] = (figure for figure in figures if figure[0])
    return " ".join(f"{number} {unit}" for number, unit in kept)
