"""The aiohttp service of ``docs/examples`` as a process of its own, to be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from examples import aiohttp_service

from kling_effects_async.emulator import Emulator
from tests.support.callbacks import SECRET

__all__ = ["environment", "service_process"]


def environment(emulator: Emulator, folder: Path, port: int) -> dict[str, str]:
    return {
        "FOLDER": str(folder),
        "PORT": str(port),
        "KLING_API_KEY": emulator.api_key,
        "KLING_SERVICE": emulator.url,
        "KLING_CALLBACK_SECRETS": SECRET,
    }


@asynccontextmanager
async def service_process(
    environ: dict[str, str], ending: signal.Signals = signal.SIGKILL
) -> AsyncIterator[Process]:
    """The service once it takes requests; a signal ends it."""
    script = Path(aiohttp_service.__file__)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", script, env=os.environ | environ, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        assert b"Running on" in await process.stdout.readline()
        yield process
    finally:
        process.send_signal(ending)
        await process.communicate()
