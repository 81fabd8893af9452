"""A receiver as routes of an aiohttp application."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from typing import Protocol

from aiohttp import web

from kling_effects_async.callbacks.messages import CallbackAnswer

__all__ = ["routes_of"]

# Otherwise aiohttp reads on for ten seconds, for a sender who has to see the answer first.
_CLOSING = (408, 429)


class _Receive(Protocol):
    async def __call__(
        self, headers: Mapping[str, str], body: AsyncIterable[bytes], *, path: str
    ) -> CallbackAnswer: ...


def routes_of(receive: _Receive, path: str) -> list[web.RouteDef]:
    """The routes below this path of an application.

    Args:
        receive: see ``CallbackReceiver.receive``.
    """

    async def take(request: web.Request) -> web.Response:
        answer = await receive(
            request.headers, request.content.iter_any(), path=request.match_info["token"]
        )
        response = web.Response(status=answer.status, text=answer.reason)
        if answer.status in _CLOSING:
            response.force_close()
        return response

    return [web.post(f"{path.rstrip('/')}/{{token}}", take)]
