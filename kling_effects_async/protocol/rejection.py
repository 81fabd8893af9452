"""A body that says no -> the ``ApiError`` to raise; ``verdicts`` judges, here the reason is found.

A gateway may carry the whole error body of the service behind it as text in its own message. The
innermost reason counts: it is the service's, and a gateway's own code for it says less.
"""

from __future__ import annotations

import re

from attrs import frozen

from kling_effects_async.errors import ApiError
from kling_effects_async.protocol.layers import LAYERS_MAX, Layer, json_object, request_id_of
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.verdicts import verdict_of, without_id

__all__ = ["rejection_of"]

# A code in text is a number up to this length; a longer one is no code of a service.
_SMALL_NUMBER = re.compile(r"-?[0-9]{1,9}")
# new-api appends its own id to the message of every error.
_REQUEST_ID_IN_TEXT = re.compile(r"\(request id: ([\w-]+)\)")


def rejection_of(reply: Reply, layer: Layer, *, about_task: bool, queried_id: str) -> ApiError:
    """The error for an answer of which this layer says no.

    Args:
        about_task, queried_id: as in ``open_envelope``.
    """
    reason = _innermost_reason(layer)
    words = without_id(reason.message, queried_id)
    verdict = verdict_of(reply.status, reason.code, words, about_task=about_task, kind=reason.kind)
    in_text = _REQUEST_ID_IN_TEXT.search(reason.message)
    return verdict.error(
        reason.message,
        http_status=reply.status,
        code=reason.code,
        request_id=request_id_of(reply, (layer,)) or (in_text.group(1) if in_text else None),
        retryable=verdict.retryable,
        may_be_accepted=verdict.may_be_accepted,
        retry_after_s=reply.retry_after_s or None,  # 0 stands for no pause
        scope=verdict.scope,
        advice=verdict.advice,
    )


@frozen
class _Reason:
    """Why an answer says no: its code, a second word of code, and its message."""

    code: int | str | None
    kind: str | None
    message: str


def _innermost_reason(document: Layer) -> _Reason:
    """The reason of the service at the bottom.

    A gateway may carry another's whole error body as text in its message, with a word in front.
    """
    for _ in range(LAYERS_MAX):
        source = document["error"] if isinstance(document.get("error"), dict) else document
        reason = _Reason(_code(source.get("code")), _word(source.get("type")), _message(source))
        inner = json_object(reason.message[reason.message.find("{") :])
        if inner is None or not (_code(inner.get("code")) or inner.get("error")):
            break
        document = inner
    return reason


def _message(source: Layer) -> str:
    """The words of an error body, under any of the names that services give them."""
    for name in ("message", "msg", "detail", "error", "error_description"):
        text = source.get(name)
        if isinstance(text, str) and text:
            return text
    return ""


def _word(value: object) -> str | None:
    return value[:80] if isinstance(value, str) and value else None


def _code(code: object) -> int | str | None:
    """Numbers as numbers, also where they came as text; words as words."""
    if isinstance(code, str):
        return int(code) if _SMALL_NUMBER.fullmatch(code) else code or None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
