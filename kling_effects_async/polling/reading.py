"""How far to read the task list, and which tasks the pages that were read should have shown; pure.

    page 1          page 2          page 3          page 4
    newest tasks    not ours        ours            older than all of ours: the last one

No document states the order of the list. Where the creation times on the pages fall, it is newest
first, and what is still missing is on a later page, or not in the list, by its own creation time.
Where they do not fall, or are missing, it may be anywhere. A page costs the service as much as a
few single queries, so pages are read on for as long as enough tasks can be on them.

Source for newest first: none; it is our emulator's choice, and the usual one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from kling_effects_async.protocol.messages import Listed
from kling_effects_async.protocol.requests import PAGE_SIZE_MAX

__all__ = ["FEWEST", "Reading"]

# Fewer due tasks are polled one by one: a page costs the service more than a few rows.
FEWEST = 4

# So many pages in a row without any task of ours are the most where no times show how far to go:
# as many as one client's tasks fill (10,000, the most that ``SlotPolicy`` begins with).
_FARTHEST = 20


class Reading:
    """The pages of one reading, from the first on, as they come.

    Args:
        oldest_at: when the oldest task that is wanted was created; ``None`` if not known. A first
            page that is older than that is not of a list with the newest first.

    Attributes:
        has_found: a task that was wanted was on one of the pages.
    """

    def __init__(self, oldest_at: datetime | None) -> None:
        self.has_found: bool = False
        self._oldest_at = oldest_at
        self._page: Listed | None = None  # the last one
        self._without = 0  # pages in a row without a task of ours
        self._is_newest_first = True
        self._is_over = False  # no other page follows

    def take(self, page: Listed, found: int) -> None:
        """The next page came, with so many of the tasks that were still missing."""
        before, self._page = self._page, page
        self.has_found = self.has_found or found > 0
        self._without = 0 if found else self._without + 1
        is_repeated = before is not None and page.first_id == before.first_id != ""
        self._is_over = page.shown == 0 or is_repeated
        self._is_newest_first = self._is_newest_first and self._falls(before, page)

    def goes_on(self, missing: Iterable[datetime | None]) -> bool:
        """Whether the next page is worth its price.

        Args:
            missing: when each task that was not found yet was created; ``None`` if not known.
        """
        if not self._is_newest_first and self._without > _FARTHEST:
            return False
        enough = FEWEST * max(1, self._without)
        # Counted no further than that: of 20,000 tasks almost any few will do, on each page again.
        may_follow = islice(filter(self._may_follow, missing), enough)
        return len(list(may_follow)) == enough

    def should_have_shown(self, created_at: datetime | None) -> bool:
        """Whether a task that was not found belongs on the pages that were read.

        Where there are no times, a reading that found nothing at all counts as such.
        """
        is_placed = created_at is not None and self._is_newest_first
        return not self._may_follow(created_at) or not (is_placed or self.has_found)

    def _may_follow(self, created_at: datetime | None) -> bool:
        """Whether the task can be on a later page."""
        page = self._page
        if page is None or self._is_over:
            return page is None
        is_short = page.shown < PAGE_SIZE_MAX
        if created_at is None or page.newest_at is None or page.oldest_at is None:
            return not is_short
        if not self._is_newest_first:
            return not is_short
        if is_short:  # the last one; or the service gives fewer entries than were requested
            return created_at < page.oldest_at
        return created_at <= page.newest_at

    def _falls(self, before: Listed | None, page: Listed) -> bool:
        """Whether the page has creation times, and none later than those before it."""
        if page.newest_at is None or page.oldest_at is None:
            return False
        if before is None:
            return self._oldest_at is None or page.newest_at >= self._oldest_at
        if before.newest_at is None or before.oldest_at is None:
            return False
        return page.newest_at <= before.newest_at and page.oldest_at <= before.oldest_at
