"""The ledger, the counts and the faults over HTTP, for other processes on this machine.

    GET  /_emulator/ledger     {"total", "repeated": [...], "entries": [...]}
    GET  /_emulator/requests   {"submit": 3, "query": 8, ...}
    POST /_emulator/faults     {"fault": "cut_answer", "on": "query", "after_bytes": 9, "times": 2}

A fault is one of ``Fault``'s constructors by name with its arguments; ``times`` is 1 if absent.
"""

from __future__ import annotations

import ipaddress

from aiohttp import web
from attrs import asdict

from kling_effects_async.emulator.faults import Fault
from kling_effects_async.emulator.wire import FAULTS, REQUESTS, SERVICE

__all__ = ["add_control_routes"]


def add_control_routes(app: web.Application) -> None:
    app.router.add_get("/_emulator/ledger", show_ledger)
    app.router.add_get("/_emulator/requests", show_requests)
    app.router.add_post("/_emulator/faults", add_faults)


async def show_ledger(request: web.Request) -> web.Response:
    _only_from_here(request)
    ledger = request.app[SERVICE].ledger
    return web.json_response(
        {
            "total": ledger.total,
            "repeated": ledger.repeated(),
            "entries": [asdict(entry) for entry in ledger.entries],
        }
    )


async def show_requests(request: web.Request) -> web.Response:
    _only_from_here(request)
    return web.json_response(request.app[REQUESTS])


async def add_faults(request: web.Request) -> web.Response:
    _only_from_here(request)
    try:
        given = await request.json()
        if not isinstance(given, dict):
            raise ValueError("a fault is a JSON object")
        times = given.pop("times", 1)
        if not isinstance(times, int):
            raise ValueError("times must be a whole number")
        request.app[FAULTS].add(Fault.from_json(given), times)
    except (ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({"waiting": request.app[FAULTS].left})


def _only_from_here(request: web.Request) -> None:
    """There is no key on these paths, so an emulator on a public address must not serve them."""
    if request.remote is None or not ipaddress.ip_address(request.remote).is_loopback:
        raise web.HTTPForbidden
