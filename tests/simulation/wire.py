"""Requests and answers between the client and the service, and what goes wrong with them.

It takes the place of aiohttp's session, raises aiohttp's own errors, and counts a point before and
after each byte that matters. What was sent whole is worked on whatever becomes of the client.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections import deque
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.payload import Payload

from tests.simulation.referee import Referee
from tests.simulation.service import Answer, Service, rejection
from tests.simulation.world import World

__all__ = ["QUERY_FAULTS", "SUBMIT_FAULTS", "Wire"]

# Of a submit. Those that begin with "after" come when the task was made, and charged for.
SUBMIT_FAULTS = (
    "",
    "refused",
    "cut",
    "before: lost",
    "after: lost",
    "before: 500",
    "after: 500",
    "before: 502",
    "after: 502",
    "after: 504",
    "after: too late",
    "after: html",
    "after: cut json",
    "after: no task",
    "before: 429",
    "before: 1302",
    "before: 1303",
    "before: 1102",
    "before: 1301",
    "before: 5000",
)
# Of a query, a lookup, or a page.
QUERY_FAULTS = ("", "refused", "lost", "500", "502", "429", "html", "too late", "unknown")

_HTML = {"content-type": "text/html"}
_REJECTED = {
    "429": rejection(429, 1302, "request rate is too high"),
    "1302": rejection(429, 1302, "request rate is too high"),
    "1303": rejection(429, 1303, "parallel task over resource pack limit"),
    "1102": rejection(429, 1102, "Account balance not enough"),
    "1301": rejection(400, 1301, "Failure to pass the risk control system"),
    "500": rejection(500, 5000, "internal error"),
    "5000": rejection(200, 5000, "internal error"),
    "502": Answer(502, b"<html>bad gateway</html>", _HTML),
    "504": Answer(504, b"<html>gateway timeout</html>", _HTML),
    "html": Answer(200, b"<html>a page</html>", _HTML),
    "cut json": Answer(200, b'{"code": 0, "data": {"task_', {"content-type": "application/json"}),
    "no task": rejection(200, 0, "SUCCEED"),
    "unknown": rejection(400, 1201, "Task not found by id/external id"),
}


class Wire:
    """For ``EffectsClient(session=...)``: the way to the service for one life of the client.

    Args:
        submits, queries: the faults to come; they are shared by all lives of a run.
    """

    closed = False
    headers: dict[str, str] = {}  # noqa: RUF012  # as aiohttp's session has them

    def __init__(
        self,
        world: World,
        service: Service,
        submits: deque[str],
        queries: deque[str],
        referee: Referee,
    ) -> None:
        self.world = world
        self.service = service
        self.referee = referee
        self._faults = {"POST": submits, "GET": queries}

    def request(self, method: str, url: Any, *, data: Payload | None, **_named: Any) -> Exchange:
        faults = self._faults[method]
        return Exchange(self, method, url, data, faults.popleft() if faults else "")


class Exchange:
    """One request, and its answer as aiohttp's response."""

    def __init__(self, wire: Wire, method: str, url: Any, data: Payload | None, fault: str) -> None:
        self._wire = wire
        self._world = wire.world
        self._is_submit = method == "POST"
        self._url = url
        self._data = data
        self._fault = fault
        self._written = b""
        self._name = ""
        self.status = 0
        self._answered: asyncio.Future[Answer | Exception] | None = None

    async def __aenter__(self) -> Self:
        try:
            return await self._sent()
        except BaseException:  # raised again
            self._end(is_accepted=False)
            raise

    async def _sent(self) -> Self:
        await self._world.point()
        await asyncio.sleep(self._world.delay_s())
        if self._fault == "refused":
            raise aiohttp.ClientConnectorError(_WHERE, ConnectionRefusedError(errno.ECONNREFUSED))
        if self._data is not None:
            await self._data.write(self)  # type: ignore[arg-type]  # has what it calls
        self._answered = asyncio.get_running_loop().create_future()
        self._world.later(self._world.delay_s(), self._arrive)
        await self._world.point()
        answer = await self._answered
        await self._world.point()
        if isinstance(answer, Exception):
            raise answer
        self.status, self.headers, self._rest = answer.status, answer.headers, answer.body
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(is_accepted=self._is_submit and self.status == 200 and not self._fault)

    def _end(self, *, is_accepted: bool) -> None:
        if self._name:
            self._wire.referee.came_back(self._name, is_accepted=is_accepted)
            self._name = ""

    # -- the body of the request, as a payload writes it

    async def write(self, chunk: bytes) -> None:
        if not self._written:
            self._name = json.loads(chunk)["external_task_id"]
            self._wire.referee.leaves(self._name)
        half = len(chunk) // 2
        self._written += chunk[:half]
        await self._world.point()
        if self._fault == "cut":
            raise aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")
        self._written += chunk[half:]

    async def drain(self) -> None:
        await asyncio.sleep(0)

    # -- the service's side, whatever becomes of the client

    def _arrive(self) -> None:
        when, _, what = self._fault.rpartition(": ")
        if self._is_submit and when == "before":
            self._answer(what, None)
        elif self._is_submit:
            late_s = self._world.script.rules.accepts_after_s
            self._world.later(late_s, self._accept, what)
        else:
            self._answer(what, self._wire.service.query(self._url.path, self._url.query_string))

    def _accept(self, what: str) -> None:
        own = self._wire.service.submit(self._written)
        self._wire.referee.accepted()
        self._answer(what, own)

    def _answer(self, what: str, own: Answer | None) -> None:
        answer: Answer | Exception | None = _REJECTED.get(what, own)
        if what == "lost":
            answer = aiohttp.ServerDisconnectedError()
        if what != "too late":  # then it never comes, and the client's own limit ends it
            self._world.later(self._world.delay_s(), self._deliver, answer)

    def _deliver(self, answer: Answer | Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(answer)

    # -- aiohttp's response

    @property
    def content(self) -> Self:
        return self

    async def readany(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest

    def close(self) -> None:
        """Nothing is held."""


_WHERE = ConnectionKey("sim.example", 80, False, True, None, None, None)
