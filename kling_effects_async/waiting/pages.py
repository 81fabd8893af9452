"""Asking about many tasks with one page, where the service lists tasks and its list can be trusted.

No document promises that a list is complete, fresh or there at all. So it is found out: a list that
fails for good, does not have tasks that exist, or is behind single answers is not asked again.
"""

from __future__ import annotations

from kling_effects_async.errors import (
    InvalidRequestError,
    KlingEffectsError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
)

__all__ = ["FEWEST", "PAGE_SIZE", "Pages"]

# Fewer due tasks are asked about one by one: a page costs the service more than a few rows.
FEWEST = 4
PAGE_SIZE = 500  # the most that Kling's page allows. Source: effects page, 2026-09.

# The rhythm of pages: a part of the age of the youngest due task, within these bounds.
_SHORTEST_S, _LONGEST_S = 0.5, 0.9
_SHARE_OF_AGE = 0.1
# How often in a row a page may fail in passing, or lack most of what exists.
_FAILURES, _GAPS = 8, 3
_HUNG = 4
# Every so many pages the oldest of their tasks is asked about singly as well. A task may end in
# between, so one disagreement proves nothing, and agreements make up for it slowly.
_CHECK_EVERY = 5
_BEHIND, _MADE_UP = 2.0, 0.25


class Pages:
    """What is known of the service's list, and when the next page may be asked for.

    Args:
        has_list: by the documents; ``None`` where they do not say.
    """

    def __init__(self, has_list: bool | None) -> None:
        self.is_usable: bool = has_list is not False
        self.next_at: float = 0.0
        self._failures = 0
        self._gaps = 0
        self._behind = 0.0
        self._asked = 0

    def asked(self, now: float, youngest_age_s: float) -> None:
        """A page was asked for; the next one keeps the rhythm."""
        self._asked += 1
        self.next_at = now + self.pause(youngest_age_s)

    def pause(self, age_s: float) -> float:
        """Seconds until the next look at a task of this age."""
        return min(_LONGEST_S, max(_SHORTEST_S, age_s * _SHARE_OF_AGE))

    def wants_a_check(self) -> bool:
        """Whether to hold this page against a single answer."""
        return self._asked % _CHECK_EVERY == 1

    def failed(self, error: KlingEffectsError) -> None:
        """A page could not be had."""
        if isinstance(error, (InvalidRequestError, ReplyError)):
            self.distrust()  # no such path: an error, or an HTML page
        elif not isinstance(error, RateLimitError):
            # A page that never comes holds up everybody who is due for as long as a try may last.
            self._failures += _HUNG if isinstance(error, RequestTimeoutError) else 1
            self._judge()

    def answered(self, asked_for: int, missing: int) -> None:
        """A page came, and had all but ``missing`` of the tasks that exist."""
        self._failures = 0
        self._gaps = self._gaps + 1 if missing * 2 > asked_for else 0
        self._judge()

    def compared(self, *, was_behind: bool) -> None:
        """A task that runs by the page was asked about singly; has it ended?"""
        self._behind = self._behind + 1 if was_behind else max(0.0, self._behind - _MADE_UP)
        self._judge()

    def _judge(self) -> None:
        if self._failures >= _FAILURES or self._gaps >= _GAPS or self._behind >= _BEHIND:
            self.distrust()

    def distrust(self) -> None:
        """Never ask this list again."""
        self.is_usable = False
