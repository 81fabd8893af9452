"""The server's and the clients' processes: started, waited for within bounds, ended by their id."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.bench.orders import Figures, Order

__all__ = ["OrderFailedError", "figures_of"]

_START_S = 30.0
_END_S = 10.0


class OrderFailedError(Exception):
    """A client's process did not come to figures; what it said is on stderr."""


async def figures_of(order: Order, *, is_uvloop: bool) -> list[Figures]:
    """Have an order done by a fresh client process, against a fresh server.

    Raises:
        OrderFailedError: it failed, or took too long.
    """
    async with _serving(order) as url:
        command = ["tests.bench.client", order.to_json(), url]
        if is_uvloop:
            command.append("--uvloop")
        async with _running(*command) as client:
            try:
                async with asyncio.timeout(order.longest_run_s + _START_S):
                    out, _ = await client.communicate()
            except TimeoutError:
                raise OrderFailedError("it took far too long") from None
            if client.returncode != 0:
                raise OrderFailedError(f"its process ended with {client.returncode}")
            figures: list[Figures] = json.loads(out)
            return figures


@asynccontextmanager
async def _serving(order: Order) -> AsyncIterator[str]:
    command = ["tests.bench.server"]
    if not order.has_list:
        command.append("--no-list")
    if order.slots is not None:
        command += ["--slots", str(order.slots)]
    async with _running(*command) as server:
        assert server.stdout is not None
        async with asyncio.timeout(_START_S):
            port = int(await server.stdout.readline())
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _running(*command: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, stdin=PIPE, stdout=PIPE
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    """Ask, wait, insist; it may have ended long ago."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), _END_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
