"""Reply -> the layers of its body, outermost first, however often it is wrapped.

One gateway is documented with the flat and with the wrapped shape, others wrap twice: the body of
the service behind them, its own envelope included, sits in ``data``. So we peel while there is a
``data`` object. Success needs the HTTP status, the content type and the business code to agree.

Texts stay whole here, secrets included: ``Shown`` cuts those out first, and to length then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from kling_effects_async.errors import ApiError, ReplyError, Scope
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.verdicts import SUCCESS_CODES, verdict_of, without_id

__all__ = ["Layer", "layers_of", "open_envelope", "parse_json", "request_id_of"]

Layer: TypeAlias = Mapping[str, Any]

# The deepest documented nesting is four (a gateway's envelope, its task, Kling's envelope, Kling's
# task); beyond twice that somebody plays with us.
_LAYERS_MAX = 8
_REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
# A body under another content type is read where it is one of the documented envelopes.
_ENVELOPE_MARKS = frozenset({"code", "data", "error", "task_id", "task_status", "success"})
# With these, a page is a firewall's or a login's. It may be shown before or after the service had
# the submit. Source: public reports of challenge pages among good answers.
_FIREWALL_STATUSES = frozenset({401, 403, 409, 421})
# The server did not act on the request and names another place for it; 303 means that it did.
# Source: RFC 9110, 15.4.2 to 15.4.9.
_MOVED = frozenset({301, 302, 307, 308})
_SMALL_NUMBER = re.compile(r"-?[0-9]{1,9}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_REQUEST_ID_IN_TEXT = re.compile(r"\(request id: ([\w-]+)\)")


def open_envelope(reply: Reply, *, about_task: bool = False, asked: str | None = None) -> Layer:
    """The JSON object of an answer that says yes.

    Args:
        about_task: the request asked for one task.
        asked: that task's id, either kind; its letters say nothing in the service's words.

    Raises:
        ApiError: the answer says no, by its HTTP status or its business code.
        ReplyError: nobody can read it, or it is not the service's own.
    """
    if 300 <= reply.status < 400:
        raise _redirected(reply)
    try:
        document = _document(reply)
    except ReplyError:
        if reply.status < 400 or _is_somebody_elses(reply, is_poll=about_task):
            raise
        document = {}  # its status is all it tells
    rejecting = _rejecting_layer(document)
    if 400 <= reply.status < 500 and rejecting is None and _names_a_task(document):
        raise _contradictory(reply, document)
    if not 200 <= reply.status < 300:
        rejecting = document
    if rejecting is not None:
        raise _rejection(reply, rejecting, about_task=about_task, asked=asked or "")
    return document


def layers_of(document: Layer, *, of_one_task: bool = True) -> tuple[Layer, ...]:
    """The document and every object that sits in its ``data``, outermost first.

    Args:
        of_one_task: an array of one object stands for that object, as where the newer path answers
            a query of one task with a list.
    """
    layers = [document]
    while len(layers) < _LAYERS_MAX:
        inner = _inner(layers[-1], of_one_task=of_one_task)
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
            return reply.headers[name].encode("utf-8", "replace").decode()
    return None


def parse_json(body: bytes) -> object:
    """JSON, strictly: UTF-8 without a mark, no ``NaN``, no bottomless nesting.

    Half a character, which JSON can spell and nothing can store, becomes U+FFFD.

    Raises:
        ValueError: it is not that.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8"))
        return _whole(document) if _SURROGATE.search(body) else document
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole(value: object) -> object:
    """The value with every text whole."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {str(_whole(name)): _whole(each) for name, each in value.items()}
    return value


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def _document(reply: Reply) -> Layer:
    kind = reply.content_type
    is_json = kind in ("application/json", "text/json") or kind.endswith("+json")
    try:
        document = parse_json(reply.body)
    except ValueError:
        what = "a body that is not sound JSON" if is_json else _instead_of_json(kind)
        raise _unreadable(reply, what) from None
    if not isinstance(document, dict):
        raise _unreadable(reply, f"a JSON {type(document).__name__} where an object belongs")
    if not (is_json or _ENVELOPE_MARKS & document.keys()):
        raise _unreadable(reply, _instead_of_json(kind))
    return document


def _instead_of_json(kind: str) -> str:
    return f"{kind or 'no content type'} instead of JSON"


def _is_somebody_elses(reply: Reply, *, is_poll: bool) -> bool:
    """Whether a rejection nobody can read is a page of a proxy or firewall, not the service's."""
    return bool(reply.body.strip()) and (is_poll or reply.status in _FIREWALL_STATUSES)


