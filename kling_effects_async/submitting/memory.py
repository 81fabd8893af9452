"""What is remembered of an account between runs.

Its slots, how long its tasks take, the use of its list, and where its callbacks come in.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable

from kling_effects_async.journal.store import JobStore
from kling_effects_async.polling.poller import Poller
from kling_effects_async.transport.clock import Clock

__all__ = ["AccountMemory"]

# The names of the memos in every journal there is.
_SLOTS, _DURATIONS, _LIST, _CALLBACKS = "slots", "experience", "list", "callbacks"
_NO_LIST = "not usable"
# 144 random bits, so that nobody can guess it.
_TOKEN_BYTES = 18
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24}")


class AccountMemory:
    """The memos of one account.

    Args:
        write: writes down its first argument, even if callers are cancelled; the second names it.
    """

    def __init__(
        self, account: str, store: JobStore, write: Callable[[Awaitable[object], str], object]
    ) -> None:
        self._account = account
        self._store = store
        self._write = write
        self._list_memo = ""

    async def recall(self, poller: Poller, clock: Clock) -> int | None:
        """Give the poller what is remembered; returns the number of slots, if it is."""
        poller.history.load(await self._memo(_DURATIONS) or "")
        self._list_memo = await self._memo(_LIST) or ""
        if self._list_memo == _NO_LIST:
            poller.list_breaker.trip(clock.monotonic())
        return _size_in(await self._memo(_SLOTS))

    async def callback_token(self) -> str:
        """The part of the account's callback address that nobody can guess, the same each time."""
        token = await self._memo(_CALLBACKS) or ""
        if not _TOKEN.fullmatch(token):  # there is none yet, or none that could be in an address
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            await self._store.set_memo(_CALLBACKS, self._account, token)
        return token

    def remember_slots(self, size: int) -> None:
        """Write down the number of slots."""
        self._remember(_SLOTS, str(size), "the number of slots")

    def remember(self, poller: Poller) -> None:
        """Write down what the poller has learned."""
        self._remember(_DURATIONS, poller.history.dumps(), "how long tasks take")
        pages = poller.list_breaker
        list_memo = "" if pages.is_usable or pages.has_worked else _NO_LIST
        if list_memo != self._list_memo:  # mostly it is the same, and a write costs a commit
            self._remember(_LIST, list_memo, "the list's use")

    async def _memo(self, kind: str) -> str | None:
        return await self._store.memo(kind, self._account)

    def _remember(self, kind: str, text: str, what: str) -> None:
        self._write(self._store.set_memo(kind, self._account, text), what)


def _size_in(text: str | None) -> int | None:
    """A remembered number of slots; what cannot be read is learned anew."""
    digits = text or ""
    # Nine digits and more are no number of slots, and Python's int() takes its time over many.
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 9
    return (int(digits) or None) if is_number else None
