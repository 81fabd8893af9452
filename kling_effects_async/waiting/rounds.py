"""One page for everybody who is due, and the single answers that pages are held against.

What a page does not show is asked about singly. So is, now and then, a task that runs by the page,
because a list may be stale, and one task where a page could not be had, because only then is it
seen whether the list alone is in trouble. A task may end between a page and a single query, so a
list is behind only where a page that was asked for after the single answer still shows it running.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, count
from typing import TypeAlias

from kling_effects_async.errors import KlingEffectsError, RateLimitError
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.protocol.requests import PAGE_SIZE_MAX
from kling_effects_async.transport.clock import Clock
from kling_effects_async.waiting.failures import Failures
from kling_effects_async.waiting.pages import Pages
from kling_effects_async.waiting.reading import Reading
from kling_effects_async.waiting.watch import Watch

__all__ = ["AskPage", "Rounds"]

_log = logging.getLogger(__name__)

AskPage: TypeAlias = Callable[[int, int, Mapping[str, TaskSnapshot | None]], Awaitable[Listed]]
"""Asks for a page by number and size, read for these task ids alone; with each comes what is held
of it."""

_ByTaskId: TypeAlias = dict[str, list[Watch]]
"""Mostly one each; two where a task was attached to by either id before both were known."""


class Rounds:
    """Asks with pages.

    Args:
        take_answer: told what a page says about a task, and when it came.
        failures: told why a page could not be had, and that one came.
    """

    def __init__(
        self,
        ask_page: AskPage | None,
        pages: Pages,
        clock: Clock,
        *,
        take_answer: Callable[[Watch, TaskSnapshot, float], None],
        failures: Failures,
    ) -> None:
        self._ask_page = ask_page
        self._pages = pages
        self._clock = clock
        self._take_answer = take_answer
        self._failures = failures
        self._checks = 0
        self._checked: Watch | None = None  # asked singly to hold a page against the answer
        self._ended_id: str | None = None  # of one that a check saw ended: the next page must too
        self._probe: Watch | None = None  # asked singly to see whether only pages fail

    async def ask(self, due: Sequence[Watch]) -> set[Watch]:
        """Ask about all of them together; those that have to be asked about singly."""
        now = self._clock.monotonic()
        self._pages.asked(now, min(now - watch.began_at for watch in due))
        missing = _by_task_id(due)
        wanted = len(missing)
        without_id = {watch for watch in due if watch.task_id is None}
        told = [at for at in _creation_times(missing) if at is not None]
        reading = Reading(min(told, default=None))
        try:
            await self._read(missing, reading)
        except KlingEffectsError as error:
            return without_id | self._after_failure(_all_in(missing), error)
        except Exception as error:
            # The outermost edge of a question: a fault of ours must not keep anybody waiting.
            _log.error("a page could not be read, asking singly: %s", type(error).__name__)
            self._pages.rest(self._clock.monotonic())
            return without_id | _all_in(missing)
        found = wanted - len(missing)
        missed = sum(map(reading.should_have_shown, _creation_times(missing)))
        self._failures.answered()
        read_at = self._clock.monotonic()
        self._pages.answered(found, missed, took_s=read_at - now, now=read_at)
        unseen = _all_in(missing)
        for watch in due:
            watch.is_unlisted = watch in unseen
        return without_id | unseen | self._to_check(due)

    def answered_singly(self, watch: Watch, snapshot: TaskSnapshot, now: float) -> None:
        """What the answer says about pages, if it was one of those that were asked for that."""
        if watch is self._checked and snapshot.is_final:
            self._ended_id = watch.task_id
        elif watch is self._checked:
            self._pages.compared(was_behind=False, now=now)
        elif watch is self._probe:
            self._pages.did_without(now)

    def asked_singly(self, watch: Watch) -> None:
        """It had its turn, with or without an answer."""
        self._checked = None if watch is self._checked else self._checked
        self._probe = None if watch is self._probe else self._probe

    async def _read(self, missing: _ByTaskId, reading: Reading) -> None:
        """Take the tasks off ``missing`` that the list shows, page by page."""
        assert self._ask_page is not None
        for number in count(1):
            wanted = {task_id: watches[0].latest for task_id, watches in missing.items()}
            ended_id = self._ended_id
            if ended_id is not None:
                wanted.setdefault(ended_id, None)
            page = await self._ask_page(number, PAGE_SIZE_MAX, wanted)
            before = len(missing)
            self._take(page, missing, ended_id)
            reading.take(page, before - len(missing))
            if not missing or not reading.goes_on(_creation_times(missing)):
                return
            self._pages.asked_on(self._clock.monotonic())

    def _take(self, page: Listed, missing: _ByTaskId, ended_id: str | None) -> None:
        now = self._clock.monotonic()
        for snapshot in page.tasks:
            if snapshot.task_id == ended_id:
                self._ended_id = None
                self._pages.compared(was_behind=not snapshot.is_final, now=now)
            for watch in missing.pop(snapshot.task_id, ()):
                if snapshot is watch.latest:
                    watch.answered(now)
                else:
                    self._take_answer(watch, snapshot, now)

    def _after_failure(self, missing: set[Watch], error: KlingEffectsError) -> set[Watch]:
        self._pages.failed(error, self._clock.monotonic())
        delays = self._pages.is_usable and error.retryable
        self._failures.take_page(missing, error, delays=delays)
        if not delays:
            return missing
        if not missing or isinstance(error, RateLimitError) or self._probe is not None:
            return set()
        self._probe = min(missing, key=lambda watch: watch.began_at)
        return {self._probe}

    def _to_check(self, due: Iterable[Watch]) -> set[Watch]:
        """One that runs by the page: now the oldest, now the next of the others."""
        if not self._pages.wants_a_check() or self._checked is not None:
            return set()
        running = [
            watch
            for watch in due
            if watch.latest is not None and not watch.is_over and not watch.is_unlisted
        ]
        if not running:
            return set()
        running.sort(key=lambda watch: watch.began_at)
        turn, is_oldest = divmod(self._checks, 2)
        self._checks += 1
        self._checked = running[0 if is_oldest else turn % len(running)]
        return {self._checked}


def _by_task_id(watches: Iterable[Watch]) -> _ByTaskId:
    found: _ByTaskId = {}
    for watch in watches:
        if watch.task_id is not None:
            found.setdefault(watch.task_id, []).append(watch)
    return found


def _all_in(watches: _ByTaskId) -> set[Watch]:
    return set(chain.from_iterable(watches.values()))


def _creation_times(watches: _ByTaskId) -> Iterable[datetime | None]:
    """When each task was created, by the service's clock; ``None`` where nothing was heard yet."""
    for same in watches.values():
        latest = same[0].latest
        yield None if latest is None else latest.created_at
