"""Processes that are forked from this one, with everything imported, and killed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["KILLED", "LIFE_S", "started", "stay_with_parent"]

# An unkilled batch takes about two seconds; on a busy machine it may take many more.
LIFE_S = 40.0
KILLED = -signal.SIGKILL
_ORPHANED = 4

_FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


def started(target: Any, *arguments: object) -> tuple[Any, Connection]:
    if _FORK is None:
        raise RuntimeError("this needs fork(), which the system does not have")
    told, tells = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=target, args=(*arguments, tells), daemon=True)
    process.start()
    tells.close()
    return process, told


async def stay_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110  # no event tells of a parent's death
        await asyncio.sleep(0.2)
    os._exit(_ORPHANED)
