"""A receiver as routes of an aiohttp application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from kling_effects_async.callbacks.receiver import CallbackReceiver

__all__ = ["routes_of"]

# Otherwise aiohttp reads on for ten seconds, for a sender who has to see the answer first.
_CLOSING = (408, 429)


def routes_of(receiver: CallbackReceiver, path: str) -> list[web.RouteDef]:
    """The routes below this path of an application."""

    async def take(request: web.Request) -> web.Response:
        answer = await receiver.receive(
            request.headers, request.content.iter_any(), path=request.match_info["token"]
        )
        response = web.Response(status=answer.status, text=answer.reason)
        if answer.status in _CLOSING:
            response.force_close()
        return response

    return [web.post(f"{path.rstrip('/')}/{{token}}", take)]
