"""Scripted faults: what goes wrong with one call, as a value.

A fault waits for the next call of its operation (``on``), faults of one operation come in order,
and each is spent by one call. ``accepted`` matters to a submit only: whether the service makes the
task, and charges for it, before the fault.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from attrs import Factory, field, frozen, validators

from kling_effects_async.emulator.fault_checks import (
    are_headers,
    is_cut,
    is_seconds,
    is_whole,
    made_by_name,
)
from kling_effects_async.emulator.rejections import CODES

__all__ = ["CONSTRUCTORS", "OPERATIONS", "CannedAnswer", "Defect", "Fault", "Operation"]

Operation: TypeAlias = Literal["submit", "query", "list", "download"]
OPERATIONS: tuple[str, ...] = get_args(Operation)

# A failure text seen at Kling, 2025-12 to 2026-09.
_RISK_CONTROL = "Failure to pass the risk control system"

_ERROR_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"

_is_text = validators.instance_of(str)


@frozen
class CannedAnswer:
    """An answer sent instead of the service's own. Statuses below 200 are never final answers."""

    status: int = field(validator=[is_whole, validators.ge(200), validators.le(599)])
    body: bytes = field(default=b"", validator=validators.instance_of(bytes))
    headers: Mapping[str, str] = field(factory=dict, validator=are_headers)


class Defect(enum.Enum):
    """What is wrong inside an otherwise healthy answer."""

    STATUS_WORD = "status_word"
    STALE = "stale"
    NO_VIDEOS = "no_videos"
    OTHER_TASK = "other_task"
    UNKNOWN_TASK = "unknown_task"
    IGNORE_RANGE = "ignore_range"
    CHANGED_ETAG = "changed_etag"


