"""A caller's own aiohttp session, used for the connection and never for the content.

It may bring proxies, certificates, cookies, traces and middlewares. The content of a request is
ours: its key and its body.
"""

from __future__ import annotations

import asyncio

import aiohttp

from kling_effects_async.errors import ClientClosedError, SettingsError

__all__ = ["check_borrowed"]

# These would contradict the body that is sent.
_ABOUT_THE_BODY = ("Content-Length", "Content-Encoding", "Transfer-Encoding")
_GIVEN = "the aiohttp session that was given as session="


def check_borrowed(http: aiohttp.ClientSession) -> None:
    """Reject a session that cannot send our requests, before it is tried.

    Raises:
        ClientClosedError: it is closed.
        SettingsError: it cannot be used here; says why.
    """
    if http.closed:
        raise ClientClosedError(f"{_GIVEN} is closed; nothing was sent")
    # The public property warns that it is deprecated.
    if getattr(http, "_loop", None) not in (None, asyncio.get_running_loop()):
        raise SettingsError(
            f"{_GIVEN} belongs to another event loop: make it in the loop that uses the client; "
            "nothing was sent"
        )
    odd = [name for name in _ABOUT_THE_BODY if name in http.headers]
    if odd:
        raise SettingsError(
            f"{_GIVEN} adds {odd[0]} to every request: leave it out; nothing was sent"
        )
