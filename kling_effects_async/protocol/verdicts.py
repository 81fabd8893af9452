"""What an answer that says no means: the one table that decides "again?".

HTTP 429 is not one thing with Kling: 1302 and 1303 pass, 1100 to 1102 and 1304 need a person. And
one code is not one thing either: 1201 is a bad value, an unknown task or a used external id, and
only its words show which. So Kling's own code decides where it is clear enough, then words that are
known, then a gateway's code, and the HTTP status only where there is none of these.

Source: Kling's error codes page, 2026-09 (codes); public records of live calls, 2026-04 to 2026-09
(words of 1002, 1102, 1201); new-api source, 2025 and 2026 (words of gateways).
"""

from __future__ import annotations

import re

from attrs import evolve, frozen

from kling_effects_async.errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    ConcurrencyLimitError,
    ContentRejectedError,
    InvalidRequestError,
    RateLimitError,
    Scope,
    ServiceError,
    TaskNotFoundError,
)

__all__ = ["SUCCESS_CODES", "Verdict", "says_used_id", "verdict_of", "without_id"]

# Kling says 0; new-api says "success"; one relative declares text and sends "0". 200 is what some
# gateways repeat from the HTTP status. An absent code belongs to the flat shapes.
SUCCESS_CODES = frozenset({None, "", 0, "0", 200, "200", "success", "succeed", "ok"})


@frozen
class Verdict:
    """How to treat a rejection.

    Attributes:
        retryable: the same request can succeed later by itself.
        may_be_accepted: a submit answered like this can have created a task all the same.
        scope: whom it concerns where that is not what its class says.
        advice: what a person can do, as a sentence; ``""`` where the message says enough.
    """

    error: type[ApiError]
    retryable: bool = False
    may_be_accepted: bool = False
    scope: Scope | None = None
    advice: str = ""


_KEY = Verdict(AuthenticationError, advice="Check the key")
# Anybody on the way can have said this much.
_WORDLESS_KEY = Verdict(AuthenticationError, retryable=True, advice="Check the key")
_CLOCK = Verdict(AuthenticationError, retryable=True, advice="Check this machine's clock")
_ACCOUNT = Verdict(AccountError, advice="Look into the account; nothing is accepted until then")
_TOP_UP = Verdict(AccountError, advice="Top up the account; nothing is accepted until then")
_NO_RIGHT = Verdict(AccountError, advice="The account or the key may not do this")
_REQUEST = Verdict(InvalidRequestError)
_IMAGE = Verdict(InvalidRequestError, advice="The service cannot read the image: use another copy")
_ADDRESS = Verdict(InvalidRequestError, scope=Scope.ACCOUNT, advice="Check the service's base URL")
_CONTENT = Verdict(ContentRejectedError, advice="Submit another image")
_RATE = Verdict(RateLimitError, retryable=True)
_SLOTS = Verdict(ConcurrencyLimitError, retryable=True)
_FAILURE = Verdict(ServiceError, retryable=True, may_be_accepted=True)
_NO_CHANNEL = Verdict(
    ServiceError,
    retryable=True,
    scope=Scope.ACCOUNT,  # the effects of one gateway share their models
    advice="The gateway has no channel for this scene's model: write to it, or use another service",
)
# A code that no document has: neither what the service did nor whether it passes is known.
_UNKNOWN = Verdict(ApiError, retryable=True, may_be_accepted=True)
_NOT_FOUND = Verdict(
    TaskNotFoundError,
    retryable=True,  # a task that was just made may be unknown to the next replica
    advice="Check the id, the account and the service it was submitted to",
)

