"""What must never be shown: keys, tokens, and what follows ``?`` in a signed URL.

An answer is read as it came. Only then the texts in what was read pass here: our own keys and
everything that looks like a secret are cut out, and what is left is bounded. Ids of tasks and
addresses of videos stay letter for letter, because they are used and not only shown.

Texts come from anybody, so every rule takes time in proportion to the text: a pattern has either a
fixed length, or begins where the run of characters that it takes begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from attrs import evolve, field, frozen

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.protocol.own_secrets import OwnSecrets

__all__ = ["Shown", "bare", "redacted", "without_arguments"]

_WORD = re.compile(r"[^\s\"'<>]+")
_QUERY = re.compile(r"[?#]")
# An equals sign, as it is, percent-encoded, or as some JSON encoders (Gson) write it.
_EQUALS = r"(?:=|%3D|\\u003d)"
_HAS_PAIR = re.compile(_EQUALS, re.IGNORECASE)
# In lower case too, as content types come.
_JWT_START = re.compile(r"(?i)(?:(?<![a-z0-9])|(?<=%[0-9a-f]{2}))eyj[a-z0-9_-]{5}")

# Members of signed addresses and of settings. Sources: the pages on signed URLs of AWS S3 and
# CloudFront, Alibaba OSS and CDN, Tencent COS and CDN, Google Cloud Storage, Akamai, 2026.
_SECRET_NAMES = (
    r"signature|token|credential|hmac|password|key-pair-id"
    r"|secret(?:[_-]?key)?|access[_-]?key(?:[_-]?id)?|access[_-]?id|(?:api|auth)[_-]?key"
)
# Ends of other words ("design="), so these begin where no letter is, or after an encoded ? or /.
_SHORT_NAMES = r"(?:(?<![A-Za-z])|(?<=%3F)|(?<=%2F))(?:sign|sig|policy)"
_PAIR = rf"(?:{_SECRET_NAMES}|{_SHORT_NAMES})(?:{_EQUALS}|\\?[\"']\s?:\s?\\?[\"'])"

_SECRETS = (
    (re.compile(r"//[^\s/@\"'<>]+@"), r"//...@"),
    (re.compile(rf"(?i)({_PAIR})[^\s\"'<>&]+"), r"\1..."),
    (re.compile(r"(?i)\b(authorization\W{1,6}basic\s{1,9})[A-Za-z0-9+/=_-]+"), r"\1..."),
    # Without that word only what ends as base64 does; "basic rules" are nobody's secret.
    (re.compile(r"(?i)\b(basic\s{1,9})[A-Za-z0-9+/_-]+=+"), r"\1..."),
    (re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+"), r"\1..."),
    (re.compile(r"(?i)api-key-kling-[A-Za-z0-9_.*-]*"), "api-key-kling-..."),
    (re.compile(r"\bsk-[A-Za-z0-9_*-]{4,}"), "sk-..."),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), "whsec_..."),
)

# Without one of these no rule above can match. Most texts of an answer are a word or an id, and the
# rules took a tenth of a poll's time.
_NEEDED = re.compile(r"[=%\\\"'/\s]|eyj|sk-|whsec_|api-key-kling-", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with everything that looks like a secret cut out."""
    if _NEEDED.search(text) is None:
        return text
    text = _WORD.sub(_without_query, text)
    text = _WORD.sub(_without_token, text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _without_query(word: re.Match[str]) -> str:
    """An address, with a scheme or without one, up to its query."""
    mark = _QUERY.search(word[0])
    if mark is None:
        return word[0]
    before, after = word[0][: mark.start()], word[0][mark.end() :]
    is_short_address = mark[0] == "?" and _HAS_PAIR.search(after)
    return f"{before}?..." if "://" in before or is_short_address else word[0]


def _without_token(word: re.Match[str]) -> str:
    """A signed token (JWT), whole or cut short: how its first part begins, and what follows."""
    start = _JWT_START.search(word[0])
    if start is None:
        return word[0]
    return f"{word[0][: start.start()]}..."


E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

# An answer of 4 MiB must not become a message of 4 MiB.
_LONGEST = {"code": 80, "raw_status": 80, "request_id": 200}
_LONGEST_TEXT = 2_000
# One line each: with a line break in it, an id could pass for a line of the log.
_ONE_LINE = frozenset(_LONGEST)


@frozen
class Shown:
    """Makes harmless what was read of an answer.

    Attributes:
        own: our own secrets, which some services repeat in their messages.
    """

    own: OwnSecrets = field(converter=OwnSecrets, repr=False)

    def text(self, text: str, name: str = "") -> str:
        """The text without secrets, as long as a member of this name may be at most."""
        text = redacted(self.own.cut(text))
        if name in _ONE_LINE and not text.isprintable():
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


P = ParamSpec("P")


def without_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """The function, whose failures keep no frame with the secrets that it was given."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (KlingEffectsError, TypeError) as error:
            failure = bare(error)
        del args, kwargs
        raise failure  # out here, so that its context is the caller's

    return call
