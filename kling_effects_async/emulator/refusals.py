"""How the service says no: the documented codes, and the bodies each kind of host wraps them in.

    flat   {"code": 1303, "message": "...", "request_id": "..."}   Kling; FLAT and UNION gateways
    E1     {"error": {"message", "type", "code"}}                  new-api: before there is a task
    E2     {"code": "<slug>", "message": "...", "data": null}      new-api: about a task

Source: K4 error-codes page, 2026-09, for codes and statuses; its table prints meanings, not texts,
so most messages are ours. new-api bodies: its source of 2025-04 (relay_task.go, auth.go).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from kling_effects_async.emulator.settings import ReplyShape

__all__ = ["CODES", "Reply", "html_page", "json_reply", "no_such_path", "refusal", "unknown_task"]

CODES: Mapping[int, tuple[int, str]] = MappingProxyType(
    {
        1000: (401, "authentication failed"),
        1001: (401, "Authorization is empty"),
        1002: (401, "Authorization is invalid"),
        1003: (401, "Authorization is not valid yet"),
        1004: (401, "Authorization has expired"),
        1100: (429, "account exception"),
        1101: (429, "account is in arrears"),
        1102: (429, "resource pack is used up or has expired"),
        1103: (403, "no right to this API or model"),
        1200: (400, "request parameters are invalid"),
        1201: (400, "request parameter value is invalid"),
        1202: (404, "request method is invalid"),
        1203: (404, "requested resource does not exist"),
        1300: (400, "stopped by platform policy"),
        1301: (400, "Failure to pass the risk control system"),
        1302: (429, "request rate is too high"),
        # The one text that is documented. Source: K12 concurrency rules, 2026-09.
        1303: (429, "parallel task over resource pack limit"),
        1304: (429, "IP is not in the allow list"),
        5000: (500, "internal error"),
        5001: (503, "service is temporarily unavailable"),
        5002: (504, "internal timeout"),
    }
)

# new-api replaces whatever the upstream says with a 429 by one fixed text, so Kling's code is lost.
# Source: controller/relay.go, 2025-04.
_SATURATED = "当前分组上游负载已饱和，请稍后再试"

_INDEX_PAGE = (
    "<!doctype html><html><head><title>Gateway</title></head>"
    '<body><div id="root"></div></body></html>'
)
_FLAT_SHAPES = (ReplyShape.FLAT, ReplyShape.UNION)


@frozen
class Reply:
    """An answer before it becomes an HTTP response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(factory=dict)


def json_reply(status: int, payload: object, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, headers=headers or {})


def html_page(status: int = 200, text: str = _INDEX_PAGE) -> Reply:
    return Reply(status, text.encode(), "text/html")


def refusal(
    code: int,
    shape: ReplyShape,
    request_id: str,
    *,
    message: str = "",
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Kling's no, as the host of this shape would pass it on.

    Args:
        message: empty takes the code's own.
        status: ``None`` takes the documented one.
    """
    documented_status, documented_message = CODES.get(code, (400, "error"))
    status = status or documented_status
    flat = {"code": code, "message": message or documented_message, "request_id": request_id}
    payload = flat if shape in _FLAT_SHAPES else _wrapped_refusal(flat, status, request_id)
    return json_reply(status, payload, headers)


def _wrapped_refusal(flat: Mapping[str, object], status: int, request_id: str) -> object:
    if status == 401:
        return _e1(str(flat["message"]), request_id)
    if status == 413:
        return _e2("read_request_body_failed", str(flat["message"]))
    if flat["code"] == 1200:
        return _e2("invalid_request", str(flat["message"]))
    if status == 429:
        return _e2("fail_to_fetch_task", _SATURATED)
    return _e2("fail_to_fetch_task", json.dumps(flat, separators=(",", ":")))


def unknown_task(task_id: str, shape: ReplyShape, request_id: str) -> Reply:
    """No task has this id.

    Source: new-api's relay_task.go for the wrapped shapes, HTTP 400. What Kling answers is not
    documented; 404 with 1203, "the requested resource does not exist", is our choice.
    """
    if shape in _FLAT_SHAPES:
        return refusal(1203, shape, request_id, message=f"task {task_id} does not exist")
    return json_reply(400, _e2("task_not_exist", "task_not_exist"))


def no_such_path(path: str, request_id: str) -> Reply:
    """An address nobody serves: 404 under ``/v1``, elsewhere the web page with HTTP 200.

    Source: new-api's router/web-router.go, 2025-04 and 2026.
    """
    if path != "/v1" and not path.startswith("/v1/"):
        return html_page()
    return json_reply(404, _e1(f"Invalid URL ({path})", request_id, kind="invalid_request_error"))


def _e1(message: str, request_id: str, *, kind: str = "new_api_error") -> object:
    text = f"{message} (request id: {request_id})"
    return {"error": {"message": text, "type": kind, "code": ""}}


def _e2(slug: str, message: str) -> object:
    return {"code": slug, "message": message, "data": None}
