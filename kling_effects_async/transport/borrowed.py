"""A caller's own aiohttp session, used for the connection and never for the content.

It may bring proxies, certificates, cookies, traces and middlewares. The content of a request is
ours: its key and its body.
"""

from __future__ import annotations

import asyncio

import aiohttp

from kling_effects_async.errors import ClientClosedError, SettingsError

__all__ = ["BY_A_PROXY", "check_borrowed", "signing"]

# The note on an error of a request that went by a proxy, whoever named it.
BY_A_PROXY = "on the way through a proxy"

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


def signing(
    http: aiohttp.ClientSession, authorization: str
) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """The session's own middlewares, and one that puts our key in place of any other.

    A session that trusts the environment reads netrc, and aiohttp rejects a request that has
    both what it finds there and an Authorization header of its own. Such a session, or its owner,
    may name a proxy too: only the request shows it.
    """

    async def sign(
        request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = authorization
        try:
            return await send(request)
        except (aiohttp.ClientError, OSError) as error:
            if request.proxy is not None:
                error.add_note(BY_A_PROXY)
            raise

    # Those of a request replace those of its session, which nothing public shows.
    return (*getattr(http, "_middlewares", ()), sign)