def _unreadable(reply: Reply, what: str) -> ReplyError:
    return ReplyError(
        f"HTTP {reply.status} with {what} ({len(reply.body):,} bytes): a proxy's or a gateway's "
        "own page, or a path that the service does not have",
        http_status=reply.status,
        request_id=request_id_of(reply, ()),
    )


def _redirected(reply: Reply) -> ReplyError:
    where = _place_of(reply.headers.get("location", ""))
    was_moved = reply.status in _MOVED
    outcome = ", and nobody has accepted anything" if was_moved else ""
    return ReplyError(
        f"HTTP {reply.status} redirects to {where}: nothing is sent there{outcome}; "
        "if that address is right, make it the service's base URL",
        http_status=reply.status,
        request_id=request_id_of(reply, ()),
        may_be_accepted=not was_moved,
        scope=Scope.ACCOUNT,
    )


def _contradictory(reply: Reply, document: Layer) -> ReplyError:
    return ReplyError(
        f"HTTP {reply.status} says no, and the body with it says yes and names a task: "
        "nobody can tell which is true",
        http_status=reply.status,
        request_id=request_id_of(reply, (document,)),
    )


def _names_a_task(document: Layer) -> bool:
    return any(layer.get("task_id") for layer in layers_of(document))


def _place_of(location: str) -> str:
    """A redirect's target as host and path, whatever a stranger wrote there."""
    try:
        parts = urlsplit(location)
        host, path = parts.hostname, parts.path
    except ValueError:
        return "an address that is none"
    shown = f"{host or 'the same host'}{f', path {path}' if path else ''}"
    return "".join(c if c.isprintable() else "?" for c in shown)


def _inner(layer: Layer, *, of_one_task: bool) -> Layer | None:
    inner = layer.get("data")
    if of_one_task and isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    if isinstance(inner, dict):
        return inner
    return _json_object(layer.get("resp_data"))  # one query page carries the upstream body as text


def _json_object(text: object) -> Layer | None:
    """The JSON object in a text, if it is one."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = parse_json(text.encode())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _rejecting_layer(document: Layer) -> Layer | None:
    """The outermost envelope that says no; what a task's own layer holds is that task's affair."""
    for layer in layers_of(document):
        if not _says_yes(layer):
            return layer
        if layer.get("task_id") or layer.get("id"):
            return None
    return None


def _says_yes(document: Layer) -> bool:
    if _is_bare_error(document) or document.get("success") is False:
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


def _rejection(reply: Reply, document: Layer, *, about_task: bool, asked: str) -> ApiError:
    reason = _innermost_reason(document)
    words = without_id(reason.message, asked)
    verdict = verdict_of(reply.status, reason.code, words, about_task=about_task, kind=reason.kind)
    in_text = _REQUEST_ID_IN_TEXT.search(reason.message)
    return verdict.error(
        reason.message,
        http_status=reply.status,
        code=reason.code,
        request_id=request_id_of(reply, (document,)) or (in_text.group(1) if in_text else None),
        retryable=verdict.retryable,
        may_be_accepted=verdict.may_be_accepted,
        retry_after_s=reply.retry_after_s or None,  # 0 asks for no pause
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
    for _ in range(_LAYERS_MAX):
        source = document["error"] if isinstance(document.get("error"), dict) else document
        reason = _Reason(_code(source.get("code")), _word(source.get("type")), _message(source))
        inner = _json_object(reason.message[reason.message.find("{") :])
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
