"""Which items the contact sheet shows: a page has to stay one that a browser opens."""

from __future__ import annotations

from attrs import define

from kling_effects_async.report.run_report import ReportItem

__all__ = ["MAX_PICTURE_BYTES", "Sheet"]

# Chromium opens a page of 40 MB in about two seconds. Measured with 5,000 items, 2026-11.
MAX_PICTURE_BYTES = 35_000_000
MAX_CARDS = 20_000
"""After so many only failures are shown, as many again; the counts are of all."""


@define
class Sheet:
    """Counts what has been taken onto the sheet.

    Attributes:
        cards: the items on it.
        left_out: the items that are not.
        picture_bytes: what the pictures take, as base64.
        without_pictures: the items whose pictures had no room.
    """

    cards: int = 0
    left_out: int = 0
    picture_bytes: int = 0
    without_pictures: int = 0

    def has_room(self, item: ReportItem) -> bool:
        """Whether the item gets a card; it is counted."""
        is_shown = self.cards < (2 * MAX_CARDS if item.state.is_failure else MAX_CARDS)
        self.cards += is_shown
        self.left_out += not is_shown
        return is_shown

    def has_room_for_pictures(self, size_bytes: int) -> bool:
        """Whether an item's pictures fit; they are counted."""
        is_shown = self.picture_bytes + size_bytes <= MAX_PICTURE_BYTES
        self.picture_bytes += size_bytes if is_shown else 0
        self.without_pictures += not is_shown
        return is_shown
