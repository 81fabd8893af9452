"""A process that is killed the moment it is told an outcome; started by ``test_written_first``.

URL JOURNAL WAY [FOLDER], where WAY is how the outcome is told: see ``WAYS``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    PollPolicy,
    Service,
    SingleImageEffect,
    TaskFailedError,
)
from kling_effects_async.errors import ApiError

NAME = "order-42"
SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def by_await(client: EffectsClient, _folder: Path) -> None:
    await (await client.submit(SQUISH, external_task_id=NAME))


async def by_failure(client: EffectsClient, _folder: Path) -> None:
    try:
        await client.run(SQUISH, external_task_id=NAME)
    except TaskFailedError:
        die()


async def by_iteration(client: EffectsClient, _folder: Path) -> None:
    async for snapshot in await client.submit(SQUISH, external_task_id=NAME):
        if snapshot.is_final:
            die()


async def by_refresh(client: EffectsClient, _folder: Path) -> None:
    task = await client.submit(SQUISH, external_task_id=NAME)
    while not (await task.refresh()).is_final:  # noqa: ASYNC110 - refreshing is the test
        await asyncio.sleep(0.01)


async def by_run_many(client: EffectsClient, _folder: Path) -> None:
    async for _outcome in client.run_many([SQUISH], run="one"):
        die()


async def by_download(client: EffectsClient, folder: Path) -> None:
    async for _outcome in client.run_many([SQUISH], run="one", download_to=folder):
        die()


async def by_resume(client: EffectsClient, _folder: Path) -> None:
    async for _outcome in client.resume():
        die()


async def by_rejection(client: EffectsClient, _folder: Path) -> None:
    try:
        await client.submit(SQUISH, external_task_id=NAME)
    except ApiError:
        die()


async def by_submit(client: EffectsClient, _folder: Path) -> None:
    await client.submit(SQUISH, external_task_id=NAME)


async def by_post(client: EffectsClient, _folder: Path) -> None:
    """The service has the submit, and nobody heard its answer."""
    submit = asyncio.create_task(client.submit(SQUISH, external_task_id=NAME))
    while not (await client.list_tasks()).tasks:
        pass
    die()
    await submit


WAYS: dict[str, Callable[[EffectsClient, Path], Coroutine[Any, Any, None]]] = {
    way.__name__: way
    for way in (
        by_await,
        by_failure,
        by_iteration,
        by_refresh,
        by_run_many,
        by_download,
        by_resume,
        by_rejection,
        by_submit,
        by_post,
    )
}


async def main(url: str, journal: str, way: str, folder: str) -> None:
    async with EffectsClient(
        BearerToken("emulator-key"),
        service=Service.gateway(url),
        journal=journal,
        poll=PollPolicy(shortest_s=0.05),
    ) as client:
        await WAYS[way](client, Path(folder))
        die()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