_BY_CODE: dict[int | str | None, Verdict] = {
    1000: _KEY,
    1001: _KEY,
    1002: _KEY,
    1003: _CLOCK,
    1004: _CLOCK,
    1100: _ACCOUNT,
    1101: _TOP_UP,
    1102: _TOP_UP,
    1103: Verdict(AccountError, advice="The account has no right to this API; request access"),
    1200: _REQUEST,
    1201: _REQUEST,
    1202: _REQUEST,
    1203: _REQUEST,
    1300: _CONTENT,
    1301: _CONTENT,
    1302: _RATE,
    1303: _SLOTS,
    1304: Verdict(AccountError, advice="This machine's address is not on the account's list"),
    5000: _FAILURE,
    5001: _FAILURE,
    5002: _FAILURE,
    "quota_not_enough": _TOP_UP,
    "insufficient_quota": _TOP_UP,
    "insufficient_user_quota": _TOP_UP,
    "pre_consume_token_quota_failed": _TOP_UP,
    "exceeded_current_quota_error": _TOP_UP,
    "task_not_exist": _NOT_FOUND,  # new-api sends it with HTTP 400
    "invalid_request": _REQUEST,
    "invalid_api_platform": _REQUEST,
    "read_request_body_failed": _REQUEST,
    "upstream_load_saturated": _RATE,  # seen with HTTP 403 and 429: of the pace, not the account
    "model_not_found": _NO_CHANNEL,
    "get_channel_failed": _NO_CHANNEL,
    "do_request_failed": _FAILURE,
    "read_response_body_failed": _FAILURE,
    "unmarshal_response_failed": _FAILURE,
    "insert_task_failed": _FAILURE,  # while the task may run on at Kling
    "new_api_panic": _FAILURE,
}

# Of the documented codes, those that stand for many things: their words are looked at first.
_VAGUE_CODES = frozenset({1200, 1201})

_BY_STATUS: dict[int, Verdict] = {
    400: _REQUEST,
    401: _KEY,
    402: _TOP_UP,
    403: _NO_RIGHT,
    404: _ADDRESS,  # a router's word: an unknown task is known by its code or its message
    405: _ADDRESS,
    408: _FAILURE,
    425: _RATE,  # Too Early, RFC 8470: the same request is welcome later
    429: _RATE,
    499: _FAILURE,  # nginx: the connection ended first; the service behind it may have gone on
}


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# Words that are clearer than any code or status beside them; the first that is met decides.
# Source: Kling, recorded live (base64, models, balance); new-api's distributor, limiter and relay
# (channel, saturation, upstream failure, quota); other gateways' rejections for money.
_BY_WORDS: tuple[tuple[re.Pattern[str], Verdict], ...] = (
    (_words(r"risk control system"), _CONTENT),
    (_words(r"parallel task over resource pack limit"), _SLOTS),
    (_words(r"no available channel|无可用渠道|无可用通道"), _NO_CHANNEL),
    (_words(r"upstream_load_saturated|上游负载已饱和"), _RATE),
    (_words(r"valid base64 format"), _IMAGE),
    (
        _words(
            r"insufficient[ _](\w+[ _])?(balance|quota|credit|fund)"
            r"|balance (is )?(not enough|insufficient|too low)|not enough (balance|credit|quota)"
            r"|quota (is |has been )?(exhausted|exceeded|not enough|used up)|quota_not_enough"
            r"|exceeded (your|the) current quota|billing details|in arrears"
            r"|resource pack (is )?(used up|exhausted|expired)"
            r"|(余额|额度|配额)已?(不足|用尽|用完|耗尽)|欠费|请充值"
        ),
        _TOP_UP,
    ),
)

# What is said of an id that no task has. Source: Kling, recorded live on both hosts, 2026-04 to
# 2026-09 ("Task not found by id/external id: X"; "invalid task id" on the newer path); new-api.
_UNKNOWN_TASK = _words(
    r"\b(no such task|unknown task|invalid task[ _]id)\b"
    r"|(?<!of )\btask[ _]?(id)?\b[^:;,]{0,40}"
    r"\b(not[ _](be )?(found|exist)|does(n't| not) exist|unknown)\b"
    r"|\bnot find\b[^:;,]{0,20}\btask\b"
    r"|任务(id)?[^：，]{0,20}(不存在|未找到|找不到)|(不存在|未找到|找不到)该?任务"
)

