"""Which requests are taken: those of programs, and of pages that use the emulator's own address.

A page of another site can send requests to this machine, but its browser adds headers that show it:
``Origin``, ``Sec-Fetch-Site``, and, where the page made its own name point here (DNS rebinding),
``Host``. Source: Fetch standard, section 3.2; Fetch Metadata, section 2.

``localhost`` and ``127.0.0.1`` are two sites to a browser, and one machine. A page at one of them
may show a clip of the other: its ``Referer``, which no page can set, has its address.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

from kling_effects_async.emulator.app_keys import SERVICE
from kling_effects_async.emulator.loopback import is_loopback_url

__all__ = ["rejecting_foreign_pages"]

_READING = (hdrs.METH_GET, hdrs.METH_HEAD)


@web.middleware
async def rejecting_foreign_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reject a foreign page on every path, before a fault is used up or anything is charged."""
    reason = _why_foreign(request, _own_hosts(request))
    if reason:
        return web.Response(status=403, text=reason)
    return await handler(request)


def _why_foreign(request: web.Request, own_hosts: frozenset[str]) -> str:
    # All of them: which of two a server obeys is not agreed upon, so two are none.
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1 or not _is_own(f"http://{hosts[0]}", own_hosts):
        return "Host must name this emulator: use the address that it printed"
    if not all(_is_own(origin, own_hosts) for origin in request.headers.getall(hdrs.ORIGIN, [])):
        return "a page of another site may not send requests to this emulator (Origin)"
    is_foreign_site = "cross-site" in request.headers.getall("Sec-Fetch-Site", [])
    if is_foreign_site and not _shows_a_clip(request, own_hosts):
        return "a page of another site may not send requests to this emulator (Sec-Fetch-Site)"
    return ""


def _shows_a_clip(request: web.Request, own_hosts: frozenset[str]) -> bool:
    """Whether a page of this machine loads a video, which changes nothing."""
    pages = request.headers.getall(hdrs.REFERER, [])
    is_clip = request.method in _READING and request.path.startswith("/media/")
    return is_clip and bool(pages) and all(_is_own(page, own_hosts) for page in pages)


def _own_hosts(request: web.Request) -> frozenset[str]:
    """The name in the settings, and the address at which the caller reached the emulator."""
    reached = request.get_extra_info("sockname")
    configured = request.app[SERVICE].settings.host
    return frozenset([configured.lower(), *([str(reached[0])] if reached else [])])


def _is_own(address: str, own_hosts: frozenset[str]) -> bool:
    try:
        host = URL(address).host
    except ValueError:
        return False
    return host in own_hosts or is_loopback_url(address)
