"""What an answer that says no means: the one table that decides "again?".

HTTP 429 is not one thing with Kling: 1302 and 1303 pass, 1100 to 1102 and 1304 need a person. So
the business code decides wherever there is one, and the HTTP status only where there is none.

Source: Kling's error codes page, 2026-09 (codes); new-api source, 2025 and 2026 (words).
"""

from __future__ import annotations

from attrs import frozen

from kling_effects_async.errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    ConcurrencyLimitError,
    ContentRejectedError,
    InvalidRequestError,
    RateLimitError,
    ServiceError,
    TaskNotFoundError,
)

__all__ = ["SUCCESS_CODES", "Verdict", "verdict_of"]

# Kling says 0; new-api says "success"; one relative declares text and sends "0". 200 is what some
# gateways repeat from the HTTP status. An absent code belongs to the flat shapes.
SUCCESS_CODES = frozenset({None, "", 0, "0", 200, "200", "success", "succeed", "ok"})


@frozen
class Verdict:
    """How to treat a refusal.

    Attributes:
        retryable: the same request can succeed later by itself.
        may_be_accepted: a submit answered like this can have created a task all the same.
        advice: what a person can do, as a sentence; ``""`` where the message says enough.
    """

    error: type[ApiError]
    retryable: bool = False
    may_be_accepted: bool = False
    advice: str = ""


_KEY = Verdict(AuthenticationError, advice="Check the key")
_CLOCK = Verdict(AuthenticationError, retryable=True, advice="Check this machine's clock")
_ACCOUNT = Verdict(AccountError, advice="Look into the account; nothing is accepted until then")
_TOP_UP = Verdict(AccountError, advice="Top up the account; nothing is accepted until then")
_REQUEST = Verdict(InvalidRequestError)
_CONTENT = Verdict(ContentRejectedError, advice="Submit another image")
_RATE = Verdict(RateLimitError, retryable=True)
_SLOTS = Verdict(ConcurrencyLimitError, retryable=True)
_TROUBLE = Verdict(ServiceError, retryable=True, may_be_accepted=True)
_NOT_FOUND = Verdict(
    TaskNotFoundError,
    retryable=True,  # a task that was just made may be unknown to the next replica
    advice="Check the id, the account and the service it was submitted to",
)

_BY_CODE: dict[int | str, Verdict] = {
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
    5000: _TROUBLE,
    5001: _TROUBLE,
    5002: _TROUBLE,
    "quota_not_enough": _TOP_UP,
    "insufficient_user_quota": _TOP_UP,
    "pre_consume_token_quota_failed": _TOP_UP,
    "task_not_exist": _NOT_FOUND,
    "invalid_request": _REQUEST,
    "invalid_api_platform": _REQUEST,
    "do_request_failed": _TROUBLE,
    "read_response_body_failed": _TROUBLE,
    "unmarshal_response_failed": _TROUBLE,
    "insert_task_failed": _TROUBLE,
}

_BY_STATUS: dict[int, Verdict] = {
    400: _REQUEST,
    401: _KEY,
    402: _TOP_UP,
    403: Verdict(AccountError, advice="The account or the key may not do this"),
    404: Verdict(InvalidRequestError, advice="Check the service's base URL"),
    408: _TROUBLE,
    425: _RATE,
    429: _RATE,
}

# Words in a message that tell more than its code. Source: new-api pull requests 2532 and 3148, and
# its token check (a used-up token is a 401 there).
_BY_WORDS: tuple[tuple[str, Verdict], ...] = (
    ("risk control system", _CONTENT),
    ("parallel task over resource pack limit", _SLOTS),
)
_QUOTA_WORDS = ("quota", "额度", "余额", "balance")


def verdict_of(status: int, code: int | str | None, message: str, *, about_task: bool) -> Verdict:
    """Decide by business code, then by telling words, then by HTTP status.

    Args:
        about_task: the request asked for one task, so "not found" is about that task.
    """
    if about_task and (status == 404 or code == 1203):
        return _NOT_FOUND
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    for words, verdict in _BY_WORDS:
        if words in message.lower():
            return verdict
    if status == 401 and any(word in message.lower() for word in _QUOTA_WORDS):
        return _TOP_UP
    return _by_status(status)


def _by_status(status: int) -> Verdict:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return _TROUBLE
    if status >= 400:
        return _REQUEST
    # 2xx or 3xx with a code nobody documents: it says no, but what it did is anybody's guess.
    return Verdict(ApiError, may_be_accepted=True)