# Who says one of these speaks of a failure on the way to the answer, and has not looked.
_HAS_NOT_LOOKED = _words(
    r"time(d)?[ -]?out|upstream|cache|storage|service|server|channel|token|rate|retry|try again"
    r"|later|busy|internal|unavailable|overload|稍后|超时|繁忙"
)
# Only with these can an answer about one task say that there is no such task.
_STATUSES_OF_ABSENCE = frozenset({*range(200, 300), 400, 404, 410, 422})
_CODES_OF_ABSENCE = frozenset({None, 400, 404, 1200, 1201, 1203})

# A router that has no such path. Source: Spring's error body, recorded live at Kling, 2025-06;
# new-api's answer under unknown /v1 paths.
_NO_SUCH_PATH = _words(
    r"\binvalid url\b|\bno (route|handler|static resource)\b|no message available"
)

# What is said of an external id that a task has already. Source: Kling, recorded live, 2026
# ("External_task_id X already exists"). Other services say it in words of their own.
_ID_WORDS = _words(r"external[ _-]?(task[ _-]?)?id")
_USED_WORDS = _words(r"exist|duplicat|repeat|uniqu|already|been used|in use|重复|已存在|唯一")
_NOT_USED_WORDS = _words(r"(not|n't|no) (found|exist)|not_exist|不存在")


def verdict_of(
    status: int,
    code: int | str | None,
    message: str,
    *,
    about_task: bool = False,
    kind: str | None = None,
) -> Verdict:
    """Decide in the order that the top of this file gives.

    Args:
        message: the service's words, best without the caller's own id, whose letters say nothing.
        about_task: the request was for one task, so "not found" is about that task.
        kind: a second word of code, as some envelopes have beside or instead of the first.
    """
    if about_task and _is_unknown_task(status, code, message):
        return _NOT_FOUND
    coded = next((_BY_CODE[name] for name in (code, kind) if name in _BY_CODE), None)
    if (
        coded is not None
        and (isinstance(code, int) or coded is _TOP_UP)
        and code not in _VAGUE_CODES
    ):
        return coded
    for words, verdict in _BY_WORDS:
        if words.search(message):
            return verdict
    if coded is not None:
        return coded
    if status == 400 and _NO_SUCH_PATH.search(message):
        return _ADDRESS
    if status == 401 and code is None and not message:
        return _WORDLESS_KEY
    return _by_status(status, code)


def without_id(message: str, any_id: str) -> str:
    """The service's words without the caller's own id, whose letters say nothing."""
    if not any_id:
        return message
    return re.sub(rf"(?<![\w-]){re.escape(any_id)}(?![\w-])", "...", message)


def says_used_id(message: str) -> bool:
    """Whether a rejection of a submit says that its external id belongs to a task already.

    Args:
        message: as in ``verdict_of``.
    """
    return bool(
        _ID_WORDS.search(message)
        and _USED_WORDS.search(message)
        and not _NOT_USED_WORDS.search(message)
    )


def _is_unknown_task(status: int, code: int | str | None, message: str) -> bool:
    """Whether it is said clearly that there is no such task: a submit may be sent again for it."""
    if status not in _STATUSES_OF_ABSENCE:
        return False
    if code in (1203, "task_not_exist"):
        return True
    is_open = code in _CODES_OF_ABSENCE or (isinstance(code, str) and code not in _BY_CODE)
    is_said = _UNKNOWN_TASK.search(message) and not _HAS_NOT_LOOKED.search(message)
    return is_open and bool(is_said)


def _by_status(status: int, code: int | str | None) -> Verdict:
    if isinstance(code, int) and 500 <= code < 600:
        return _FAILURE
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return _FAILURE
    if status >= 400:
        return _REQUEST
    # A 2xx whose body says no: with an HTTP status as its code, or with one nobody documents. No
    # document says that it is for good.
    if isinstance(code, int) and 400 <= code < 600:
        return evolve(_by_status(code, None), retryable=True)
    return _UNKNOWN
