"""Whose requests are taken: those of programs, and of pages, that reach the emulator as itself.

A page of another site can send requests to this machine, but a browser tells on it: by ``Origin``,
by ``Sec-Fetch-Site``, and, where the page made its own name point here (DNS rebinding), by
``Host``. Source: Fetch standard, section 3.2; Fetch Metadata, section 2.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

from kling_effects_async.emulator.callbacks import is_loopback
from kling_effects_async.emulator.wire import SERVICE

__all__ = ["from_here_only"]


@web.middleware
async def from_here_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a foreign page on every path, before a fault is used up or anything is charged."""
    why = _why_foreign(request, _own_hosts(request))
    if why:
        return web.Response(status=403, text=why)
    return await handler(request)


def _why_foreign(request: web.Request, own_hosts: frozenset[str]) -> str:
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1 or not _is_own(f"http://{hosts[0]}", own_hosts):
        return "Host must name this emulator: ask it at the address that it printed"
    if not all(_is_own(origin, own_hosts) for origin in request.headers.getall(hdrs.ORIGIN, [])):
        return "a page of another site may not ask this emulator (Origin)"
    if "cross-site" in request.headers.getall("Sec-Fetch-Site", []):
        return "a page of another site may not ask this emulator (Sec-Fetch-Site)"
    return ""


def _own_hosts(request: web.Request) -> frozenset[str]:
    """The name it was told to listen on, and the address at which the caller found it."""
    reached = request.get_extra_info("sockname")
    told = request.app[SERVICE].settings.host
    return frozenset([told.lower(), *([str(reached[0])] if reached else [])])


def _is_own(address: str, own_hosts: frozenset[str]) -> bool:
    try:
        host = URL(address).host
    except ValueError:
        return False
    return host in own_hosts or is_loopback(address)
