"""One line a request, on the logger ``kling_effects_async.emulator.requests`` at level INFO.

    POST /kling/v1/videos/effects 200 accepted task 812345678901234567 (squish)
    GET /kling/v1/videos/effects/812345678901234567 502 fault: answered 502 instead

A line has the method, the path without its query (the address of a video carries a signature
there), the status, and the outcome. No header and no body is in it.
"""

from __future__ import annotations

import asyncio
import logging
import math

from aiohttp import web
from aiohttp.typedefs import Handler

from kling_effects_async.emulator.app_keys import FAULT, NOTE
from kling_effects_async.emulator.faults import Fault
from kling_effects_async.emulator.logger_name import LOGGER_NAME
from kling_effects_async.log_fields import log_fields

__all__ = ["logging_requests"]

# Longer paths and notes can only hold what a caller made up.
_MAX_PATH_CHARS = 200
_MAX_NOTE_CHARS = 200

_log = logging.getLogger(LOGGER_NAME)


@web.middleware
async def logging_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as answer:
        _log_request(request, str(answer.status))
        raise
    except asyncio.CancelledError:
        _log_request(request, "-", "the caller left")
        raise
    _log_request(request, "-" if _is_cut(request) else str(response.status))
    return response


def _log_request(request: web.Request, status: str, *notes: str) -> None:
    # The benchmark's requests go through here as well, without a log.
    if not _log.isEnabledFor(logging.INFO):
        return
    path = request.rel_url.raw_path[:_MAX_PATH_CHARS]
    noted = [_one_line(request.get(NOTE, "")), _fault_note(request), *notes]
    _log.info(
        "%s",
        " ".join([request.method, path, status, *filter(None, noted)]),
        extra=log_fields(
            "emulator.request", http_method=request.method, http_path=path, http_status=status
        ),
    )


def _one_line(note: str) -> str:
    """A note may repeat what a caller sent, line breaks and all."""
    return "".join(c if c.isprintable() else "?" for c in note[:_MAX_NOTE_CHARS])


def _is_cut(request: web.Request) -> bool:
    fault = request.get(FAULT)
    return isinstance(fault, Fault) and (fault.cut is not None or fault.has_no_head)


def _fault_note(request: web.Request) -> str:
    fault = request.get(FAULT)
    return f"fault: {_effects_of(fault)}" if isinstance(fault, Fault) else ""


def _effects_of(fault: Fault) -> str:
    """What goes wrong, in the order in which it goes wrong."""
    effects = [
        "the task will fail" if fault.failure is not None else "",
        fault.defect.value.replace("_", " ") if fault.defect is not None else "",
        f"answered {fault.canned.status} instead" if fault.canned is not None else "",
        f"answered code {fault.code}" if fault.code is not None else "",
        _delay_note(fault.delay_s),
        _cut_note(fault.cut),
        "sent slowly" if fault.drip_bytes else "",
    ]
    return ", ".join(filter(None, effects))


def _delay_note(delay_s: float) -> str:
    if delay_s == math.inf:
        return "no answer"
    return f"{delay_s:g} s late" if delay_s else ""


def _cut_note(cut: str | int | None) -> str:
    if isinstance(cut, int):
        return f"cut after {cut} bytes"
    return "" if cut is None else f"cut {cut.replace('_', ' ')}"
