"""Reply -> the JSON object of an answer that says yes; every other answer is an error.

Success needs the HTTP status, the content type and the business code to agree. What cannot be read
is a ``ReplyError``; what says no is an ``ApiError``, see ``rejection``.

Texts stay whole here, secrets included: ``Shown`` cuts those out first, and to length then.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from kling_effects_async.errors import ReplyError, Scope
from kling_effects_async.protocol.layers import Layer, layers_of, parse_json, request_id_of
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.rejection import rejection_of
from kling_effects_async.protocol.verdicts import SUCCESS_CODES

__all__ = ["open_envelope"]

# A body under another content type is read where it is one of the documented envelopes.
_ENVELOPE_MARKS = frozenset({"code", "data", "error", "task_id", "task_status", "success"})
# With these, a page is a firewall's or a login's. It may be shown before or after the service had
# the submit. Source: public reports of challenge pages among good answers.
_FIREWALL_STATUSES = frozenset({401, 403, 409, 421})
# The server did not act on the request and names another address for it; 303 means that it did.
# Source: RFC 9110, 15.4.2 to 15.4.9.
_MOVED = frozenset({301, 302, 307, 308})


def open_envelope(
    reply: Reply, *, about_task: bool = False, queried_id: str | None = None
) -> Layer:
    """The JSON object of an answer that says yes.

    Args:
        about_task: the request was for one task.
        queried_id: that task's id, either kind; where the service repeats it, its letters are no
            words of the service.

    Raises:
        ApiError: the answer says no, by its HTTP status or its business code.
        ReplyError: nobody can read it, or it is not the service's own.
    """
    # Nothing is sent where it leads: nobody chose that server, and it would get the key.
    if 300 <= reply.status < 400:
        raise _redirected(reply)
    try:
        document = _document(reply)
    except ReplyError:
        if reply.status < 400 or _is_from_a_stranger(reply, is_poll=about_task):
            raise
        document = {}  # the status alone has to do
    rejecting = _rejecting_layer(document)
    if 400 <= reply.status < 500 and rejecting is None and _names_a_task(document):
        raise _contradictory(reply, document)
    if not 200 <= reply.status < 300:
        rejecting = document
    if rejecting is not None:
        raise rejection_of(reply, rejecting, about_task=about_task, queried_id=queried_id or "")
    return document


def _document(reply: Reply) -> Layer:
    # What else is JSON by its name: the old text/json, and whatever ends in +json (RFC 6839).
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


def _is_from_a_stranger(reply: Reply, *, is_poll: bool) -> bool:
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
    where = _address_label(reply.headers.get("location", ""))
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
        "which of them is true is not known",
        http_status=reply.status,
        request_id=request_id_of(reply, (document,)),
    )


def _names_a_task(document: Layer) -> bool:
    return any(layer.get("task_id") for layer in layers_of(document))


def _address_label(location: str) -> str:
    """A redirect's target as host and path, whatever a stranger wrote there."""
    try:
        parts = urlsplit(location)
        host, path = parts.hostname, parts.path
    except ValueError:
        return "an address that is none"
    shown = f"{host or 'the same host'}{f', path {path}' if path else ''}"
    return "".join(c if c.isprintable() else "?" for c in shown)


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
    # For Python False and 0.0 equal the code 0, and a list cannot be looked up in a set.
    if isinstance(code, (dict, list, bool, float)):
        return False
    return (code.lower() if isinstance(code, str) else code) in SUCCESS_CODES


def _is_bare_error(document: Layer) -> bool:
    """``{"error": {...}}`` and no task beside it (flat task shapes have an ``error`` as well)."""
    return isinstance(document.get("error"), dict) and not (
        document.get("task_id") or document.get("id") or document.get("data")
    )
