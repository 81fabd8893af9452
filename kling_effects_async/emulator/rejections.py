"""Rejections: the documented codes, and the bodies in which each kind of host wraps them.

    flat   {"code": 1303, "message": "...", "request_id": "..."}   Kling; FLAT and UNION gateways
    E1     {"error": {"message", "type", "code"}}                  new-api: before there is a task
    E2     {"code": "<slug>", "message": "...", "data": null}      new-api: about a task

    Spring {"timestamp", "status", "error", "message", "path"}     Kling: no such path

Source: K4 error-codes page, 2026-09, for codes and statuses; its table prints meanings, not texts,
so most messages are ours. Those seen at Kling's own hosts in 2026 have a comment. new-api bodies:
its source of 2025-04 (relay_task.go, auth.go).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from kling_effects_async.emulator.choices import ReplyShape, UnknownTask
from kling_effects_async.emulator.emulated_reply import EmulatedReply, html_page, json_reply

__all__ = [
    "CODES",
    "OutOfUnitsError",
    "RejectedError",
    "gateway_page",
    "no_such_path",
    "out_of_units",
    "rejection",
    "unknown_task",
]

CODES: Mapping[int, tuple[int, str]] = MappingProxyType(
    {
        1000: (401, "authentication failed"),
        1001: (401, "Authorization is empty"),
        1002: (401, "api key not found"),  # seen for a key that nobody has
        1003: (401, "Authorization is not valid yet"),
        1004: (401, "Authorization has expired"),
        1100: (429, "account exception"),
        1101: (429, "account is in arrears"),
        1102: (429, "Account balance not enough"),  # seen
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

# new-api replaces the body of any 429 of the upstream by one fixed text, so Kling's code is lost.
# Source: controller/relay.go, 2025-04.
_SATURATED = "当前分组上游负载已饱和，请稍后再试"

_FLAT_SHAPES = (ReplyShape.FLAT, ReplyShape.UNION)


class RejectedError(Exception):
    """A request that the service rejects, before anything was created.

    Attributes:
        code: Kling's business code; ``CODES`` has its HTTP status.
        message: names the field, as the error-codes page promises for 1201; empty: the code's own.
        status: the HTTP status where it is not the code's own.
    """

    def __init__(self, code: int, message: str = "", *, status: int | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status


class OutOfUnitsError(RejectedError):
    """The account cannot pay for the task."""

    def __init__(self) -> None:
        super().__init__(1102)


def rejection(
    code: int,
    shape: ReplyShape,
    request_id: str,
    *,
    message: str = "",
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> EmulatedReply:
    """Kling's rejection, as the host of this shape would pass it on.

    Args:
        message: empty takes the code's own.
        status: ``None`` takes the documented one.
    """
    documented_status, documented_message = CODES.get(code, (400, "error"))
    status = status or documented_status
    flat = {"code": code, "message": message or documented_message, "request_id": request_id}
    payload = flat if shape in _FLAT_SHAPES else _wrapped_rejection(flat, status, request_id)
    return json_reply(status, payload, headers)


def _wrapped_rejection(flat: Mapping[str, object], status: int, request_id: str) -> object:
    if status == 401:
        return _e1(str(flat["message"]), request_id)
    if status == 413:
        return _e2("read_request_body_failed", str(flat["message"]))
    if flat["code"] == 1200:
        return _e2("invalid_request", str(flat["message"]))
    if status == 429:
        return _e2("fail_to_fetch_task", _SATURATED)
    return _e2("fail_to_fetch_task", json.dumps(flat, separators=(",", ":")))


def unknown_task(
    given_id: str, answer: UnknownTask | None, shape: ReplyShape, request_id: str
) -> EmulatedReply:
    """No task has this id.

    Args:
        answer: ``None``: what such a host is known to answer. Kling's own words where bodies are
            flat; a gateway that wraps them has a table of tasks and words of its own.
    """
    is_flat = shape in _FLAT_SHAPES
    match answer or (UnknownTask.KLING if is_flat else UnknownTask.TASK_NOT_EXIST):
        case UnknownTask.KLING:
            message = f"Task not found by id/external id: {given_id}"
            return rejection(1201, shape, request_id, message=message)
        case UnknownTask.NOT_FOUND:
            return rejection(1203, shape, request_id, message=f"task {given_id} does not exist")
        case UnknownTask.TASK_NOT_EXIST:
            return json_reply(400, _e2("task_not_exist", "task_not_exist"))
        case UnknownTask.EMPTY:
            return json_reply(200, {"code": "success", "message": "", "data": None})


def out_of_units(shape: ReplyShape, request_id: str) -> EmulatedReply:
    """The balance is too small: Kling's 1102, or the error of a gateway with balances of its own.

    Source: new-api's relay_task.go, 2025-04 (HTTP 403).
    """
    if shape in _FLAT_SHAPES:
        return rejection(1102, shape, request_id)
    return json_reply(403, _e2("quota_not_enough", "user quota is not enough"))


def no_such_path(path: str, wall_s: float) -> EmulatedReply:
    """An address that Kling does not serve: Spring's own body, which does not mention a task.

    Source: seen at Kling, 2025-06, under ``/v1``.
    """
    now = datetime.fromtimestamp(wall_s, UTC)
    return json_reply(
        404,
        {
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}+0000",
            "status": 404,
            "error": "Not Found",
            "message": "No message available",
            "path": path,
        },
    )


def gateway_page() -> EmulatedReply:
    """An address that a gateway does not serve: its web page, with HTTP 200.

    Source: new-api's router/web-router.go, 2025-04 and 2026.
    """
    return html_page()


def _e1(message: str, request_id: str) -> object:
    text = f"{message} (request id: {request_id})"
    return {"error": {"message": text, "type": "new_api_error", "code": ""}}


def _e2(slug: str, message: str) -> object:
    return {"code": slug, "message": message, "data": None}
