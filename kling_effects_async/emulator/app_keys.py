"""What the application and each request carry through the middlewares and the handlers."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

from kling_effects_async.emulator.authenticator import Authenticator
from kling_effects_async.emulator.emulated_service import EmulatedService
from kling_effects_async.emulator.fault_queues import FaultQueues
from kling_effects_async.emulator.faults import Fault

__all__ = [
    "AUTHENTICATOR",
    "CLOSING",
    "FAULT",
    "FAULTS",
    "LARGE_BODIES",
    "NOTE",
    "REQUESTS",
    "REQUEST_ID",
    "SERVICE",
]

# Of the application.
SERVICE = web.AppKey("service", EmulatedService)
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
FAULTS = web.AppKey("faults", FaultQueues)
REQUESTS = web.AppKey("requests", Counter[str])
LARGE_BODIES = web.AppKey("large_bodies", asyncio.Semaphore)
CLOSING = web.AppKey("closing", asyncio.Event)

# Of one request. NOTE is the outcome in a few words, for the log of requests.
FAULT = web.RequestKey("fault", Fault)
REQUEST_ID = web.RequestKey("request_id", str)
NOTE = web.RequestKey("note", str)
