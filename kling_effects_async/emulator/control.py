"""The ledger, the counts and the faults over HTTP, for other processes on this machine.

    GET  /_emulator/ledger     {"total", "repeated": [...], "entries": [...]}
    GET  /_emulator/requests   {"submit": 3, "query": 8, ...}
    GET  /_emulator/callbacks  {"waiting", "total", "delivered", "withheld", "entries": [...]}
    POST /_emulator/faults     {"fault": "cut_answer", "on": "query", "after_bytes": 9, "times": 2}
    POST /_emulator/test-callback   {"url": "http://127.0.0.1:8080/hook"}

A fault is one of ``Fault``'s constructors by name with its arguments, or, on ``callback``, one of
``CallbackFault``'s; ``times`` is 1 if absent.

There is no key on these paths. They are served to programs of this machine, and a fault is taken as
JSON only, which a page of another site cannot send without a preflight request; ``origins`` rejects
such pages on every path.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from attrs import asdict

from kling_effects_async.emulator.app_keys import FAULTS, REQUESTS, SERVICE
from kling_effects_async.emulator.bodies import read_body
from kling_effects_async.emulator.callback_faults import CallbackFault
from kling_effects_async.emulator.errors import EmulatorError, TooSoonError
from kling_effects_async.emulator.faults import Fault
from kling_effects_async.emulator.json_body import check_content_type, read_json
from kling_effects_async.emulator.loopback import is_loopback
from kling_effects_async.emulator.rejections import RejectedError
from kling_effects_async.emulator.sent_callbacks import SentCallback

__all__ = ["add_control_routes"]


# Faults wait for calls that may never come: a quarter of a gigabyte at most. Choices, both.
_MAX_SCRIPTS = 1000
_MAX_SCRIPT_BYTES = 2**18


def add_control_routes(app: web.Application) -> None:
    app.router.add_get("/_emulator/ledger", show_ledger)
    app.router.add_get("/_emulator/requests", show_requests)
    app.router.add_get("/_emulator/callbacks", show_callbacks)
    app.router.add_post("/_emulator/faults", add_faults)
    app.router.add_post("/_emulator/test-callback", send_test_callback)


async def show_ledger(request: web.Request) -> web.Response:
    _check_is_local(request)
    ledger = request.app[SERVICE].ledger
    return web.json_response(
        {
            "total": ledger.total,
            "repeated": ledger.repeated(),
            "entries": [asdict(entry) for entry in ledger.entries],
        }
    )


async def show_requests(request: web.Request) -> web.Response:
    _check_is_local(request)
    return web.json_response(request.app[REQUESTS])


async def show_callbacks(request: web.Request) -> web.Response:
    _check_is_local(request)
    callbacks = request.app[SERVICE].callbacks
    sent = callbacks.sent
    return web.json_response(
        {
            "waiting": callbacks.waiting,
            "total": sent.total,
            "delivered": sent.delivered,
            "withheld": sent.withheld,
            "entries": [_as_json(entry) for entry in sent.entries],
        }
    )


async def send_test_callback(request: web.Request) -> web.Response:
    """What the console's button does; 429 when the last one was less than 6 s ago."""
    _check_is_local(request)
    service = request.app[SERVICE]
    try:
        check_content_type(request.headers.get(hdrs.CONTENT_TYPE))
        url = read_json(await read_body(request)).get("url")
        sent = await service.callbacks.send_test(str(url), service.new_id())
    except RejectedError as rejected:
        return _error(rejected.status or 400, rejected.message)
    except TooSoonError as error:
        return _error(429, str(error))
    except EmulatorError as error:
        return _error(400, str(error))
    return web.json_response(_as_json(sent))


async def add_faults(request: web.Request) -> web.Response:
    _check_is_local(request)
    try:
        check_content_type(request.headers.get(hdrs.CONTENT_TYPE))
        fault, times = _read_fault(await _read_script(request))
        request.app[FAULTS].add(fault, times)
    except RejectedError as rejected:
        return _error(rejected.status or 400, rejected.message)
    except (ValueError, TypeError) as error:
        return _error(400, str(error))
    return web.json_response({"waiting": request.app[FAULTS].left})


def _read_fault(script: bytes) -> tuple[Fault | CallbackFault, int]:
    """The fault and how often it comes."""
    given = dict(read_json(script))
    times = given.pop("times", 1)
    if isinstance(times, bool) or not isinstance(times, int):  # true is an int to Python
        raise ValueError("times must be a whole number")
    kind = CallbackFault if given.get("on") == CallbackFault.on else Fault
    return kind.from_json(given), times


async def _read_script(request: web.Request) -> bytes:
    if request.app[FAULTS].scripts >= _MAX_SCRIPTS:
        raise RejectedError(1200, f"{_MAX_SCRIPTS} faults wait already", status=429)
    body = await read_body(request)
    if len(body) > _MAX_SCRIPT_BYTES:
        raise RejectedError(1200, f"more than {_MAX_SCRIPT_BYTES} bytes", status=413)
    return body


def _as_json(sent: SentCallback) -> dict[str, object]:
    return asdict(sent) | {"shape": sent.shape.value}


def _error(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)


def _check_is_local(request: web.Request) -> None:
    # By the peer's address: an emulator that listens on all interfaces is reached from outside.
    if request.remote is None or not is_loopback(request.remote):
        raise web.HTTPForbidden(text="only programs on this machine may use this path")
