"""Reply -> the layers of its body, outermost first, however often it is wrapped.

One gateway is documented with the flat and with the wrapped shape, others wrap twice: the body of
the service behind them, its own envelope included, sits in ``data``. So we peel while there is a
``data`` object. Success needs the HTTP status, the content type and the business code to agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias
from urllib.parse import urlsplit

from kling_effects_async.errors import ApiError, ReplyError
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.redaction import redacted
from kling_effects_async.protocol.verdicts import SUCCESS_CODES, verdict_of

__all__ = ["Layer", "layers_of", "open_envelope", "parse_json", "request_id_of"]

Layer: TypeAlias = Mapping[str, Any]

# The deepest documented nesting is four (a gateway's envelope, its task, Kling's envelope, Kling's
# task); beyond twice that somebody plays with us.
_LAYERS_MAX = 8
_REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
_SMALL_NUMBER = re.compile(r"[0-9]{1,9}")
_REQUEST_ID_IN_TEXT = re.compile(r"\(request id: ([\w-]+)\)")


def open_envelope(reply: Reply, *, about_task: bool) -> Layer:
    """The JSON object of an answer that says yes.

    Raises:
        ApiError: the answer says no, by its HTTP status or its business code.
        ReplyError: nobody can read it.
    """
    if 300 <= reply.status < 400:
        raise _redirected(reply)
    try:
        document = _document(reply)
    except ReplyError:
        if reply.status < 400:
            raise
        document = {}  # a proxy's page: its status is all it tells
    if not (200 <= reply.status < 300 and _says_yes(document)):
        raise _refusal(reply, document, about_task=about_task)
    return document


def layers_of(document: Layer) -> tuple[Layer, ...]:
    """The document and every object that sits in its ``data``, outermost first."""
    layers = [document]
    while len(layers) < _LAYERS_MAX:
        inner = _inner(layers[-1])
        if inner is None:
            break
        layers.append(inner)
    return tuple(layers)


def request_id_of(reply: Reply, layers: tuple[Layer, ...]) -> str | None:
    """The service's id for the request: the outermost in the body, else the gateway's header."""
    for layer in layers:
        if layer.get("request_id"):
            return str(layer["request_id"])
    for name in _REQUEST_ID_HEADERS:
        if reply.headers.get(name):
            return reply.headers[name]
    return None


def parse_json(body: bytes) -> object:
    """JSON, strictly: UTF-8 without a mark, no ``NaN``, no bottomless nesting.

    Raises:
        ValueError: it is not that.
    """
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _document(reply: Reply) -> Layer:
    kind = reply.content_type
    if kind != "application/json" and not kind.endswith("+json") and kind != "text/json":
        raise _unreadable(reply, f"{kind or 'no content type'} instead of JSON")
    try:
        document = parse_json(reply.body)
    except ValueError:
        raise _unreadable(reply, "a body that is not sound JSON") from None
    if not isinstance(document, dict):
        raise _unreadable(reply, f"a JSON {type(document).__name__} where an object belongs")
    return document


def _unreadable(reply: Reply, what: str) -> ReplyError:
    return ReplyError(
        f"HTTP {reply.status} with {what} ({len(reply.body):,} bytes): a proxy's or a gateway's "
        "own page, or a path that the service does not have",
        http_status=reply.status,
        request_id=request_id_of(reply, ()),
    )


def _redirected(reply: Reply) -> ReplyError:
    host = urlsplit(reply.headers.get("location", "")).hostname or "nowhere"
    return ReplyError(
        f"HTTP {reply.status} redirects to {host}: the key is not sent there; "
        "if that host is right, make it the service's base URL",
        http_status=reply.status,
        request_id=request_id_of(reply, ()),
    )


def _inner(layer: Layer) -> Layer | None:
    inner = layer.get("data")
    if isinstance(inner, dict):
        return inner
    text = layer.get("resp_data")  # one query page carries the upstream body as text
    if not isinstance(text, str) or not text:
        return None
    try:
        inner = parse_json(text.encode())
    except ValueError:
        return None
    return inner if isinstance(inner, dict) else None


def _says_yes(document: Layer) -> bool:
    if _is_bare_error(document):
        return False
    code = document.get("code")
    if isinstance(code, (dict, list, bool, float)):
        return False
    return (code.lower() if isinstance(code, str) else code) in SUCCESS_CODES


def _is_bare_error(document: Layer) -> bool:
    """``{"error": {...}}`` and no task beside it (flat task shapes have an ``error`` as well)."""
    return isinstance(document.get("error"), dict) and not (
        document.get("task_id") or document.get("id") or document.get("data")
    )


def _refusal(reply: Reply, document: Layer, *, about_task: bool) -> ApiError:
    code, message = _innermost_reason(document)
    verdict = verdict_of(reply.status, code, message, about_task=about_task)
    in_text = _REQUEST_ID_IN_TEXT.search(message)
    return verdict.error(
        redacted(message),
        http_status=reply.status,
        code=code,
        request_id=request_id_of(reply, (document,)) or (in_text.group(1) if in_text else None),
        retryable=verdict.retryable,
        may_be_accepted=verdict.may_be_accepted,
        retry_after_s=reply.retry_after_s,
        advice=verdict.advice,
    )


def _innermost_reason(document: Layer) -> tuple[int | str | None, str]:
    """Code and message; a gateway may carry Kling's whole error body as text in its message."""
    source = document["error"] if isinstance(document.get("error"), dict) else document
    code, message = _code(source.get("code")), source.get("message")
    text = message if isinstance(message, str) else ""
    if text.startswith("{"):
        try:
            inner = parse_json(text.encode())
        except ValueError:
            inner = None
        if isinstance(inner, dict) and _code(inner.get("code")) is not None:
            return _code(inner["code"]), str(inner.get("message") or "")
    return code, text


def _code(code: object) -> int | str | None:
    """Numbers as numbers, also where they came as text; words as words."""
    if isinstance(code, str):
        return int(code) if _SMALL_NUMBER.fullmatch(code) else code[:80] or None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
