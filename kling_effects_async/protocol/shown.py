"""What of an answer may be shown or kept: only here a service's texts are made harmless.

An answer is read as it came. Only then the texts in what was read of it pass here: our own keys and
everything that looks like a secret are cut out, and what is left is bounded. Ids of tasks and
addresses of videos stay letter for letter, because they are used and not only shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import evolve, field, frozen

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.protocol.redaction import redacted

__all__ = ["Shown", "bare"]

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

# An answer of 4 MiB must not become a message of 4 MiB.
_LONGEST = {"code": 80, "raw_status": 80, "request_id": 200}
_LONGEST_TEXT = 2_000
# What is shorter is no secret, but would be found in every word.
_SHORTEST = 4
# One line each: with a line break in it, an id could pass for a line of the log.
_ONE_LINE = frozenset(_LONGEST)


def _any_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """Each as it is, percent-encoded and as some JSON encoders write it, in any case."""
    spelled = {
        form for each in secrets for form in (each, quote(each, safe=""), each.replace("/", "\\/"))
    }
    longest_first = sorted((s for s in spelled if len(s) >= _SHORTEST), key=len, reverse=True)
    # Headers are written in lower case by some. With no secret, a pattern that never matches.
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)


@frozen
class Shown:
    """Makes harmless what was read of an answer.

    Attributes:
        own: our own secrets, which some services repeat in their messages.
    """

    own: re.Pattern[str] = field(converter=_any_of, repr=False)

    def text(self, text: str, name: str = "") -> str:
        """The text without secrets, as long as a member of this name may be at most."""
        text = redacted(self.own.sub("...", text))
        if name in _ONE_LINE:
            text = "".join(c if c.isprintable() else "?" for c in text)
        return text[: _LONGEST.get(name, _LONGEST_TEXT)]

    def value(self, value: T) -> T:
        """A task, or a page of tasks; the very same object where nothing in it is secret."""
        if isinstance(value, TaskSnapshot):
            return self._task(value)  # type: ignore[return-value]  # a T is one of these
        if isinstance(value, (TaskPage, Listed)):
            return evolve(value, tasks=tuple(map(self._task, value.tasks)))
        return value

    def error(self, error: KlingEffectsError) -> KlingEffectsError:
        """The error, just made from an answer: its texts harmless, and nothing behind it."""
        for name, text in vars(error).items():
            if isinstance(text, str):
                setattr(error, name, self.text(text, name))
        error.args = tuple(self.text(a) if isinstance(a, str) else a for a in error.args)
        return bare(error)

    def _task(self, task: TaskSnapshot) -> TaskSnapshot:
        names = ("message", "raw_status", "request_id")
        texts = {name: getattr(task, name) for name in names if getattr(task, name)}
        harmless: dict[str, Any] = {name: self.text(text, name) for name, text in texts.items()}
        return task if harmless == texts else evolve(task, **harmless)


def bare(error: E) -> E:
    """The exception without the frames it passed, and without what was handled before it.

    Their locals hold headers with the key, bodies of answers and signed addresses, and tools that
    report errors show locals.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