@frozen(kw_only=True)
class Fault:
    """What goes wrong with one call. Make it with one of the constructors.

    Attributes:
        accepted: the service does its work first; its own answer is then what is late or cut.
        failure: what the accepted task fails with in the end; ``None``: it is a task like others.
        canned: sent in place of the service's answer.
        code, message, headers: a Kling business code answered in the host's own shape, with its
            documented text where the message is empty.
        delay_s: seconds of the event loop's clock before the answer; infinity: it never comes.
        cut: ``"before_reading"``, ``"after_reading"``, or how many body bytes leave first.
        announces_length: a cut answer carries the Content-Length of the whole.
        drip_bytes, drip_every_s: the body comes in pieces this large, this far apart.
        has_no_head: the body is written raw, without a status line.
        defect, word: what is wrong inside the answer; ``word`` is the status word it shows.
    """

    on: Operation = field(default="submit", validator=validators.in_(OPERATIONS))
    accepted: bool = field(default=False, validator=validators.instance_of(bool))
    failure: str | None = field(default=None, validator=validators.optional(_is_text))
    canned: CannedAnswer | None = None
    code: int | None = field(default=None, validator=validators.optional(is_whole))
    message: str = field(default="", validator=_is_text)
    headers: Mapping[str, str] = field(default=Factory(dict), validator=are_headers)
    delay_s: float = field(default=0.0, validator=is_seconds)
    cut: Literal["before_reading", "after_reading"] | int | None = field(
        default=None, validator=is_cut
    )
    announces_length: bool = field(default=True, validator=validators.instance_of(bool))
    drip_bytes: int = field(default=0, validator=[is_whole, validators.ge(0)])
    drip_every_s: float = field(default=0.0, validator=is_seconds)
    has_no_head: bool = False
    defect: Defect | None = None
    word: str = field(default="", validator=_is_text)

    @classmethod
    def answer(
        cls,
        status: int,
        body: bytes | str = b"",
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        on: Operation = "submit",
        accepted: bool = False,
    ) -> Fault:
        """Any answer at all; a redirect is ``answer(302, headers={"Location": ...})``."""
        content = body.encode() if isinstance(body, str) else body
        all_headers = {"Content-Type": content_type} | dict(headers or {})
        return cls(on=on, accepted=accepted, canned=CannedAnswer(status, content, all_headers))

    @classmethod
    def json(
        cls, status: int, payload: object, *, on: Operation = "submit", accepted: bool = False
    ) -> Fault:
        """Any answer in JSON."""
        return cls.answer(status, json.dumps(payload), on=on, accepted=accepted)

    @classmethod
    def html(cls, status: int = 502, *, on: Operation = "submit", accepted: bool = False) -> Fault:
        """A proxy's error page; with 200, a captive portal's, or a page in place of a video."""
        page = _ERROR_PAGE.format(status)
        return cls.answer(status, page, content_type="text/html", on=on, accepted=accepted)

    @classmethod
    def business_code(
        cls, code: int, message: str = "", *, on: Operation = "submit", accepted: bool = False
    ) -> Fault:
        """Any code, with its documented HTTP status (400 if unknown), in the shape of the host."""
        return cls(on=on, accepted=accepted, code=code, message=message)

    @classmethod
    def rejected(cls, code: int) -> Fault:
        """The submit is rejected with a documented code, in Kling's words; nothing is charged.

        Raises:
            ValueError: the code is in no table of Kling's.
        """
        if code not in CODES:
            raise ValueError(f"unknown code {code!r}; known: {', '.join(map(str, CODES))}")
        return cls(code=code)

    @classmethod
    def task_failed(cls, message: str = _RISK_CONTROL) -> Fault:
        """The task is accepted, runs as long as others, and fails with this message."""
        return cls(accepted=True, failure=message)

    @classmethod
    def rate_limited(
        cls,
        retry_after: str | float | None = None,
        *,
        code: int = 1302,
        on: Operation = "submit",
    ) -> Fault:
        """429. ``retry_after``: seconds, an HTTP date, or any garbage, sent as given."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return cls(on=on, code=code, headers=headers)

    @classmethod
    def cut_before_reading(cls, *, on: Operation = "submit") -> Fault:
        """Reset without reading the body. aiohttp's client sends a GET again by itself."""
        return cls(on=on, cut="before_reading")

    @classmethod
    def cut_after_reading(cls, *, on: Operation = "submit", accepted: bool = False) -> Fault:
        """Closed without a byte of an answer. aiohttp's client sends a GET again by itself."""
        return cls(on=on, accepted=accepted, cut="after_reading")

    @classmethod
    def cut_answer(
        cls,
        after_bytes: int,
        *,
        announces_length: bool = True,
        on: Operation = "submit",
        accepted: bool = True,
    ) -> Fault:
        """Closed when this many bytes of the body have left.

        Without ``announces_length`` the reader cannot see that bytes are missing. A submit that
        is not ``accepted`` cuts the body of a 5000.
        """
        return cls(on=on, accepted=accepted, cut=after_bytes, announces_length=announces_length)

    @classmethod
    def late(cls, delay_s: float, *, on: Operation = "submit", accepted: bool = True) -> Fault:
        """The right answer, too late. A submit that is not ``accepted`` gets a late 5000."""
        return cls(on=on, accepted=accepted, delay_s=delay_s)

    @classmethod
    def silence(cls, *, on: Operation = "submit", accepted: bool = False) -> Fault:
        """An answer that never comes; the connection stays open until the caller leaves."""
        return cls(on=on, accepted=accepted, delay_s=math.inf)

    @classmethod
    def drip(
        cls,
        piece_bytes: int = 1,
        every_s: float = 0.1,
        *,
        on: Operation = "submit",
        accepted: bool = True,
    ) -> Fault:
        """The right answer, a few bytes at a time."""
        if piece_bytes == 0:
            raise ValueError("piece_bytes must be at least 1")
        return cls(on=on, accepted=accepted, drip_bytes=piece_bytes, drip_every_s=every_s)

    @classmethod
    def garbage(
        cls,
        body: bytes = b"\xff\xfe{]not json\x00",
        *,
        on: Operation = "submit",
        accepted: bool = False,
    ) -> Fault:
        """200 and ``application/json``, but the bytes are no JSON."""
        return cls.answer(200, body, on=on, accepted=accepted)

    @classmethod
    def not_http(
        cls,
        body: bytes = b"SSH-2.0-OpenSSH_9.6\r\n",
        *,
        on: Operation = "submit",
        accepted: bool = False,
    ) -> Fault:
        """Bytes that are not HTTP at all, then the end."""
        return cls(on=on, accepted=accepted, canned=CannedAnswer(200, body), has_no_head=True)

    @classmethod
    def status_word(cls, word: str, *, on: Operation = "query") -> Fault:
        """The task as it is, under another status word."""
        return cls(on=on, defect=Defect.STATUS_WORD, word=word)

    @classmethod
    def stale(cls, *, on: Operation = "query") -> Fault:
        """The task as it was at acceptance: a status that goes backwards."""
        return cls(on=on, defect=Defect.STALE)

    @classmethod
    def no_videos(cls, *, on: Operation = "query") -> Fault:
        """If the task has succeeded, an empty list of videos."""
        return cls(on=on, defect=Defect.NO_VIDEOS)

    @classmethod
    def other_task(cls) -> Fault:
        """The query is answered with the right state under another task's id."""
        return cls(on="query", defect=Defect.OTHER_TASK)

    @classmethod
    def unknown_task(cls) -> Fault:
        """The query answers that there is no such task, as a replica that lags behind would."""
        return cls(on="query", defect=Defect.UNKNOWN_TASK)

    @classmethod
    def ignore_range(cls) -> Fault:
        """The download answers 200 and the whole file, whatever part was requested."""
        return cls(on="download", defect=Defect.IGNORE_RANGE)

    @classmethod
    def changed_etag(cls) -> Fault:
        """The download has another ETag than before, so ``If-Range`` does not match."""
        return cls(on="download", defect=Defect.CHANGED_ETAG)

    @classmethod
    def expired(cls) -> Fault:
        """The download's address has expired: 403."""
        return cls.answer(403, "URL has expired", content_type="text/plain", on="download")

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Fault:
        """``{"fault": "cut_answer", "on": "query", "after_bytes": 9}``: a constructor by name.

        Raises:
            ValueError: the name or an argument does not fit; the message lists what does.
        """
        return made_by_name(cls, CONSTRUCTORS, _with_bytes(given))


def _with_bytes(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """JSON has no bytes: a body comes as text."""
    if not isinstance(given.get("body"), str):
        return given
    return {**given, "body": given["body"].encode(errors="replace")}


CONSTRUCTORS: tuple[str, ...] = tuple(
    name
    for name, member in vars(Fault).items()
    if isinstance(member, classmethod) and not name.startswith("_") and name != "from_json"
)
